"""The gradient check: all that can be checked passes it, and planted wrong gradients do not."""

import inspect

import numpy as np
import pytest

import tinyae
from tinyae import losses, models
from tinyae.backend import Noise
from tinyae.errors import ConfigError
from tinyae.gradcheck import (
    OPERATIONS,
    POINTS,
    TOLERANCE,
    Report,
    check_by_name,
    functions,
    gradcheck,
    gradcheck_function,
    names,
)
from tinyae.latent import gaussian, kl_forms
from tinyae.layers import GELU, REGISTRY, BatchNorm, Dense, Dropout, LayerNorm, ReLU, Residual, Sequential, Tanh
from tinyae.models.gaussian_codes import halves, joined
from tinyae.params import nest, walk


@pytest.mark.parametrize("name", [name for name in names() if name not in OPERATIONS])
def test_gradients_pass(name):
    reports = list(check_by_name(name))
    assert reports
    assert TOLERANCE == 1e-6
    for report in reports:
        assert report.passed and report.max_relative_error <= 1e-6, report


@pytest.mark.parametrize("name", OPERATIONS)
def test_float32_operations_are_right_but_for_rounding(name):
    (report,) = check_by_name(name)
    assert report.passed, report


def test_all_kinds_are_checked():
    assert set(names()) == {*REGISTRY, *functions(), *models.NAMES, *OPERATIONS}


@pytest.mark.parametrize(
    "module, exempt",
    # Nothing is trained through log_density, kl_elements and rise. sample_backward is the gradient of sample.
    [(losses, set()), (gaussian, {"log_density", "kl_elements", "sample_backward"}), (kl_forms, {"rise"})],
    ids=("losses", "gaussian", "kl_forms"),
)
def test_every_public_function_is_checked(module, exempt):
    own = inspect.getmembers(module, lambda f: inspect.isfunction(f) and f.__module__ == module.__name__)
    assert {name for name, _ in own if not name.startswith("_")} - exempt <= set(functions())


def test_the_function_is_exported():
    assert tinyae.gradcheck(Dense(3), (2,)).passed


def test_unknown_name_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'Dense'"):
        list(check_by_name("Dens"))


@pytest.mark.parametrize("subject, message", [(Dense(3), "needs an input_shape"), (3, "takes a layer or a model")])
def test_wrong_subject_is_refused(subject, message):
    with pytest.raises(ConfigError, match=message):
        gradcheck(subject)


# Every coordinate, on tiny shapes


@pytest.mark.parametrize(
    "layer, shape, train",
    [
        (Dense(2), (3,), True),
        (LayerNorm(), (4,), True),
        (BatchNorm(), (2,), True),
        (BatchNorm(), (2,), False),
        (Dropout(0.4), (3,), True),
        (GELU(), (3,), True),
        (Residual(Dense(2), Tanh(), Dense(3)), (3,), True),
    ],
    ids=repr,
)
def test_every_coordinate(layer, shape, train, h=1e-6):
    rng = np.random.default_rng(0)
    shapes = layer.param_shapes(shape)
    params = nest(shapes, {name: rng.normal(size=s) for name, s in walk(shapes)})
    x, state = rng.normal(size=(3, *shape)), layer.init_state(shape, np, "float64")
    r = rng.normal(size=(3, *layer.output_shape(shape)))

    def forward():
        return layer.forward(params, x, train, Noise(1), state)

    grads = nest(shapes, {name: np.zeros(s) for name, s in walk(shapes)})
    dx = layer.backward(params, forward()[1], r, grads)
    for name, array, gradient in [("x", x, dx), *((k, p, dict(walk(grads))[k]) for k, p in walk(params))]:
        for place in np.ndindex(array.shape):
            kept, sides = array[place], []
            for side in (kept + h, kept - h):
                array[place] = side
                sides.append((forward()[0] * r).sum())
            array[place] = kept
            slope = (sides[0] - sides[1]) / (2 * h)
            assert gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-8), f"{name}{place}"


# Planted wrong gradients: layers


class _TransposedWeight(Dense):
    def backward(self, params, cache, dy, grads=None):
        super().backward(params, cache, dy, grads)
        return dy @ params["weight"]


class _FlippedSign(Dense):
    def backward(self, params, cache, dy, grads=None):
        return -super().backward(params, cache, dy, grads)


class _NoBiasGradient(Dense):
    def add_grads(self, params, cache, dy, grads):
        grads["weight"] += cache.T @ dy


class _MeanForSum(Dense):
    def add_grads(self, params, cache, dy, grads):
        grads["weight"] += cache.T @ dy
        grads["bias"] += dy.mean(axis=0)


