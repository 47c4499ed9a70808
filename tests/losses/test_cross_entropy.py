"""Options of the cross-entropy: class weights, ignored labels, label smoothing, probabilities; all at once, too."""

import itertools
import math

import numpy as np
import oracles
import pytest
from devices import assert_same

from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.losses import cross_entropy_with_logits

WEIGHTS = [0.5, 0.0, 2.0, 1.0]
OPTIONS = list(itertools.product((None, WEIGHTS), (None, 2, -100), (0.0, 0.3, 1.0)))
each_option = pytest.mark.parametrize("weights, ignored, smoothing", OPTIONS)


def drawn(ignored, seed=0, shape=(3, 2), classes=4, dtype="float64"):
    """Logits, and labels of which some are ignored."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape)
    if ignored is not None:
        labels.flat[::2] = ignored
    return (3 * rng.normal(size=(*shape, classes))).astype(dtype), labels


def keywords(weights, ignored, smoothing):
    return {"class_weights": weights, "ignore_index": ignored, "label_smoothing": smoothing}


@each_option
def test_options_are_the_loop(weights, ignored, smoothing):
    logits, labels = drawn(ignored)
    loss, gradient = cross_entropy_with_logits(logits, labels, **keywords(weights, ignored, smoothing))
    expected = oracles.cross_entropy_with_logits(logits, labels, weights, ignored, smoothing)
    assert loss == pytest.approx(expected, rel=1e-13, abs=1e-14)
    assert not gradient[labels == ignored].any()


@pytest.mark.parametrize("weights, smoothing", [*itertools.product((None, WEIGHTS), (0.0, 0.3))])
def test_probabilities_are_the_loop(weights, smoothing):
    logits, _ = drawn(None)
    shares = np.random.default_rng(1).dirichlet(np.ones(4), (3, 2))
    options = {"class_weights": weights, "label_smoothing": smoothing}
    loss, _ = cross_entropy_with_logits(logits, shares, **options)
    assert loss == pytest.approx(oracles.cross_entropy_with_logits(logits, shares, weights, None, smoothing), rel=1e-13)


@each_option
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_options_like_torch(weights, ignored, smoothing, dtype):
    torch = pytest.importorskip("torch")
    logits, labels = drawn(ignored, dtype=dtype)
    loss, gradient = cross_entropy_with_logits(logits, labels, **keywords(weights, ignored, smoothing))
    leaf = torch.tensor(logits, requires_grad=True)
    theirs = {"label_smoothing": smoothing} | ({} if ignored is None else {"ignore_index": ignored})
    theirs |= {} if weights is None else {"weight": torch.tensor(weights, dtype=leaf.dtype)}
    flat = leaf.reshape(-1, 4), torch.tensor(labels).reshape(-1)
    expected = torch.nn.functional.cross_entropy(*flat, **theirs, reduction="sum") / len(logits)
    expected.backward()
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert_same([loss, gradient], [expected.detach().numpy()[()], leaf.grad.numpy()], tolerance)


@pytest.mark.parametrize("options", ({}, {"class_weights": WEIGHTS}, {"label_smoothing": 0.3}), ids=str)
def test_probabilities_of_one_are_labels(options):
    logits, labels = drawn(None)
    of_labels = cross_entropy_with_logits(logits, labels, **options)
    assert_same(cross_entropy_with_logits(logits, np.eye(4)[labels], **options), of_labels, 1e-14)


def test_smoothed_loss_of_equal_logits():
    """All logits are alike, so every class costs log 4, whatever the label."""
    loss, gradient = cross_entropy_with_logits(np.zeros((1, 4)), np.array([1]), label_smoothing=0.2)
    assert loss == pytest.approx(math.log(4), rel=1e-15)
    np.testing.assert_allclose(gradient, [[0.2, -0.6, 0.2, 0.2]], rtol=1e-14)


def test_weighted_loss_of_equal_logits():
    """Divided by the number of examples, not by the sum of the weights."""
    loss, gradient = cross_entropy_with_logits(np.zeros((2, 4)), np.array([0, 2]), class_weights=WEIGHTS)
    assert loss == pytest.approx((0.5 + 2.0) * math.log(4) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-0.1875, 0.0625, 0.0625, 0.0625], [0.25, 0.25, -0.75, 0.25]], rtol=1e-14)


def test_ignored_label_of_an_impossible_class_costs_nothing():
    logits = np.array([[-np.inf, 0.0], [-np.inf, 0.0]])
    loss, gradient = cross_entropy_with_logits(logits, np.array([0, 1]), ignore_index=0)
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0)


def test_nothing_but_ignored_labels_costs_nothing():
    loss, gradient = cross_entropy_with_logits(np.ones((2, 3)), np.array([-1, -1]), ignore_index=-1)
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("options", (keywords(WEIGHTS, -1, 0.0), keywords(WEIGHTS, -1, 0.3)), ids=("plain", "smoothed"))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_backends_agree(options, dtype, gpu):
    logits, labels = drawn(-1, dtype=dtype)
    on_host = cross_entropy_with_logits(logits, labels, **options)
    options = options | {"class_weights": gpu.array(np.array(WEIGHTS, dtype))}
    on_device = cross_entropy_with_logits(gpu.array(logits), gpu.array(labels), **options)
    assert_same(gpu.host(on_device), on_host, 1e-6 if dtype == "float32" else 1e-14)


def test_options_wait_for_no_device(strict_device):
    arrays = map(strict_device.array, drawn(-1))
    options = keywords(strict_device.array(np.array(WEIGHTS)), -1, 0.1)
    cross_entropy_with_logits(*arrays, **options)
    assert strict_device.xp.host_syncs == 0


@pytest.mark.parametrize("smoothing", (0.0, 0.1))
def test_label_that_is_no_class_is_refused_beside_ignored_ones(smoothing):
    labels = np.array([-100, 4, 0])
    with pytest.raises(DataError, match="expected integers from 0 to 3, got 0 to 4"):
        cross_entropy_with_logits(np.zeros((3, 4)), labels, ignore_index=-100, label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", (-0.1, 1.1, float("nan")))
def test_smoothing_outside_is_refused(smoothing):
    with pytest.raises(ConfigError, match="label_smoothing"):
        cross_entropy_with_logits(np.zeros((1, 4)), np.array([0]), label_smoothing=smoothing)


@pytest.mark.parametrize("weights", (np.ones(3), 1.0, np.ones((4, 1))), ids=str)
def test_weights_of_another_shape_are_refused(weights):
    with pytest.raises(ShapeError, match="4 classes need as many class_weights"):
        cross_entropy_with_logits(np.zeros((1, 4)), np.array([0]), class_weights=weights)


def test_ignored_index_of_probabilities_is_refused():
    with pytest.raises(ConfigError, match="ignore_index goes with integer labels"):
        cross_entropy_with_logits(np.zeros((1, 4)), np.full((1, 4), 0.25), ignore_index=0)
