"""The gradient checker reports faults of a layer or a function other than a wrong derivative, each in one line."""

import numpy as np
import pytest

from tinyae.gradcheck import gradcheck, gradcheck_function
from tinyae.layers import BatchNorm, Dense, Layer, ReLU, Sequential, Tanh
from tinyae.losses import mse


class _Own(Layer):
    """A user's own layer, y = x W, that keeps the contract."""

    def __init__(self, units=3):
        self.units = units

    def output_shape(self, input_shape):
        return (self.units,)

    def param_shapes(self, input_shape):
        return {"weight": (input_shape[0], self.units)}

    def forward(self, params, x, train=False, rng=None, state=None):
        return x @ params["weight"], x

    def backward(self, params, cache, dy, grads=None):
        if grads is not None:
            grads["weight"] += cache.T @ dy
        return dy @ params["weight"].T


class _Replaces(_Own):
    def backward(self, params, cache, dy, grads=None):
        if grads is not None:
            grads["weight"] = cache.T @ dy
        return dy @ params["weight"].T


class _ReplacesTheSum(_Own):
    def backward(self, params, cache, dy, grads=None):
        if grads is not None:
            grads["weight"] = grads["weight"] + cache.T @ dy
        return dy @ params["weight"].T


class _Overwrites(_Own):
    def backward(self, params, cache, dy, grads=None):
        if grads is not None:
            grads["weight"][...] = cache.T @ dy
        return dy @ params["weight"].T


class _AddsOnce(_Own):
    def backward(self, params, cache, dy, grads=None):
        if grads is not None and abs(grads["weight"]).max() < 1e-3:
            grads["weight"] += cache.T @ dy
        return dy @ params["weight"].T


class _NeedsGradients(_Own):
    def backward(self, params, cache, dy, grads=None):
        grads["weight"] += cache.T @ dy
        return dy @ params["weight"].T


class _FrozenBlocks(_Own):
    def backward(self, params, cache, dy, grads=None):
        dx = super().backward(params, cache, dy, grads)
        return 0 * dx if grads is None else dx


