"""pixelcnn: its probabilities over every map, what a pixel sees, and what it refuses."""

import itertools
import math

import numpy as np
import pytest
from devices import assert_same

import tinyae
from tinyae import models
from tinyae.backend import Noise
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.models.context import Context
from tinyae.models.pixelcnn import PIXELCNN_NETWORKS

TINY = dict(input_shape=(2, 2), levels=3, width=4, blocks=1)
each_network = pytest.mark.parametrize("network", PIXELCNN_NETWORKS)


def drawn(model, seed=0):
    """The model with parameters drawn anew, large enough for probabilities far from uniform."""
    flat = model.store.flat
    flat[...] = np.random.default_rng(seed).normal(size=flat.size)
    return model


def every_map(shape, levels):
    """(levels^(H W), H, W)."""
    return np.array(list(itertools.product(range(levels), repeat=math.prod(shape)))).reshape(-1, *shape)


@pytest.mark.parametrize(
    "options, count",
    [
        ({}, 1_049_728),
        (dict(classes=10), 1_049_728 + 10 * 128),
        (dict(blocks=3), 1_049_728 + 98_624),
        (dict(levels=256, width=64, blocks=1), 49 * 256 * 64 + 64 + 24_736 + 2 * 4_160 + 16_640),
    ],
)
def test_param_count_of_the_residual_network(options, count):
    assert models.PixelCNN(**options).param_count == count


def test_param_count_of_the_gated_network():
    """The seen taps alone: first layer 3x7 and 1x3, then 2x3 and 1x2, each with 1x1 to 2 C and to C; 512 units."""

    def layer(vertical, horizontal, c=64):
        return (vertical * c + 1) * 2 * c + (horizontal * c + 1) * 2 * c + (2 * c + 1) * 2 * c + (c + 1) * c

    expected = 128 * 64 + layer(21, 3) + 14 * layer(6, 2) + 65 * 512 + 513 * 128
    assert models.PixelCNN(network="gated").param_count == expected == 1_535_168
    assert models.PixelCNN(network="gated", classes=10).param_count == expected + 10 * 15 * 128


@each_network
@pytest.mark.parametrize("options", [{}, dict(input_shape=(1, 2, 2)), dict(input_shape=(1, 1, 3), levels=5)])
def test_probabilities_of_all_maps_add_up_to_1(network, options):
    """Of all images too, and under every label."""
    model = drawn(models.PixelCNN(**TINY | options, network=network, classes=2, dtype="float64"))
    x = every_map(model.map_shape, model.levels)
    if len(model.input_shape) == 3:
        x = (x / (model.levels - 1)).reshape(-1, *model.input_shape)
    sums = [math.fsum(np.exp(model.log_prob(x, np.full(len(x), y)))) for y in range(2)]
    assert sums == pytest.approx([1, 1], abs=1e-12)


@each_network
def test_labels_change_probabilities(network):
    model = drawn(models.PixelCNN(**TINY, network=network, classes=2))
    x = every_map((2, 2), 3)
    assert abs(model.log_prob(x, np.zeros(81, int)) - model.log_prob(x, np.ones(81, int))).max() > 0.1


@each_network
def test_the_loss_is_minus_the_mean_of_log_prob(network):
    model = drawn(models.PixelCNN(**TINY, network=network, dtype="float64"))
    x = every_map((2, 2), 3)[::7]
    expected = pytest.approx(-model.log_prob(x).mean(), rel=1e-12)
    assert float(model.loss({"x": x})["loss"]) == expected
    assert model.evaluate([{"x": x[:5]}, {"x": x[5:]}], len(x), Noise)["loss"] == expected


def test_report():
    """Of logits known by hand: p(x_i) of 1/2, 1/4, 1/4 whatever comes before."""
    model = models.PixelCNN(**TINY, dtype="float64")
    model.store.flat[...] = 0
    model.store.tree["output"]["bias"][...] = np.log([0.5, 0.25, 0.25])
    report = model.measures(np.array([[[0, 0], [1, 2]]], np.uint8))
    bits = (1 + 1 + 2 + 2) / 4
    assert report == {
        "nats_per_code": pytest.approx(bits * math.log(2)), "bits_per_dim": pytest.approx(bits), "accuracy": 0.5,
    }  # fmt: skip


@each_network
def test_training_learns_what_is_certain(network):
    """Code = class at the first pixel, from then on one more than before: no nats are left, and samples do so too."""
    labels = np.arange(240) % 4
    x = ((labels[:, None] + np.arange(6)) % 4).astype(np.uint8).reshape(-1, 2, 3)
    model = models.PixelCNN((2, 3), levels=4, network=network, width=8, blocks=2, classes=4)
    tinyae.fit(model, (x, labels), epochs=12, batch_size=24, lr=0.01, progress=False)
    report = model.measures(x, labels)
    assert report["accuracy"] == 1 and report["nats_per_code"] < 0.02
    assert (model.sample(40, seed=1, top_k=1) == x[:40]).all()


# What a pixel sees


