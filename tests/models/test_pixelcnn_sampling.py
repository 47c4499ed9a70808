"""Sampling from pixelcnn: the incremental sampler is compared with the naive one, and the sampled maps with p(x)."""

import itertools
import math

import numpy as np
import pytest
from devices import assert_same

from tinyae import models
from tinyae.backend import Noise, native
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.models.pixelcnn import PIXELCNN_NETWORKS
from tinyae.networks import raster

SMALL = dict(input_shape=(4, 5), levels=5, width=6, blocks=3)
each_network = pytest.mark.parametrize("network", PIXELCNN_NETWORKS)


def drawn(model, seed=0):
    """The model with weights drawn anew and biases that are not 0, for logits of a few units."""
    rng = np.random.default_rng(seed)
    for name, p in model.named_parameters().items():
        scale = 1.5 / math.sqrt(math.prod(p.shape[:-1])) if name.endswith("weight") else 0.3
        p[...] = model.backend.asarray((rng.normal(size=p.shape) * scale).astype(p.dtype))
    model.store.tree["input"]["weight"][...] *= 5
    return model


def run(sampler, model, n=3):
    """(codes, the logits of every pixel in the order in which they were drawn)."""
    draw, seen = raster.Draw(model, 1.0, 0), []

    def recording(logits, u):
        seen.append(model.backend.to_host(logits).copy())
        return draw(logits, u)

    u = model.backend.noise(3).uniform("sample", (n, math.prod(model.map_shape)), model.dtype)
    labels = model.backend.asarray(np.arange(n) % max(1, model.classes))
    return sampler(model, recording, u, labels), np.array(seen)


@pytest.fixture(params=["compiled float32", "NumPy float32", "NumPy float64"])
def dtype(request, monkeypatch):
    """A dtype, and whose products its convolutions take."""
    products, dtype = request.param.split()
    if products == "NumPy":
        monkeypatch.setattr("tinyae.backend.native._answer", (None, "off"))
    elif native.library() is None:
        pytest.skip(native.status())
    return dtype


def options_of(seed):
    """Sizes on all sides of the borders between tiles, and 64 channels, for which there is a fast algorithm."""
    rng = np.random.default_rng(seed)
    return dict(
        input_shape=(int(rng.integers(1, 5)), int(rng.integers(1, 7))),
        levels=int(rng.integers(1, 21)),
        width=int(rng.choice([1, 2, 5, 16, 64, 70])),
        blocks=int(rng.integers(1, 4)),
        classes=int(rng.integers(0, 3)),
    )


@each_network
@pytest.mark.parametrize("seed", range(6))
def test_incremental_is_naive_bit_for_bit(network, seed, dtype):
    """Every logit, not the codes alone, of one to six maps."""
    model, n = drawn(models.PixelCNN(**options_of(seed), network=network, dtype=dtype)), 1 + seed
    assert_same(run(raster.incremental, model, n), run(raster.naive, model, n))


@each_network
def test_the_default_networks_are_sampled_bit_for_bit(network, dtype):
    model = drawn(models.PixelCNN((2, 4), network=network, dtype=dtype))
    codes, logits = run(raster.incremental, model, 2)
    assert_same((codes, logits), run(raster.naive, model, 2))
    assert logits.std() > 0.5


@each_network
def test_incremental_is_naive_up_to_rounding_elsewhere(network, gpu):
    options = dict(network=network, classes=2, backend=gpu.backend, dtype="float64")
    model = drawn(models.PixelCNN(**SMALL | options))
    results = [gpu.host(run(sampler, model)) for sampler in (raster.incremental, raster.naive)]
    assert_same(*results, 1e-13)


@each_network
def test_devices_draw_the_same_maps(network, gpu, numpy_device):
    results = [
        drawn(models.PixelCNN(**SMALL, network=network, classes=2, backend=place.backend, dtype="float64")).sample(
            6, temperature=0.8, top_k=4
        )
        for place in (gpu, numpy_device)
    ]
    assert_same(*results)


@each_network
def test_frequencies_are_the_probabilities(network):
    """30,000 maps of 2 x 2 codes: chi-square within five standard deviations; maps rarer than 5 count as one."""
    model = drawn(models.PixelCNN((2, 2), levels=3, network=network, width=6, blocks=2, classes=2), seed=2)
    maps, n = np.array(list(itertools.product(range(3), repeat=4))).reshape(-1, 2, 2), 30_000
    p = np.exp(model.log_prob(maps, np.ones(81, int)).astype(float))
    number = model.sample(n, seed=4, labels=1).reshape(n, 4) @ 3 ** np.arange(3, -1, -1)
    expected = n * p
    often = expected >= 5
    group = np.where(often, np.arange(81), np.argmin(np.where(often, expected, n)))
    expected, found = np.bincount(group, expected, 81)[often], np.bincount(group[number], minlength=81)[often]
    statistic, degrees = ((found - expected) ** 2 / expected).sum(), len(expected) - 1
    assert degrees > 20
    assert abs(statistic - degrees) < 5 * math.sqrt(2 * degrees)
    assert abs(p - 1 / 81).max() > 0.02  # far from what a model that has not learned draws