class _FactorOnOne(Dense):
    """A relative error of 1e-5 in one array: the smallest that must be seen."""

    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, cache, dy, grads) * (1 + 1e-5)


class _WrongSide(ReLU):
    def backward(self, params, cache, dy, grads=None):
        return dy * (cache <= 0)


class _NoMask(Dropout):
    def backward(self, params, cache, dy, grads=None):
        return dy


class _NoRescaling(Dropout):
    def backward(self, params, cache, dy, grads=None):
        return dy * (cache != 0)


class _RedrawnMask(Dropout):
    def backward(self, params, cache, dy, grads=None):
        return dy * Noise(99).bernoulli("keep", dy.shape, 1 - self.rate, dy.dtype) / (1 - self.rate)


class _ConstantStatistics(BatchNorm):
    def backward(self, params, cache, dy, grads=None):
        *rest, _ = cache
        return super().backward(params, (*rest, False), dy, grads)


class _NoMeanTerm(LayerNorm):
    def backward(self, params, cache, dy, grads=None):
        dx = super().backward(params, cache, dy, grads)
        return dx + (dy * params["scale"]).mean(axis=-1, keepdims=True) * cache[1]


class _NoSkip(Residual):
    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, cache, dy, grads) - dy


class _NotANumber(Tanh):
    def backward(self, params, cache, dy, grads=None):
        dx = super().backward(params, cache, dy)
        dx[0, 0] = np.nan
        return dx


class _CacheOfTheLastCall(Dense):
    """What a cache on `self` does when a layer serves twice in one network."""

    def forward(self, params, x, train=False, rng=None, state=None):
        y, self.cache = super().forward(params, x)
        return y, None

    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, self.cache, dy, grads)


class _Twice(Sequential):
    """f(f(x)), one layer with one set of parameters."""

    def __init__(self, layer):
        super().__init__(layer, layer)

    def param_shapes(self, input_shape):
        return self.layers[0].param_shapes(input_shape)

    def init_state(self, input_shape, xp=np, dtype="float32"):
        return {"0": {}, "1": {}}

    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward({"0": params, "1": params}, x, train, rng, state)

    def backward(self, params, cache, dy, grads=None):
        return super().backward({"0": params, "1": params}, cache, dy, grads and {"0": grads, "1": grads})


