"""Options of activations: exact GELU, and the parameters of ELU, CELU and Softplus, against closed forms."""

import math

import numpy as np
import pytest

from tinyae import gradcheck
from tinyae.backend.special import normal_cdf
from tinyae.errors import ConfigError
from tinyae.layers import CELU, ELU, GELU, Softplus

X = np.array([[-30.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 3.0, 30.0]])


def phi(v):
    return math.erfc(-v / math.sqrt(2)) / 2


LAYERS = {  # (layer, its function, its derivative)
    "gelu": (
        GELU(approximate="none"),
        lambda v: v * phi(v),
        lambda v: phi(v) + v * math.exp(-v * v / 2) / math.sqrt(2 * math.pi),
    ),
    "elu": (ELU(0.5), lambda v: v if v > 0 else 0.5 * math.expm1(v), lambda v: 1.0 if v > 0 else 0.5 * math.exp(v)),
    "elu-0": (ELU(alpha=0), lambda v: max(v, 0.0), lambda v: float(v > 0)),
    "celu": (CELU(), lambda v: v if v > 0 else math.expm1(v), lambda v: math.exp(min(v, 0))),
    "celu-2": (CELU(2), lambda v: v if v > 0 else 2 * math.expm1(v / 2), lambda v: math.exp(min(v, 0) / 2)),
    "softplus": (
        Softplus(beta=2),
        lambda v: max(v, 0.0) + math.log1p(math.exp(-2 * abs(v))) / 2,
        lambda v: 1 / (1 + math.exp(-2 * v)),
    ),
    "softplus-threshold": (
        Softplus(0.5, threshold=1),
        lambda v: v if v > 2 else math.log1p(math.exp(v / 2)) * 2,
        lambda v: 1.0 if v > 2 else 1 / (1 + math.exp(-v / 2)),
    ),
}
each_layer = pytest.mark.parametrize("layer, function, derivative", LAYERS.values(), ids=LAYERS)


@each_layer
@pytest.mark.parametrize("dtype, digits", [("float32", 1e-6), ("float64", 1e-14)])
def test_activation_is_its_closed_form(layer, function, derivative, dtype, digits, device):
    x = device.array(X.astype(dtype))
    y, cache = layer.forward({}, x)
    dx = layer.backward({}, cache, device.xp.ones_like(x))
    assert y.dtype == dx.dtype == dtype
    for got, wanted in ((y, function), (dx, derivative)):
        expected = [[wanted(float(v)) for v in X[0].astype(dtype)]]
        np.testing.assert_allclose(device.host(got), expected, rtol=digits, atol=digits)


@each_layer
def test_gradient(layer, function, derivative):
    assert gradcheck(layer, (9,)).passed


@pytest.mark.parametrize("alpha", (0.5, 1, 3))
def test_celu_has_slope_one_at_zero(alpha):
    layer = CELU(alpha)
    _, cache = layer.forward({}, np.array([[-1e-12, 0, 1e-12]]))
    np.testing.assert_allclose(layer.backward({}, cache, np.ones((1, 3))), 1, rtol=1e-10)


def test_gelu_is_the_tanh_form_unless_told():
    assert GELU().approximate == "tanh"
    y, _ = GELU().forward({}, X)
    exact, _ = GELU(approximate="none").forward({}, X)
    assert 1e-5 < np.abs(y - exact).max() < 5e-4


@pytest.mark.parametrize("make", (lambda: GELU("erf"), lambda: ELU(-1), lambda: CELU(0), lambda: Softplus(0)))
def test_options_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigError):
        make()


# The normal distribution's cumulative function

VALUES = {  # from tables of 20 digits
    0.0: 0.5,
    1.0: 0.84134474606854294859,
    -1.0: 0.15865525393145705141,
    -2.0: 0.022750131948179207200,
    -8.0: 6.2209605742717841235e-16,
    -20.0: 2.7536241186062336951e-89,
    -37.5: 4.6053530095819548438e-308,
}


@pytest.mark.parametrize("x, expected", VALUES.items())
def test_normal_cdf_at(x, expected):
    assert normal_cdf(np.array([x]))[0] == pytest.approx(expected, rel=1e-15)


def test_normal_cdf_is_exact_to_its_bound():
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    x = np.concatenate((np.linspace(-37, 9, 800), rng.normal(size=800), -(10.0 ** np.linspace(-20, 0, 50))))
    with mpmath.workdps(40):
        exact = np.array([float(mpmath.ncdf(mpmath.mpf(float(v)))) for v in x])
        rounded = np.array([float(mpmath.ncdf(mpmath.mpf(float(v)))) for v in x.astype(np.float32)], np.float32)
    assert np.abs(normal_cdf(x) / exact - 1).max() < 1e-15
    ulps = np.abs(normal_cdf(x.astype(np.float32)).astype(float) - rounded) / np.spacing(rounded)
    assert ulps.max() <= 1


def test_normal_cdf_far_out(device):
    y = device.host(normal_cdf(device.array(np.array([-np.inf, -1e300, -50.0, 50.0, np.inf, np.nan]))))
    np.testing.assert_array_equal(y, [0, 0, 0, 1, 1, np.nan])