@pytest.mark.parametrize("temperature, top_k", [(1.0, 0), (0.5, 0), (2.0, 3), (1.0, 1)])
def test_a_draw_is_the_inverse_of_the_distribution_function(temperature, top_k):
    """Against loops: probabilities by their definition, and the first code whose sum reaches u."""
    model, rng = models.PixelCNN((1, 1), levels=6), np.random.default_rng(0)
    logits, u = 3 * rng.normal(size=(200, 6)), rng.uniform(size=200)
    found = raster.Draw(model, temperature, top_k)(logits, u)
    for row, uniform, code in zip(logits, u, found, strict=True):
        kept = sorted(range(6), key=lambda k: -row[k])[: top_k or 6]
        weights = [math.exp(row[k] / temperature) if k in kept else 0.0 for k in range(6)]
        below, expected = 0.0, 0
        while below + weights[expected] < uniform * sum(weights):
            below, expected = below + weights[expected], expected + 1
        assert code == expected


def test_a_draw_at_the_ends():
    """u next to 0 and next to 1 give codes that are possible; a sum that is u has reached it."""
    draw = raster.Draw(models.PixelCNN((1, 1), levels=4), 1.0, 2)
    logits = np.array([[-200, 1, 2, -300]] * 2, "float32")
    assert draw(logits, np.array([2.0**-24, 1 - 2.0**-24], "float32")).tolist() == [1, 2]
    assert raster.Draw(models.PixelCNN((1, 1), levels=2), 1.0, 0)(np.zeros((1, 2)), np.array([0.5])).tolist() == [0]


@each_network
def test_a_map_depends_on_its_number_and_the_seed_alone(network, dtype):
    model = drawn(models.PixelCNN(**SMALL, network=network, dtype=dtype))
    maps = model.sample(7, seed=5)
    assert (maps.shape, maps.dtype) == ((7, 4, 5), np.int64)
    assert 0 <= maps.min() < maps.max() < 5
    assert_same(model.sample(3, seed=5), maps[:3])
    model.chunk = 2
    assert_same(model.sample(7, seed=5), maps)
    assert (model.sample(7, seed=6) != maps).any()
    assert len({m.tobytes() for m in maps}) == 7


def test_images_come_back_in_their_shape_and_levels():
    model = drawn(models.PixelCNN((2, 3, 3), levels=5, width=4, blocks=1))
    images = model.sample(8, seed=1)
    assert (images.shape, images.dtype) == ((8, 2, 3, 3), np.float32)
    assert set(np.unique(images)) == {0, 0.25, 0.5, 0.75, 1}
    codes = model.backend.to_host(model.prepare({"x": images})["x"])
    u = model.backend.noise(1).uniform("sample", (8, 18))
    assert_same(raster.naive(model, raster.Draw(model, 1.0, 0), u, None), codes)


def test_labels_of_samples():
    model = drawn(models.PixelCNN(**SMALL, classes=3))
    in_turn = model.sample(6, seed=2)
    assert_same(model.sample(6, seed=2, labels=[0, 1, 2, 0, 1, 2]), in_turn)
    twos = model.sample(6, seed=2, labels=2)
    assert_same(twos[[2, 5]], in_turn[[2, 5]])
    assert (twos != in_turn).any()
    with pytest.raises(DataError, match="3 classes, so labels are 0 to 2, got 3 to 3"):
        model.sample(2, labels=3)
    with pytest.raises(ShapeError, match="a label for each of 2 examples"):
        model.sample(2, labels=[0, 1, 2])


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(temperature=0), "temperature: expected a number above 0, got 0"),
        (dict(temperature=math.nan), "temperature: expected a number above 0, got nan"),
        (dict(top_k=6), "top_k: expected an integer from 0 to 5, got 6"),
        (dict(top_k=-1), "got -1"),
        (dict(top_k=1.5), "got 1.5"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(ConfigError, match=words):
        models.PixelCNN(**SMALL).sample(1, **options)


def test_noise_is_named():
    """So that a model's maps stay the same when something else is drawn, too."""
    model = drawn(models.PixelCNN(**SMALL))
    u = Noise(9).uniform("sample", (2, 20))
    assert_same(raster.naive(model, raster.Draw(model, 1.0, 0), u, None), model.sample(2, seed=9))
