"""What layers compute, against loops; what they draw, against its law; what they refuse."""

import math

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyae import layers
from tinyae.backend import Noise
from tinyae.errors import ConfigError, ShapeError
from tinyae.layers import initialisers
from tinyae.layers.activations import sigmoid, softplus

seeds = st.integers(0, 2**32)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)  # without the batch
batches = st.integers(1, 5)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape) * 2


@given(seeds, batches, st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_dense(seed, n, inputs, units, bias):
    x, weight, b = draw(seed, n, inputs), draw(seed + 1, inputs, units), draw(seed + 2, units)
    params = {"weight": weight, "bias": b} if bias else {"weight": weight}
    y, _ = layers.Dense(units, bias=bias).forward(params, x)
    np.testing.assert_allclose(y, oracles.dense(x, weight, b if bias else None), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", oracles.ACTIVATIONS)
@given(seed=seeds, n=batches, shape=shapes)
def test_activation(name, seed, n, shape):
    x = draw(seed, n, *shape)
    y, _ = getattr(layers, name)().forward({}, x)
    np.testing.assert_allclose(y, oracles.elementwise(oracles.ACTIVATIONS[name], x), rtol=1e-12, atol=1e-15)


def test_every_activation_by_name_has_a_loop():
    assert {cls.__name__ for cls in layers.ACTIVATIONS.values()} == set(oracles.ACTIVATIONS)


@pytest.mark.parametrize("slope", (0.0, 0.2, 0.9))
def test_leaky_relu_has_its_slope(slope):
    x = np.array([[-2.0, 0.0, 3.0]])
    y, cache = layers.LeakyReLU(slope).forward({}, x)
    np.testing.assert_allclose(y, [[-2 * slope, 0, 3]])
    np.testing.assert_allclose(layers.LeakyReLU(slope).backward({}, cache, np.ones_like(x))[0, ::2], [slope, 1])


@pytest.mark.parametrize("slope", (-0.1, 1, 2.0, float("nan")))
def test_leaky_relu_refuses_a_slope(slope):
    """max(x, slope x) is another function there."""
    with pytest.raises(ConfigError, match="LeakyReLU: slope must be a number of at least 0 and below 1, got"):
        layers.LeakyReLU(slope)


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("name", oracles.ACTIVATIONS)
def test_activation_and_derivative_are_finite_far_out(name, dtype):
    x = np.array([[-1e4, -90, 90, 1e4]], dtype)
    layer = getattr(layers, name)()
    y, cache = layer.forward({}, x)
    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward({}, cache, np.ones_like(x))).all()


@pytest.mark.parametrize("function, name", ((sigmoid, "Sigmoid"), (softplus, "Softplus")))
def test_functions_behind_activations(function, name):
    x = draw(0, 3, 4)
    np.testing.assert_allclose(function(x), oracles.elementwise(oracles.ACTIVATIONS[name], x), rtol=1e-13)


def test_relu_has_no_slope_at_zero():
    y, cache = layers.ReLU().forward({}, np.zeros((1, 2)))
    np.testing.assert_array_equal(layers.ReLU().backward({}, cache, np.ones((1, 2))), 0)


@given(seeds, batches, shapes)
def test_layer_norm(seed, n, shape):
    x, scale, shift = draw(seed, n, *shape), draw(seed + 1, shape[-1]), draw(seed + 2, shape[-1])
    y, _ = layers.LayerNorm().forward({"scale": scale, "shift": shift}, x)
    np.testing.assert_allclose(y, oracles.layer_norm(x, scale, shift), rtol=1e-9, atol=1e-11)


@given(seeds, st.integers(2, 5), shapes)
def test_batch_norm_in_training(seed, n, shape):
    x, scale, shift = draw(seed, n, *shape), draw(seed + 1, shape[-1]), draw(seed + 2, shape[-1])
    y, _ = layers.BatchNorm().forward({"scale": scale, "shift": shift}, x, train=True)
    np.testing.assert_allclose(y, oracles.batch_norm(x, scale, shift), rtol=1e-9, atol=1e-11)


@given(seeds, batches, shapes)
def test_batch_norm_in_evaluation(seed, n, shape):
    x, scale, shift = draw(seed, n, *shape), draw(seed + 1, shape[-1]), draw(seed + 2, shape[-1])
    state = {"mean": draw(seed + 3, shape[-1]), "var": draw(seed + 4, shape[-1]) ** 2}
    y, _ = layers.BatchNorm().forward({"scale": scale, "shift": shift}, x, state=state)
    expected = oracles.batch_norm(x, scale, shift, running=(state["mean"], state["var"]))
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mean", (np.zeros(1), np.zeros((4, 3)), np.zeros(4)), ids=lambda mean: str(mean.shape))
def test_batch_norm_refuses_a_state_of_another_shape(mean):
    params, state = {"scale": np.ones(3), "shift": np.zeros(3)}, {"mean": mean, "var": np.ones(3)}
    with pytest.raises(ShapeError, match=r"^BatchNorm.*goes with the state mean \(3,\), var \(3,\), got mean \("):
        layers.BatchNorm().forward(params, np.zeros((4, 3)), state=state)


@given(seeds, st.integers(2, 5), shapes, st.sampled_from((0.9, 0.5)))
def test_batch_norm_running_statistics(seed, n, shape, momentum):
    layer, features = layers.BatchNorm(momentum), shape[-1]
    params, state = {"scale": np.ones(features), "shift": np.zeros(features)}, layer.init_state(shape, np, "float64")
    expected = np.zeros(features), np.ones(features)
    for step in range(3):
        x = draw(seed + step, n, *shape)
        _, cache = layer.forward(params, x, train=True, state=state)
        layer.update_state(state, cache)
        expected = oracles.batch_norm_running(expected, x, momentum)
    np.testing.assert_allclose(state["mean"], expected[0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(state["var"], expected[1], rtol=1e-10, atol=1e-13)


def test_batch_norm_without_a_state_evaluates_at_mean_0_variance_1():
    x = draw(0, 3, 4)
    y, _ = layers.BatchNorm().forward({"scale": np.ones(4), "shift": np.zeros(4)}, x)
    np.testing.assert_allclose(y, x / math.sqrt(1 + 1e-5), rtol=1e-12)


@given(seeds, batches, shapes, st.sampled_from((0.0, 0.3, 0.9)))
def test_dropout(seed, n, shape, rate):
    x, rng = draw(seed, n, *shape), Noise(seed).child("here")
    keep = rng.bernoulli("keep", x.shape, 1 - rate)
    y, _ = layers.Dropout(rate).forward({}, x, train=True, rng=rng)
    np.testing.assert_allclose(y, oracles.dropout(x, keep, rate), rtol=1e-12)


@pytest.mark.parametrize("rate", (0.1, 0.5, 0.8))
def test_dropout_keeps_its_share_and_the_expectation(rate):
    n = 100_000
    y, _ = layers.Dropout(rate).forward({}, np.ones((n, 1), "float32"), train=True, rng=Noise(5))
    error = 5 * math.sqrt(rate * (1 - rate) / n)
    assert (y != 0).mean() == pytest.approx(1 - rate, abs=error)
    assert y.mean(dtype=float) == pytest.approx(1, abs=error / (1 - rate))


def test_dropout_draws_anew_at_each_step_and_place():
    x = np.ones((50, 10))

    def mask(rng):
        return layers.Dropout(0.5).forward({}, x, True, rng)[0]

    np.testing.assert_array_equal(mask(Noise(1, 2).child("a")), mask(Noise(1, 2).child("a")))
    for other in (Noise(1, 3).child("a"), Noise(2, 2).child("a"), Noise(1, 2).child("b")):
        assert (mask(Noise(1, 2).child("a")) != mask(other)).any()


def test_two_dropouts_of_a_network_draw_apart():
    y, _ = layers.Sequential(layers.Dropout(0.5), layers.Dropout(0.5)).forward(
        {"0": {}, "1": {}}, np.ones((1000, 10)), True, Noise(0)
    )
    assert (y != 0).mean() == pytest.approx(0.25, abs=0.03)


def test_dropout_in_training_needs_noise():
    with pytest.raises(TypeError, match="Dropout.*draws noise"):
        layers.Dropout(0.5).forward({}, np.ones((2, 2)), train=True)


@pytest.mark.parametrize("rate", (-0.1, 1, 1.5, float("nan")))
def test_dropout_refuses_a_rate(rate):
    with pytest.raises(ConfigError, match="rate"):
        layers.Dropout(rate)


@given(seeds, batches, st.integers(1, 6))
def test_residual(seed, n, width):
    x, weight, bias = draw(seed, n, width), draw(seed + 1, width, width), draw(seed + 2, width)
    y, _ = layers.Residual(layers.Dense(width)).forward({"0": {"weight": weight, "bias": bias}}, x)
    np.testing.assert_allclose(y, oracles.residual(x, oracles.dense(x, weight, bias)), rtol=1e-11, atol=1e-12)


def test_residual_refuses_a_change_of_shape():
    with pytest.raises(ShapeError, match=r"Residual.*\(4,\) into \(3,\)"):
        layers.Residual(layers.Dense(3)).output_shape((4,))


@given(seeds, batches, st.lists(st.integers(1, 4), max_size=2), st.integers(1, 6), st.integers(1, 5))
def test_embedding(seed, n, shape, count, units):
    rng = np.random.default_rng(seed)
    x, weight = rng.integers(0, count, (n, *shape)), rng.normal(size=(count, units))
    layer = layers.Embedding(count, units)
    y, cache = layer.forward({"weight": weight}, x)
    np.testing.assert_array_equal(y, oracles.embedding(x, weight))
    grads, dy = {"weight": np.zeros_like(weight)}, rng.normal(size=y.shape)
    assert layer.backward({"weight": weight}, cache, dy, grads) is None
    expected = np.zeros_like(weight)
    for place in np.ndindex(x.shape):
        expected[x[place]] += dy[place]
    np.testing.assert_allclose(grads["weight"], expected, rtol=1e-12, atol=1e-13)


@given(seeds, batches, shapes)
def test_flatten_and_reshape_keep_the_order(seed, n, shape):
    x = draw(seed, n, *shape)
    flat, cache = layers.Flatten().forward({}, x)
    np.testing.assert_array_equal(flat, [list(example.flat) for example in x])
    np.testing.assert_array_equal(layers.Flatten().backward({}, cache, flat), x)
    back, cache = layers.Reshape(shape).forward({}, flat)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(layers.Reshape(shape).backward({}, cache, x), flat)


def test_sequential_is_its_layers_in_turn():
    net = layers.Sequential(layers.Dense(4), layers.Tanh(), layers.Dense(2))
    params, x = net.init((3,), 0, "float64"), draw(1, 5, 3)
    hidden = oracles.elementwise(math.tanh, oracles.dense(x, **params["0"]))
    np.testing.assert_allclose(net.forward(params, x)[0], oracles.dense(hidden, **params["2"]), rtol=1e-12)


def test_empty_sequential_is_the_identity():
    x = draw(0, 2, 3)
    y, cache = layers.Sequential().forward({}, x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(layers.Sequential().backward({}, cache, x, {}), x)


@pytest.mark.parametrize(
    "layer, shape",
    [(layers.Dense(3), (2, 2)), (layers.Dense(3), ()), (layers.Reshape((5,)), (4,)), (layers.LayerNorm(), ())],
)
def test_error_tells_expected_and_got(layer, shape):
    with pytest.raises(ShapeError) as caught:
        layer.output_shape(shape)
        layer.param_shapes(shape)
    message = str(caught.value)
    assert message.startswith(type(layer).__name__) and "expected" in message and message.endswith(f"got {shape}")


def test_layers_of_one_network_start_apart():
    params = layers.Sequential(layers.Dense(4), layers.Dense(4)).init((4,), 0)
    assert (params["0"]["weight"] != params["1"]["weight"]).all()


# Initialisers: (shape of the weight, its variance)


LAWS = {
    "glorot": [((300, 200), 2 / 500), ((3, 3, 40, 60), 2 / (9 * 100))],
    "he": [((300, 200), 2 / 300), ((3, 3, 40, 60), 2 / (9 * 40))],
    "uniform": [((300, 200), 1 / 3 / 300), ((3, 3, 40, 60), 1 / 3 / (9 * 40))],
    "normal": [((300, 200), 1.0)],
    "zeros": [((300, 200), 0.0)],
}


@pytest.mark.parametrize("name, shape, variance", [(name, *law) for name in LAWS for law in LAWS[name]])
def test_initialiser_has_mean_zero_and_its_variance(name, shape, variance):
    weight = initialisers.INITIALISERS[name](Noise(3), "weight", shape, "float32")
    assert (weight.shape, weight.dtype) == (shape, np.float32)
    assert weight.mean(dtype=float) == pytest.approx(0, abs=5 * math.sqrt(variance / weight.size))
    assert weight.var(dtype=float) == pytest.approx(variance, rel=5 * math.sqrt(2 / weight.size))


@pytest.mark.parametrize("name, bound", [("glorot", math.sqrt(6 / 500)), ("uniform", 1 / math.sqrt(300))])
def test_uniform_initialiser_fills_its_interval(name, bound):
    weight = initialisers.INITIALISERS[name](Noise(3), "weight", (300, 200), "float64")
    assert 0.999 * bound < np.abs(weight).max() <= bound


def test_every_initialiser_is_tested():
    assert set(initialisers.INITIALISERS) == {*LAWS, "ones"}


@pytest.mark.parametrize("layer", (layers.LayerNorm, layers.BatchNorm))
def test_normalisation_starts_as_the_identity(layer):
    params = layer().init((4,), 0)
    np.testing.assert_array_equal(params["scale"], 1)
    np.testing.assert_array_equal(params["shift"], 0)


def test_dense_starts_with_the_law_it_is_told():
    for init, variance in (("glorot", 2 / 500), ("he", 2 / 300)):
        params = layers.Dense(200, init=init).init((300,), 1)
        assert params["weight"].var() == pytest.approx(variance, rel=0.03)
        assert not params["bias"].any()


def test_unknown_initialiser_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'glorot'"):
        layers.Dense(3, init="gloro")