@pytest.mark.parametrize(
    "wrong, sound, shape",
    [
        (_TransposedWeight(3), Dense(3), (3,)),
        (_FlippedSign(3), Dense(3), (2,)),
        (_NoBiasGradient(3), Dense(3), (2,)),
        (_MeanForSum(3), Dense(3), (2,)),
        (_FactorOnOne(3), Dense(3), (2,)),
        (_WrongSide(), ReLU(), (5,)),
        (_NoMask(0.5), Dropout(0.5), (5,)),
        (_NoRescaling(0.5), Dropout(0.5), (5,)),
        (_RedrawnMask(0.5), Dropout(0.5), (5,)),
        (_ConstantStatistics(), BatchNorm(), (3,)),
        (_NoMeanTerm(), LayerNorm(), (4,)),
        (_NoSkip(Dense(3)), Residual(Dense(3)), (3,)),
        (_NotANumber(), Tanh(), (3,)),
        (_Twice(_CacheOfTheLastCall(3)), _Twice(Dense(3)), (3,)),
        (Sequential(Dense(4), Tanh(), _NoBiasGradient(2)), Sequential(Dense(4), Tanh(), Dense(2)), (3,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_planted_gradient_of_a_layer_is_caught(wrong, sound, shape):
    assert gradcheck(sound, shape).passed
    for seed in range(5):
        assert not gradcheck(wrong, shape, seed=seed).passed


def test_report_says_where():
    assert gradcheck(_NoBiasGradient(3), (2,)).where == "bias"
    assert gradcheck(_FlippedSign(3), (2,)).where == "x"
    assert gradcheck(Sequential(Dense(4), Tanh(), _NoBiasGradient(2)), (3,)).where == "2.bias"


# Planted wrong gradients: functions and models


def _kl_without_half(mu, logvar):
    kl, dmu, dlogvar = gaussian.kl_standard(mu, logvar)
    return kl, dmu, 2 * dlogvar


def _sum_for_mean(prediction):
    loss, gradient = losses.mse(prediction, np.ones((3, 4)))
    return loss, gradient * len(prediction)


def _noise_redrawn(mu, logvar):
    weights = np.arange(12.0).reshape(3, 4)
    (z, _), (_, cache) = (gaussian.sample(mu, logvar, Noise(s).normal("z", mu.shape, "float64")) for s in (1, 2))
    return (z * weights).sum(), *gaussian.sample_backward(cache, weights)


def _nan(prediction):
    return (prediction**2).sum(), prediction * np.nan


@pytest.mark.parametrize("function", (_kl_without_half, _sum_for_mean, _noise_redrawn, _nan))
def test_planted_gradient_of_a_function_is_caught(function):
    arguments = inspect.signature(function).parameters
    report = gradcheck_function(
        function.__name__, function, lambda noise: {name: noise.normal(name, (3, 4), "float64") for name in arguments}
    )
    assert not report.passed


class _RedrawingVAE(models.VAE):
    def step(self, net, x):
        net.noise = Noise(net.noise.seed, net.noise.step + net.needs_grads, given=net.noise.given)
        return super().step(net, x)


class _ForgettingVAE(models.VAE):
    """The KL's gradient is left out of the encoder's."""

    def step(self, net, x):
        terms = super().step(net, x)
        if net.needs_grads:
            h, cache = net.encoder.forward(x)
            _, dmu, dlogvar = gaussian.kl_standard(*halves(h))
            net.encoder.add_grads(cache, joined(-dmu, -dlogvar))
        return terms


@pytest.mark.parametrize("wrong", (_RedrawingVAE, _ForgettingVAE))
def test_planted_gradient_of_a_model_is_caught(wrong):
    options = dict(input_shape=(3, 3, 1), latent_dim=2, hidden=(5,), activation="tanh")
    assert gradcheck(models.VAE(**options)).passed
    assert not gradcheck(wrong(**options)).passed


def test_float32_model_is_checked_through_a_float64_copy():
    model = models.AE(input_shape=(4,), latent_dim=2, hidden=(3,))
    before = model.store.flat.copy()
    assert gradcheck(model).passed
    np.testing.assert_array_equal(model.store.flat, before)


# Kinks


class _Kink(Tanh):
    """y = |x - k|, with the kink k within the step of the point for the first `points` points of every check."""

    def __init__(self, points, sign=1):
        self.points, self.sign = points, sign

    def forward(self, params, x, train=False, rng=None, state=None):
        k = 0.0
        if rng.step % POINTS < self.points:
            k = Noise(rng.seed, rng.step, "point").normal("x", x.shape, "float64") + 1e-6
        return np.abs(x - k), x - k

    def backward(self, params, cache, dy, grads=None):
        return self.sign * dy * np.sign(cache)


@pytest.mark.parametrize("points", (0, 1, POINTS - 1))
def test_point_near_a_kink_is_drawn_again(points):
    assert gradcheck(_Kink(points), (3,)).passed


def test_kink_everywhere_is_reported():
    report = gradcheck(_Kink(POINTS), (3,))
    assert not report.passed
    assert "kink" in report.where and "FAILED" in repr(report)


def test_kinks_do_not_hide_a_wrong_gradient():
    assert not gradcheck(_Kink(1, sign=-1), (3,)).passed


def test_wide_relu_network_passes_by_drawing_again():
    """With 3 x 400 ReLUs a kink within 1e-5 of a point is common; no seed may fail for it."""
    net = Sequential(Dense(400), ReLU(), Dense(2))
    for seed in range(5):
        report = gradcheck(net, (3,), seed=seed)
        assert report.passed, report


# The report


def test_report_of_no_checks_has_not_passed():
    assert not Report("nothing", 1e-6).passed


@pytest.mark.parametrize("errors, worst, passed", [((1e-9, 5e-7), 5e-7, True), ((2e-6, 1e-9), 2e-6, False)])
def test_report_keeps_the_worst(errors, worst, passed):
    report = Report("layer", 1e-6)
    for number, error in enumerate(errors):
        report.add(error, f"place {number}")
    assert (report.max_relative_error, report.passed, report.checks) == (worst, passed, 2)


def test_report_counts_nan_as_the_worst():
    report = Report("layer", 1e-6)
    for error in (1e-9, float("nan"), 1e-8):
        report.add(error, f"at {error}")
    assert (report.max_relative_error, report.where, report.passed) == (float("inf"), "at nan", False)


def test_report_reads_in_one_line():
    report = Report("Dense(3)", 1e-6)
    report.add(2.5e-9, "x")
    assert repr(report) == "Dense(3): worst relative error 2.50e-09 in 1 checks, passed"
    report.add(0.5, "bias")
    assert repr(report) == "Dense(3): worst relative error 5.00e-01 in 2 checks, FAILED at bias"


def test_same_seed_same_report():
    assert repr(gradcheck(GELU(), (3,), seed=1)) == repr(gradcheck(GELU(), (3,), seed=1))
    assert repr(gradcheck(GELU(), (3,), seed=1)) != repr(gradcheck(GELU(), (3,), seed=2))
