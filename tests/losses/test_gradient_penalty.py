"""The gradient penalty: against loops and finite differences of the whole of it, in inputs and in parameters."""

import math

import numpy as np
import pytest
from devices import assert_same

from tinyae.backend import Noise
from tinyae.errors import ConfigError
from tinyae.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Tanh,
)
from tinyae.losses import gradient_penalty as module
from tinyae.losses.gradient_penalty import gradient_penalty, gradient_penalty_backward
from tinyae.params import ParamStore

WEIGHT = 10.0
CRITICS = {
    "linear": (Sequential(Dense(1)), (4,)),
    "dense": (Sequential(Flatten(), Dense(6), LeakyReLU(0.2), Dense(5), ReLU(), Dense(1)), (2, 3, 1)),
    "dropout": (Sequential(Dense(8), LeakyReLU(0.2), Dropout(0.4), Dense(1, bias=False)), (5,)),
    "conv": (
        Sequential(Conv2D(3, 4, stride=2), LeakyReLU(0.2), Conv2D(4, 3, stride=2), LeakyReLU(0.2), Flatten(), Dense(1)),
        (5, 6, 2),
    ),
    "reshape": (Sequential(Dense(12), ReLU(), Reshape((2, 3, 2)), Conv2D(2, 2), Flatten(), Dense(1)), (3,)),
}
each_critic = pytest.mark.parametrize("name", CRITICS)


def case(name, dtype="float64", n=4):
    critic, shape = CRITICS[name]
    store = ParamStore(critic.param_shapes(shape), dtype=dtype)
    rng = np.random.default_rng(3)
    store.flat[...] = rng.normal(size=store.flat.size) * 0.6
    return critic, store, rng.normal(size=(n, *shape)).astype(dtype)


def by_differences(critic, params, x, rng):
    """The penalty with every slope measured: D of one element moved at a time."""
    h, total = 1e-5, 0.0
    slopes = np.zeros_like(x)
    for place in np.ndindex(*x.shape[1:]):
        ends = []
        for step in (h, -h):
            moved = x.copy()
            moved[(slice(None), *place)] += step
            ends.append(critic.forward(params, moved, True, rng)[0][:, 0])
        slopes[(slice(None), *place)] = (ends[0] - ends[1]) / (2 * h)
    for slope in slopes:
        total += (math.sqrt((slope**2).sum()) - 1) ** 2
    return WEIGHT * total / len(x)


def penalty(critic, params, x, weight, grads=None, **options):
    """The penalty; its gradients are added into `grads` where given."""
    value, cache = gradient_penalty(critic, params, x, weight, **options)
    if grads is not None:
        gradient_penalty_backward(critic, params, cache, grads)
    return value


@each_critic
def test_value(name):
    critic, store, x = case(name)
    found = penalty(critic, store.tree, x, WEIGHT, train=True, rng=Noise(1))
    assert found == pytest.approx(by_differences(critic, store.tree, x, Noise(1)), rel=1e-7)


@each_critic
def test_gradient_of_every_parameter(name):
    """Against differences of the penalty itself, each parameter by itself; none of these points is near a kink."""
    critic, store, x = case(name)
    grads, h = store.like(), 1e-6
    penalty(critic, store.tree, x, WEIGHT, grads.tree, train=True, rng=Noise(1))
    grads.settle()
    measured = np.zeros_like(store.flat)
    for i in range(len(store.flat)):
        kept, ends = store.flat[i], []
        for step in (h, -h):
            store.flat[i] = kept + step
            ends.append(penalty(critic, store.tree, x, WEIGHT, train=True, rng=Noise(1)))
        store.flat[i] = kept
        measured[i] = (ends[0] - ends[1]) / (2 * h)
    assert np.abs(measured).max() > 1
    np.testing.assert_allclose(grads.flat, measured, rtol=0, atol=1e-7 * np.abs(measured).max())
    for key, gradient in grads.named.items():
        assert (gradient == 0).all() == key.endswith("bias"), key


def test_a_planted_error_is_seen(monkeypatch):
    """LeakyReLU takes its slopes from the values of the linearised pass instead of from x."""
    monkeypatch.setattr(module, "DIAGONAL", (LeakyReLU, ReLU, Dropout))
    monkeypatch.setattr(LeakyReLU, "backward", lambda self, params, cache, dy, grads=None: self.forward({}, dy)[0])
    with pytest.raises(AssertionError):
        test_gradient_of_every_parameter("dense")


def test_a_linear_critic_has_its_weight_as_slope():
    critic, store, x = case("linear")
    w = store.named["0.weight"]
    length = math.sqrt((w**2).sum())
    grads = store.like()
    assert penalty(critic, store.tree, x, 3.0, grads.tree) == pytest.approx(3 * (length - 1) ** 2)
    np.testing.assert_allclose(grads.named["0.weight"], 6 * (length - 1) * w / length, rtol=1e-12)
    w /= length
    assert penalty(critic, store.tree, x, 3.0) == pytest.approx(0, abs=1e-28)


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_a_critic_without_slope_is_no_trouble(dtype):
    """The norm has no gradient at 0; the penalty is the weight, and nothing becomes NaN."""
    critic, store, x = case("dense", dtype)
    store.flat[...] = 0
    grads = store.like()
    assert penalty(critic, store.tree, x, WEIGHT, grads.tree) == WEIGHT
    assert (grads.flat == 0).all()


@each_critic
def test_it_adds_and_divides_by_the_batch_size(name):
    critic, store, x = case(name)
    whole, parts = store.like(), store.like()
    total = penalty(critic, store.tree, x, WEIGHT, whole.tree)
    halves = [penalty(critic, store.tree, x[rows], WEIGHT, parts.tree, batch_size=4)
              for rows in (slice(3), slice(3, 4))]  # fmt: skip
    assert sum(halves) == pytest.approx(total, rel=1e-13)
    assert_same(parts.named, whole.named, 1e-13)


@each_critic
@pytest.mark.parametrize("dtype, tolerance", (("float32", 1e-4), ("float64", 1e-12)))
def test_devices_agree(name, dtype, tolerance, device):
    """Inputs are read-only; the dtype is kept; nothing is moved to the host."""
    critic, store, x = case(name, dtype)
    expected = store.like()
    value = penalty(critic, store.tree, x, WEIGHT, expected.tree)
    there = ParamStore(store.shapes, device.xp, dtype)
    before = getattr(device.xp, "host_syncs", 0)
    grads = there.like()
    found = penalty(critic, device.array(store.tree), device.array(x), WEIGHT, grads.tree)
    assert getattr(device.xp, "host_syncs", 0) == before
    assert found.shape == () and found.dtype == dtype
    assert_same(device.host([found, grads.named]), device.host([np.asarray(value), expected.named]), tolerance)


@pytest.mark.parametrize("layer", (Tanh(), BatchNorm(), Sequential(Dense(2))))
def test_what_is_not_piecewise_linear_is_refused_in_one_line(layer):
    critic = Sequential(Dense(3), layer, Dense(1))
    store = ParamStore(critic.param_shapes((4,)))
    with pytest.raises(ConfigError, match="piecewise linear critics, .* is not: use LeakyReLU$"):
        penalty(critic, store.tree, np.zeros((2, 4), "float32"), WEIGHT)
