"""What the report says of a gradient that was planted wrong: where it is worst, and what the error looks like."""

import json

import numpy as np
import pytest
from command_line import refuses

from tinyae import cli
from tinyae.gradcheck import gradcheck
from tinyae.gradcheck.diagnosis import pattern
from tinyae.layers import BatchNorm, Conv2D, Dense, Layer, LayerNorm
from tinyae.models import VAE


class _Wrong(Layer):
    """A copy of another layer whose backward results are changed by change(dx, grads)."""

    def __init__(self, layer, change):
        self.layer, self.change = layer, change

    def output_shape(self, input_shape):
        return self.layer.output_shape(input_shape)

    def param_shapes(self, input_shape):
        return self.layer.param_shapes(input_shape)

    def state_shapes(self, input_shape):
        return self.layer.state_shapes(input_shape)

    def init_state(self, *arguments):
        return self.layer.init_state(*arguments)

    def forward(self, *arguments):
        return self.layer.forward(*arguments)

    def backward(self, params, cache, dy, grads=None):
        own = {name: np.zeros_like(value) for name, value in params.items()}
        dx, own = self.change(self.layer.backward(params, cache, dy, own), own)
        for name in own if grads is not None else ():
            grads[name] += own[name]
        return dx


def of(key, function):
    """A change of one array alone."""
    return lambda dx, grads: (function(dx), grads) if key == "x" else (dx, grads | {key: function(grads[key])})


def without_the_first_row(g):
    return np.concatenate((0 * g[:1], g[1:]))


CASES = [
    (Dense(4), (3,), of("weight", lambda g: 2 * g), "weight", "it is 2 times the numeric gradient everywhere"),
    (Dense(4), (3,), of("bias", lambda g: g / 3), "bias", "it is 0.333333 times the numeric gradient everywhere"),
    (Dense(4), (3,), of("bias", lambda g: g / 3), "bias", "such as a mean over 3 values in place of a sum"),
    (Dense(4), (3,), of("x", np.negative), "x", "it has the wrong sign"),
    (Dense(4), (3,), of("x", lambda g: -2 * g), "x", "2 times the numeric gradient everywhere and has the wrong sign"),
    (Dense(3), (3,), of("weight", np.transpose), "weight", "it is transposed"),
    (Dense(4), (3,), of("weight", lambda g: g.T.reshape(3, 4)), "weight", "it is transposed"),
    (Dense(4), (3,), of("weight", lambda g: 0 * g), "weight", "it is 0 everywhere"),
    (Dense(4), (3,), of("weight", lambda g: g + np.nan), "weight", "12 of 12 coordinates are NaN or infinite"),
    (Conv2D(2, 3), (4, 5, 1), of("weight", lambda g: g[::-1, ::-1]), "weight", "it is flipped along axes 0, 1"),
    (Conv2D(2, 3), (4, 5, 1), of("weight", without_the_first_row), "weight", "only at 0 along axis 0"),
    (Dense(4), (3,), of("weight", lambda g: g + np.eye(3, 4) * g), "weight", "3 of 12 coordinates are wrong, only"),
]  # fmt: skip


@pytest.mark.parametrize("layer, shape, change, key, words", CASES, ids=range(len(CASES)))
def test_a_planted_mistake_is_described(layer, shape, change, key, words):
    report = gradcheck(_Wrong(layer, change), shape)
    assert not report.passed and list(report.diagnoses) == [key] == [name for name in report.wrong if " " not in name]
    found = report.diagnoses[key]
    assert words in found.pattern and found.pattern in str(report)
    wrong, right = found.analytic, found.numeric
    assert np.isnan(wrong) or abs(wrong - right) > 1e-3 * max(abs(wrong), abs(right))


def test_a_matrix_in_place_of_its_transpose_is_described():
    class _Turned(Dense):
        def backward(self, params, cache, dy, grads=None):
            super().backward(params, cache, dy, grads)
            return dy @ params["weight"]

    pattern = gradcheck(_Turned(4), (4,)).diagnoses["x"].pattern
    assert pattern.startswith("it is right with weight transposed: weight.T stands in place of weight")


def batch_norm_without_the_mean_of_dn(dx, grads):
    """What is left out is constant along the batch axis: r mean(dn)."""
    return dx + np.array([0.3, -0.2, 0.1]), grads


def test_a_missing_sum_over_the_batch_is_described():
    report = gradcheck(_Wrong(BatchNorm(), batch_norm_without_the_mean_of_dn), (3,), train=True)
    assert "constant along axis 0: a sum over that axis is missing" in report.diagnoses["x"].pattern


def test_one_example_instead_of_the_batch_is_described():
    class _First(LayerNorm):
        def backward(self, params, cache, dy, grads=None):
            first = np.concatenate((dy[:1], 0 * dy[1:]))
            own = {name: np.zeros_like(value) for name, value in params.items()}
            super().backward(params, cache, first, own)
            for name in own if grads is not None else ():
                grads[name] += own[name]
            return super().backward(params, cache, dy)

    report = gradcheck(_First(), (4,))
    assert {found.pattern for found in report.diagnoses.values()} == {
        "it is the gradient of the first example alone: the sum over the batch is missing"
    }


