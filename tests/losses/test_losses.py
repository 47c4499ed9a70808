"""Losses: their values against loops, their stability, their scale."""

import inspect
import math

import numpy as np
import oracles
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st

from tinyae import losses
from tinyae.errors import DataError, ShapeError
from tinyae.layers.activations import sigmoid, softplus

DTYPES = ("float32", "float64")
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)  # the first axis is the batch
seeds = st.integers(0, 2**32)


def draw(seed, shape, *kinds):
    """Arrays of one shape: "normal", or "unit" for values in [0, 1]."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) * 2 if kind == "normal" else rng.random(shape) for kind in kinds]


PAIRS = {
    "mse": ("normal", "normal"),
    "l1": ("normal", "normal"),
    "bce_with_logits": ("normal", "unit"),
}
NLLS = ("gaussian_nll", "laplace_nll")


def call(name, seed=0, shape=(4, 3), dtype="float64", rows=slice(None), batch_size=None, convert=np.array):
    """(loss, *gradients) of a loss by name on drawn arrays: what all losses have in common is tested through it."""
    rng = np.random.default_rng(seed)
    if name == "cross_entropy_with_logits":
        arrays = rng.normal(size=(*shape, 5)), rng.integers(0, 5, shape)
    else:
        arrays = draw(seed, shape, *PAIRS.get(name, ("normal", "normal", "normal")))
    arrays = [convert(a[rows] if a.dtype.kind == "i" else a[rows].astype(dtype)) for a in arrays]
    return getattr(losses, name)(*arrays, batch_size=batch_size)


ALL = (*PAIRS, *NLLS, "cross_entropy_with_logits")


@pytest.mark.parametrize("name", NLLS)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_a_fixed_scale_may_be_a_numpy_number(name, kind):
    """It is a Python number to the loss, which keeps the dtype of its arrays."""
    mu, x = np.ones((4, 3), "float32"), np.zeros((4, 3), "float32")
    (loss, dmu), (plain, dplain) = (getattr(losses, name)(mu, x, scale) for scale in (kind(1), 1.0))
    assert loss == plain and loss.dtype == plain.dtype
    assert dmu.dtype == np.float32 and np.array_equal(dmu, dplain)


def test_every_loss_is_tested():
    public = inspect.getmembers(losses, inspect.isfunction)
    assert {name for name, _ in public if not name.startswith("_")} == set(ALL)


@pytest.mark.parametrize("name", PAIRS)
@given(seeds, shapes)
def test_loss_of_a_pair_is_the_loop(name, seed, shape):
    prediction, target = draw(seed, shape, *PAIRS[name])
    loss, gradient = getattr(losses, name)(prediction, target)
    assert loss == pytest.approx(getattr(oracles, name)(prediction, target), rel=1e-12)
    assert gradient.shape == shape


@pytest.mark.parametrize("name", NLLS)
@given(seeds, shapes)
def test_nll_is_minus_the_logarithm_of_the_density(name, seed, shape):
    mu, target, spread = draw(seed, shape, "normal", "normal", "unit")
    loss, *gradients = getattr(losses, name)(mu, target, spread)
    assert loss == pytest.approx(getattr(oracles, name)(mu, target, spread), rel=1e-11)
    assert [g.shape for g in gradients] == [shape, shape]


@pytest.mark.parametrize("name", NLLS)
@pytest.mark.parametrize("spread", (0, -1.3, 0.7))
def test_nll_with_a_number_is_nll_with_an_array_of_it(name, spread):
    mu, target = draw(3, (4, 3), "normal", "normal")
    loss, gradient = getattr(losses, name)(mu, target, spread)
    expected, expected_gradient, _ = getattr(losses, name)(mu, target, np.full(mu.shape, float(spread)))
    assert loss == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-13)


@pytest.mark.parametrize("name", NLLS)
def test_density_integrates_to_one(name):
    x, step = np.linspace(-30, 30, 2001, retstep=True)
    nats = [getattr(losses, name)(np.array([[0.3]]), np.array([[v]]), 0.4)[0] for v in x]
    assert np.exp(np.negative(nats)).sum() * step == pytest.approx(1, rel=1e-3)


@given(seeds, shapes, st.integers(1, 6))
def test_cross_entropy_is_the_loop(seed, shape, classes):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(*shape, classes)) * 3, rng.integers(0, classes, shape)
    loss, gradient = losses.cross_entropy_with_logits(logits, labels)
    assert loss == pytest.approx(oracles.cross_entropy_with_logits(logits, labels), rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(gradient.sum(axis=-1), 0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", (0.0, 0.25, 1.0))
@pytest.mark.parametrize("logit", (-1e4, -100.0, -20.0, -1e-3, 0.0, 1e-3, 20.0, 100.0, 1e4))
def test_bce_is_exact_at_any_logit(logit, target, dtype):
    logits, x = np.array([[logit]], dtype), np.array([[target]], dtype)
    loss, gradient = losses.bce_with_logits(logits, x)
    expected, slope = oracles.bernoulli(logits.item(), x.item())
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    assert float(loss) == pytest.approx(expected, rel=4 * eps, abs=max(4 * eps * target * abs(logit), tiny))
    assert gradient.item() == pytest.approx(slope, rel=4 * eps, abs=max(eps * target, tiny))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bce_of_a_confident_right_logit_keeps_its_digits(dtype):
    """log(1 + exp(-30)) by its series, x - x^2 / 2; at a target just below 1, 30 (1 - x) more."""
    logits = np.array([[30.0]], dtype)
    loss, _ = losses.bce_with_logits(logits, np.ones_like(logits))
    assert float(loss) == pytest.approx(9.357622968839861e-14, rel=4 * float(np.finfo(dtype).eps))
    below = np.nextafter(np.ones_like(logits), np.zeros_like(logits))
    loss, _ = losses.bce_with_logits(logits, below)
    expected = 30 * (1 - below.item()) + 9.357622968839861e-14
    assert float(loss) == pytest.approx(expected, rel=4 * float(np.finfo(dtype).eps))


BCE_LIMITS = [(np.inf, 1.0, 0, 0), (np.inf, 0.25, np.inf, 0.75), (-np.inf, 0.0, 0, 0), (-np.inf, 0.25, np.inf, -0.25)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("logit, target, nats, slope", BCE_LIMITS)
def test_bce_at_an_infinite_logit_is_its_limit(logit, target, nats, slope, dtype, device):
    arrays = (device.array(np.full((1, 3), value, dtype)) for value in (logit, target))
    loss, gradient = device.host(losses.bce_with_logits(*arrays))
    assert loss == nats
    np.testing.assert_array_equal(gradient, np.full((1, 3), slope, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bce_of_the_largest_logit(dtype):
    largest = np.finfo(dtype).max
    loss, gradient = losses.bce_with_logits(np.array([[largest, -largest]], dtype), np.array([[1, 0]], dtype))
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("logit", (5.0, 30.0, 80.0))
def test_cross_entropy_of_a_confident_right_class_keeps_its_digits(logit, dtype):
    """With two classes it is log(1 + exp(-difference)), as the binary one."""
    loss, _ = losses.cross_entropy_with_logits(np.array([[0, logit]], dtype), np.array([1]))
    assert float(loss) == pytest.approx(math.log1p(math.exp(-logit)), rel=8 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_is_exact_at_large_logits(dtype):
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4 + 1], [1e4, 1e4, 1e4]], dtype)
    labels = np.array([1, 2, 0])
    loss, gradient = losses.cross_entropy_with_logits(logits, labels)
    assert float(loss) == pytest.approx(oracles.cross_entropy_with_logits(logits, labels), rel=1e-6)
    expected = np.array([oracles.softmax(row)[0] for row in logits])
    expected[np.arange(3), labels] -= 1
    np.testing.assert_allclose(gradient, expected / 3, rtol=1e-6, atol=1e-7)


def test_cross_entropy_takes_logits_in_any_order_of_memory():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 2, 5)), rng.integers(0, 5, (3, 2))
    expected, results = losses.cross_entropy_with_logits(logits, labels), []
    for order in (np.asfortranarray(logits), np.moveaxis(np.moveaxis(logits, -1, 0).copy(), 0, -1)):
        before = order.copy()
        results.append(losses.cross_entropy_with_logits(order, labels))
        np.testing.assert_array_equal(order, before)
    for loss, gradient in results:
        assert loss == pytest.approx(expected[0], rel=1e-14)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function, far", ((sigmoid, (0, 1)), (softplus, (0, 1e4))))
def test_stable_functions_at_large_inputs(function, far, dtype):
    y = function(np.array([-1e4, 1e4], dtype))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.array(far, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_loss_and_gradients_keep_the_dtype(name, dtype):
    assert {array.dtype for array in call(name, dtype=dtype)} == {np.dtype(dtype)}
    assert call(name, dtype=dtype)[0].shape == ()


@pytest.mark.parametrize("name", ALL)
def test_loss_sums_over_features_and_averages_over_the_batch(name):
    whole = call(name, shape=(4, 3))[0]
    rows = [call(name, shape=(4, 3), rows=slice(n, n + 1))[0] for n in range(4)]
    assert whole == pytest.approx(sum(rows) / 4, rel=1e-14)


@pytest.mark.parametrize("name", ALL)
@given(st.integers(1, 6), st.integers(1, 6))
def test_shards_sum_to_the_whole(name, first, second):
    n = first + second
    loss, *gradients = call(name, shape=(n, 3))
    parts = [call(name, shape=(n, 3), rows=rows, batch_size=n) for rows in (slice(first), slice(first, None))]
    assert parts[0][0] + parts[1][0] == pytest.approx(loss, rel=1e-13)
    for whole, *shards in zip(gradients, parts[0][1:], parts[1][1:], strict=True):
        np.testing.assert_allclose(np.concatenate(shards), whole, rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_backends_agree(name, dtype, gpu):
    on_device = gpu.host(call(name, dtype=dtype, convert=gpu.array))
    assert_same(on_device, call(name, dtype=dtype), 1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("name", ALL)
def test_losses_wait_for_no_device(name, strict_device):
    call(name, convert=strict_device.array)
    assert strict_device.xp.host_syncs == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_bce_on_a_device_is_exact_at_any_logit(dtype, gpu):
    logits = np.array([[-1e4, -100, -20, 0, 20, 100, 1e4]], dtype)
    for target in (0.0, 0.25, 1.0):
        x = np.full_like(logits, target)
        loss, gradient = gpu.host(losses.bce_with_logits(gpu.array(logits), gpu.array(x)))
        assert float(loss) == pytest.approx(oracles.bce_with_logits(logits, x), rel=1e-6)
        slopes = [oracles.bernoulli(float(v), target)[1] for v in logits[0]]
        np.testing.assert_allclose(gradient[0], slopes, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", (*PAIRS, *NLLS))
def test_unequal_shapes_are_refused(name):
    with pytest.raises(ShapeError, match=rf"^{name}: .*\(2, 3\).*\(2, 1\)"):
        getattr(losses, name)(np.zeros((2, 3)), np.zeros((2, 1)))


@pytest.mark.parametrize("labels", (np.zeros(2), np.zeros((2, 1), int), np.zeros(3, int)), ids=("floats", "2d", "long"))
def test_unfit_labels_are_refused(labels):
    with pytest.raises(ShapeError, match="cross_entropy_with_logits"):
        losses.cross_entropy_with_logits(np.zeros((2, 5)), labels)


@pytest.mark.parametrize("label", (-1, -3, 5, 100))
def test_labels_that_are_no_class_are_refused(label):
    with pytest.raises(DataError, match=rf"^cross_entropy_with_logits: expected integers from 0 to 4, got .*{label}"):
        losses.cross_entropy_with_logits(np.zeros((2, 5)), np.array([0, label]))


@pytest.mark.parametrize("label", (-1, 5))
def test_labels_that_are_no_class_make_the_loss_of_a_device_nan(label, strict_device):
    logits, labels = np.ones((2, 5)), np.array([0, label])
    loss, gradient = losses.cross_entropy_with_logits(*map(strict_device.array, (logits, labels)))
    assert strict_device.xp.host_syncs == 0
    loss, gradient = strict_device.host([loss, gradient])
    assert np.isnan(loss)
    np.testing.assert_allclose(gradient[0], [-0.4, 0.1, 0.1, 0.1, 0.1])
    assert np.isnan(gradient[1]).any()


@pytest.mark.parametrize("name", ALL)
def test_empty_batch_has_no_mean(name):
    with pytest.raises(ShapeError, match=r"^an empty batch has no mean loss: .* \(0, "):
        call(name, shape=(0, 3))


@pytest.mark.parametrize("name", ALL)
def test_empty_part_of_a_batch_adds_nothing(name):
    loss, *gradients = call(name, shape=(0, 3), batch_size=4)
    assert loss == 0
    assert {g.shape[:2] for g in gradients} == {(0, 3)}


def test_l1_gradient_at_a_perfect_prediction_is_zero():
    _, gradient = losses.l1(np.ones((2, 2)), np.ones((2, 2)))
    np.testing.assert_array_equal(gradient, 0)