class _LosesTheBatchAxis(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        return np.squeeze(x @ params["weight"]), x


class _LosesItInBackward(_Own):
    def backward(self, params, cache, dy, grads=None):
        return np.squeeze(super().backward(params, cache, dy, grads))


class _SumsOverUnitsAtOne(Dense):
    def add_grads(self, params, cache, dy, grads):
        grads["weight"] += cache.T @ dy
        grads["bias"] += np.squeeze(dy).sum(axis=0)


class _ChangesX(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        x -= x.mean()
        return super().forward(params, x)


class _ChangesTheWeight(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        params["weight"] *= 1.01
        return super().forward(params, x)


class _ChangesTheCache(_Own):
    def backward(self, params, cache, dy, grads=None):
        dx = super().backward(params, cache, dy, grads)
        cache *= 2
        return dx


class _ChangesDy(_Own):
    def backward(self, params, cache, dy, grads=None):
        dx = super().backward(params, cache, dy, grads)
        dy[...] = 0
        return dx


class _ChangesItsState(BatchNorm):
    def forward(self, params, x, train=False, rng=None, state=None):
        y, cache = super().forward(params, x, train, rng, state)
        self.update_state(state, cache)
        return y, cache


class _WritesTheSame(_Own):
    """Changes nothing, but fails on arrays that cannot be written to."""

    def forward(self, params, x, train=False, rng=None, state=None):
        x[...] = x
        return super().forward(params, x)


class _OnSelf(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        self.x = x
        return super().forward(params, x)

    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, self.x, dy, grads)


class _OwnNoise(_Own):
    drawn = np.random.default_rng(0)

    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward(params, x + self.drawn.normal(size=x.shape))


class _Float32(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward({"weight": params["weight"].astype("f4")}, x.astype("f4"))


class _Float32Within(_Own):
    """x goes through float32, but the result is float64."""

    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward(params, x.astype("f4"))

    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, cache.astype("f8"), dy, grads)


class _Float16Within(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward(params, x.astype("f2").astype("f8"))


class _Float32Weight(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward({"weight": params["weight"].astype("f4").astype("f8")}, x)


class _Float32InPart(Layer):
    """y = tanh(x) + x, of which tanh alone is in float32."""

    def forward(self, params, x, train=False, rng=None, state=None):
        return np.tanh(x.astype("f4")).astype("f8") + x, x

    def backward(self, params, cache, dy, grads=None):
        return dy * (2 - np.tanh(cache) ** 2)


class _Float32Gradient(_Own):
    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, cache, dy, grads).astype("f4")


class _OtherAddGrads(_Own):
    def add_grads(self, params, cache, dy, grads):
        grads["weight"] -= cache.T @ dy


class _NoTuple(_Own):
    def forward(self, params, x, train=False, rng=None, state=None):
        return x @ params["weight"]


class _Misspelled(_Own):
    def backward(self, params, cache, dy, grads=None):
        if grads is not None:
            grads["wieght"] += cache.T @ dy
        return dy @ params["weight"].T


class _ReturnsNothing(_Own):
    def backward(self, params, cache, dy, grads=None):
        super().backward(params, cache, dy, grads)


LAYERS = {
    _Replaces: "the gradient of weight is replaced by another array",
    _ReplacesTheSum: "the gradient of weight is replaced by another array",
    _Overwrites: "the gradient of weight is overwritten: add to what is there (+=)",
    _AddsOnce: "what is added to the gradient of weight depends on what is there",
    _NeedsGradients: "backward with grads=None raises TypeError",
    _FrozenBlocks: "backward with grads=None gives another dx",
    _LosesTheBatchAxis: "at a batch of 1, forward gives y of shape (3,), expected (1, 3)",
    _LosesItInBackward: "at a batch of 1, backward gives dx of shape (2,), expected (1, 2)",
    _ChangesX: "forward changes x",
    _ChangesTheWeight: "forward changes weight",
    _ChangesTheCache: "backward changes x, cache",
    _ChangesDy: "backward changes dy",
    _WritesTheSame: "forward writes into what it is given",
    _OnSelf: "backward gives another weight once forward has seen another input",
    _OwnNoise: "forward gives another y for the same input",
    _Float32: "forward gives y as float32 where all that went in is float64",
    _Float32Within: "computes in less than float64: the loss is a staircase along x",
    _Float16Within: "computes in less than float64: the loss is a staircase along x",
    _Float32Weight: "computes in less than float64: the loss is a staircase along weight",
    _Float32InPart: "computes in less than float64: the loss is a staircase along x",
    _Float32Gradient: "backward gives dx as float32",
    _OtherAddGrads: "add_grads gives another gradient of weight than backward",
    _NoTuple: "forward returns ndarray, expected (y, cache)",
    _Misspelled: "backward raises KeyError: 'wieght' (test_gradcheck_contract.py, line ",
    _ReturnsNothing: "backward gives dx as NoneType, expected an array (3, 2)",
}  # fmt: skip


@pytest.mark.parametrize("wrong", LAYERS, ids=lambda wrong: wrong.__name__)
def test_a_broken_promise_of_a_layer_gets_a_line(wrong):
    assert gradcheck(_Own(), (2,)).passed
    report = gradcheck(wrong(), (2,))
    assert not report.passed
    assert any(line.startswith(LAYERS[wrong]) for line in report.faults), report
    assert all(len(line) < 250 and line.isprintable() for line in report.faults)
    assert LAYERS[wrong] in repr(report) and LAYERS[wrong] in str(report)


def test_state_is_not_moved_by_forward():
    assert gradcheck(_ChangesItsState(), (2,), train=True).faults[0].startswith("forward changes state['mean']")


def test_a_wrong_gradient_at_a_batch_of_one_alone():
    report = gradcheck(_SumsOverUnitsAtOne(3), (2,))
    assert report.wrong == ["bias", "all together"]


def test_evaluation_is_checked_where_it_differs():
    class _WrongInEvaluation(BatchNorm):
        def backward(self, params, cache, dy, grads=None):
            dx = super().backward(params, cache, dy, grads)
            return dx if cache[-1] else -dx

    assert gradcheck(_WrongInEvaluation(), (2,), train=True).passed
    assert gradcheck(_WrongInEvaluation(), (2,)).wrong == ["x", "all together"]


def test_a_layer_within_others_is_found():
    report = gradcheck(Sequential(Dense(3), Tanh(), _Overwrites(), ReLU()), (2,))
    assert report.faults[0].startswith("the gradient of 2.weight is overwritten")


def test_right_arrays_stand_beside_the_wrong_one():
    class _NoBias(Dense):
        def add_grads(self, params, cache, dy, grads):
            grads["weight"] += cache.T @ dy

    report = gradcheck(_NoBias(3), (2,))
    assert report.wrong == ["bias", "all together"] and report.where == "bias"
    assert report.arrays["bias"] == 1 and max(report.arrays["weight"], report.arrays["x"]) < 1e-6
    assert [line.split()[-1] == "WRONG" for line in report.table()[:4]] == [False, True, False, True]
    assert "bias: it is 0 everywhere" in report.table()[-1]


# Functions


def _changes(prediction):
    prediction += 1
    return mse(prediction, np.zeros((1, 4)))


def _broadcasts(prediction):
    loss, gradient = mse(prediction, np.zeros((1, 4)))
    return loss, gradient[0]


def _float32_loss(prediction):
    single = prediction.astype("f4")
    return (single * single).sum(), 2 * prediction


def _float32_within(prediction):
    loss, gradient = _float32_loss(prediction)
    return float(loss), gradient


FUNCTIONS = {
    _float32_loss: "the loss comes as float32 where all that went in is float64",
    _float32_within: "computes in less than float64: the loss is a staircase along prediction",
    lambda prediction: (prediction, 1 + 0 * prediction): "the loss comes as float64 (1, 4), expected a number",
    _changes: "the function changes prediction",
    _broadcasts: "the gradient of prediction comes of shape (4,), expected (1, 4)",
    lambda prediction: prediction.sum(): "the function returns float64, expected the loss and gradients by prediction",
    lambda prediction: (prediction.sum(), prediction.astype("f4")): "the gradient of prediction comes as float32",
    lambda prediction: (np.random.random(), prediction): "the function gives another loss for the same arrays",
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=list(FUNCTIONS.values()))
def test_a_broken_promise_of_a_function_gets_a_line(function):
    report = gradcheck_function("own", function, lambda noise: {"prediction": noise.normal("p", (1, 4), "float64")})
    assert not report.passed and report.faults[0].startswith(FUNCTIONS[function])


def test_a_function_divides_by_the_size_of_the_whole_batch():
    def half(prediction, batch_size=None):
        loss, _ = mse(prediction, np.zeros((3, 4)), batch_size)
        return loss, mse(prediction, np.zeros((3, 4)))[1]

    report = gradcheck_function("own", half, lambda noise: {"prediction": noise.normal("p", (3, 4), "float64")})
    assert report.wrong == ["prediction"]