def test_a_mean_that_was_broadcast_is_described():
    right = np.random.default_rng(0).normal(size=(4, 3))
    assert "the mean over axis 0" in pattern(right.mean(axis=0, keepdims=True).repeat(4, axis=0), right, {})
    assert pattern(right, right + 1e-9, {}).startswith("it agrees to four digits")
    assert pattern(right, -right[::-1, ::-1] ** 2, {}).endswith("without a simple pattern")


def test_a_model_with_a_wrong_gradient_is_described():
    class _Twice(VAE):
        def step(self, net, x):
            backward = net.decoder.backward

            def twice(cache, dy):
                return 2 * backward(cache, dy)

            net.decoder = type("Decoder", (), {"forward": net.decoder.forward, "backward": staticmethod(twice)})
            return super().step(net, x)

    report = gradcheck(_Twice(input_shape=(3,), latent_dim=1, hidden=(2,)))
    wrong = {name for name in report.wrong if " " not in name}
    assert wrong and all(name.startswith("encoder.") for name in wrong) and report.diagnoses.keys() == wrong
    assert not [name for name in report.arrays if name.startswith("decoder.") and name in report.wrong]


OWN = """
import numpy as np
from tinyae.layers import Dense, Layer
from tinyae.losses import mse
from tinyae.models import Model


class Half(Layer):
    '''y = x / 2.'''

    def __init__(self, factor=0.5):
        self.factor = factor

    def forward(self, params, x, train=False, rng=None, state=None):
        return x / 2, None

    def backward(self, params, cache, dy, grads=None):
        return self.factor * dy


class Shown(Half):
    @classmethod
    def examples(cls):
        return [(cls(), (3,)), (cls(), (2, 2))]


class Fails(Half):
    def forward(self, params, x, train=False, rng=None, state=None):
        return x / None, None


class Linear(Model):
    def __init__(self, input_shape=(3,), units=2):
        self.input_shape = input_shape
        networks = {"encoder": (Dense(units), input_shape), "decoder": (Dense(*input_shape), (units,))}
        self.build(networks, {"units": units}, 0, "numpy", "float32")

    def step(self, net, x):
        z, c_enc = net.encoder.forward(x)
        y, c_dec = net.decoder.forward(z)
        loss, dy = mse(y, x, net.count)
        if net.needs_grads:
            net.encoder.add_grads(c_enc, net.decoder.backward(c_dec, dy))
        return {"loss": loss}


class Other:
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_classes.py").write_text(OWN)
    monkeypatch.delitem(__import__("sys").modules, "own_classes", raising=False)
    yield "own_classes.py"
    __import__("sys").modules.pop("own_classes", None)


@pytest.mark.parametrize(
    "words, code",
    [
        (("Half", "--shape", "2,3"), 0), (("Half", "--shape", "2,3", "--set", "factor=-0.5"), 1), (("Shown",), 0),
        (("Linear",), 0), (("Linear", "--shape", "5", "--set", "units=3"), 0),
    ],
)  # fmt: skip
def test_own_classes_are_checked_by_the_command(own, words, code, capsys):
    name, *options = words
    assert cli.main(["gradcheck", f"{own}:{name}", *options]) == code
    out = capsys.readouterr().out
    assert name in out and ("it has the wrong sign" in out) == (code == 1)
    assert cli.main(["gradcheck", f"{own}:{name}", *options, "--json"]) == code
    (row,) = json.loads(capsys.readouterr().out)
    assert row["passed"] == (code == 0) and [d["array"] for d in row["diagnoses"]] == ["x"] * code


@pytest.mark.parametrize(
    "words, message",
    [
        (("own_classes.py:Half",), "own_classes.py:Half needs the shape of an input"),
        (("own_classes.py:Hafl", "--shape", "3"), "unknown class of own_classes.py 'Hafl': did you mean 'Half'?"),
        (("own_classes.py:Other", "--shape", "3"), "unknown class of own_classes.py 'Other'"),
        (("nowhere.py:Half", "--shape", "3"), "no file nowhere.py"),
        (("own_classes.py:Half", "--shape", "3", "--set", "size=2"), "unexpected keyword argument 'size'"),
        (("own_classes.py:Half", "--shape", "3", "--set", "factor"), "--set factor: expected KEY=VALUE"),
        (("own_classes.py:Half", "--shape", "3,x"), "expected sizes with commas between them"),
        (("own_classes.py:Linear", "--shape", "3,3"), "own_classes.py, line"),
        (("Dense", "--shape", "3"), "--shape and --set are for a class of your own"),
        (("syntax.py:Half", "--shape", "3"), "syntax.py"),
    ],
)
def test_mistakes_are_told_in_one_line(own, words, message, capsys, tmp_path):
    (tmp_path / "syntax.py").write_text("def (")
    refuses(("gradcheck", *words), message, tmp_path, capsys)


def test_a_forward_that_fails_is_a_failed_check(own, capsys):
    assert cli.main(["gradcheck", f"{own}:Fails", "--shape", "3"]) == 1
    assert "unsupported operand" in capsys.readouterr().out