def seen_by(model, i, j):
    """The pixels by which the logits at (i, j) have a gradient, through one-hot codes or their embedding: (H, W)."""
    height, width = model.map_shape
    rng, shape = np.random.default_rng(0), (16, height, width)
    codes = rng.integers(0, model.levels, shape)
    net = Context(model, None, False, None, 16)
    h, _ = net.input.forward(codes)
    h, c_stack = net.stack.forward((h, None))
    logits, c_out = net.output.forward(h)
    dlogits = np.zeros_like(logits)
    dlogits[:, i, j] = rng.normal(size=(16, model.levels))
    dh = net.output.backward(c_out, dlogits)
    dx, _ = net.stack.backward(c_stack, dh)
    if model.config["network"] == "residual":  # its input network is a convolution, not an embedding
        one_hot = np.zeros((*shape, model.levels))
        dx = model.networks["input"].conv.backward(model.store.tree["input"], one_hot, dx)
    return (dx != 0).any(axis=(0, 3))


def before(shape, i, j):
    """The pixels before (i, j) in raster order: (H, W)."""
    return (np.arange(math.prod(shape)) < i * shape[1] + j).reshape(shape)


@pytest.mark.parametrize("shape, blocks", [((5, 6), 6), ((9, 2), 8), ((2, 9), 8), ((1, 1), 1)])
def test_a_pixel_of_the_gated_network_sees_all_before_it(shape, blocks):
    model = drawn(models.PixelCNN(shape, levels=3, network="gated", width=4, blocks=blocks, dtype="float64"))
    model.store.flat *= 0.3  # else gates are shut so tightly that gradients vanish
    for i, j in np.ndindex(shape):
        assert (seen_by(model, i, j) == before(shape, i, j)).all(), (i, j)


def test_the_residual_network_has_a_blind_spot():
    """Every pixel sees pixels before it alone; those above and to the right, beyond a slope, it never sees."""
    shape = 7, 9
    model = drawn(models.PixelCNN(shape, levels=3, width=8, blocks=1, dtype="float64"))
    for i, j in np.ndindex(shape):
        # A 7x7 window after a 3x3 one: from each pixel that the latter sees, three up and three to each side.
        expected = np.zeros(shape, bool)
        for row, columns in ((i, (j - 1, j)), (i - 1, (j - 1, j, j + 1))):
            for column in columns:
                for a, b in np.ndindex(shape):
                    near = row - 3 <= a <= row and abs(b - column) <= 3 and 0 <= column < shape[1] and row >= 0
                    expected[a, b] |= near and (a < row or b < column)
        assert (seen_by(model, i, j) == expected).all(), (i, j)
    deep = drawn(models.PixelCNN(shape, levels=3, width=8, blocks=6, dtype="float64"))
    seen = seen_by(deep, 3, 0)
    assert seen[:3].sum(axis=1).tolist() == [6, 5, 4]  # each row has 9 pixels
    assert not seen[3:].any()


# Images


def test_images_are_rounded_to_levels_and_channels_follow_one_another():
    model = models.PixelCNN(input_shape=(2, 1, 3), levels=4)
    x = np.array([[[[0.0, 0.1, 0.2]], [[0.49, 0.7, 1.0]]]])
    assert model.prepare({"x": x})["x"].tolist() == [[[0, 0, 1], [1, 2, 3]]]
    byte = np.array([[[[0, 85, 170]], [[255, 42, 43]]]], np.uint8)
    assert model.prepare({"x": byte})["x"].tolist() == [[[0, 1, 2], [3, 0, 1]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_codes_of_any_integer_type(dtype):
    model = drawn(models.PixelCNN(**TINY))
    x = every_map((2, 2), 3)
    assert_same(model.log_prob(x.astype(dtype)), model.log_prob(x))


# What is refused


@pytest.mark.parametrize(
    "x, error, words",
    [
        (np.full((1, 2, 2), 3), DataError, "values from 3 to 3 in 3 levels, 0 to 2"),
        (np.array([[[0, 1], [-1, 0]]]), DataError, "values from -1 to 1"),
        (np.zeros((1, 2, 2)), DataError, "maps of codes are integers, got float64"),
        (np.zeros((1, 3, 2), int), ShapeError, r"expected x of shape \(N, 2, 2\), got \(1, 3, 2\)"),
    ],
)
def test_codes_that_cannot_be(x, error, words):
    with pytest.raises(error, match=words):
        models.PixelCNN(**TINY).log_prob(x)


def test_images_outside_0_to_1_are_refused():
    with pytest.raises(DataError, match="values from 0 to 4 in 3 levels"):
        models.PixelCNN(**TINY | dict(input_shape=(1, 2, 1))).log_prob(np.array([[[[0.1], [2.0]]]]))


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(network="gatted"), "unknown network 'gatted'"),
        (dict(input_shape=(7,)), r"maps \(H, W\) or images"),
        (dict(levels=0), "levels: expected"),
        (dict(width=-1), "width: expected"),
        (dict(classes=2.5), "classes: expected"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(ConfigError, match=words):
        models.PixelCNN(**options)


def test_labels_are_needed_with_classes_alone():
    x = every_map((2, 2), 3)
    with pytest.raises(ConfigError, match="needs labels"):
        models.PixelCNN(**TINY, classes=2).loss({"x": x})
    with pytest.raises(DataError, match="2 classes, so labels are 0 to 1, got 0 to 2"):
        models.PixelCNN(**TINY, classes=2).loss({"x": x, "labels": x[:, 0, 0]})
    models.PixelCNN(**TINY).loss({"x": x, "labels": x[:, 0, 0]})
