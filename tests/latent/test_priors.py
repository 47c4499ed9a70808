"""Priors of codes: the distribution of the samples, the regions for labels, and the same bits on every device."""

import math

import numpy as np
import pytest
from devices import assert_same

from tinyae.backend import Noise
from tinyae.errors import ConfigError
from tinyae.latent.priors import PRIORS, GaussianPrior, RingPrior, SwissRollPrior, UniformPrior

N, CLASSES = 20_000, 5
DIMS = {"gaussian": 3, "uniform": 3, "ring": 2, "swiss-roll": 2}
each_prior = pytest.mark.parametrize("name", PRIORS)


def drawn(name, labels=None, n=N, seed=0, dtype="float64", **options):
    prior = PRIORS[name](DIMS[name], **{"classes": CLASSES} | options)
    return prior.sample(Noise(seed), n, dtype, labels)


def angle(points):
    """In turns, from 0 to 1."""
    return np.arctan2(points[:, 1], points[:, 0]) / (2 * math.pi) % 1


# Where each prior's regions are, from their descriptions: (N, D) -> numbers of regions (N,)


def sector(z):
    return np.floor(CLASSES * angle(z))


def stripe(z):
    return np.floor((z[:, 0] + 2) / 4 * CLASSES)


def petal(z):
    means = [(2.8 * math.cos(a), 2.8 * math.sin(a)) for a in 2 * math.pi * np.arange(CLASSES) / CLASSES]
    return np.array([[math.dist(point, mean) for mean in means] for point in z]).argmin(axis=1)


def stretch(z):
    """By the point of the spiral's middle line that is the nearest."""
    u = (np.arange(4000) + 0.5) / 4000
    radius, turns = 3 * np.sqrt(u), 2 * np.sqrt(u)
    line = np.stack((radius * np.cos(2 * math.pi * turns), radius * np.sin(2 * math.pi * turns)), axis=1)
    return np.floor(CLASSES * u[((z[:, None] - line) ** 2).sum(axis=2).argmin(axis=1)])


REGIONS = {"gaussian": (sector, 1.0), "uniform": (stripe, 1.0), "ring": (petal, 0.99), "swiss-roll": (stretch, 0.95)}


@pytest.mark.parametrize("labels", (None, np.arange(N) % CLASSES, np.full(N, -1)), ids=("none", "each", "unknown"))
@pytest.mark.parametrize("scale", (1.0, 5.0))
def test_the_gaussian_is_a_gaussian_whatever_is_known(labels, scale):
    z = drawn("gaussian", labels, scale=scale) / scale
    error = 4 / math.sqrt(N)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=error)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=2 * error)
    np.testing.assert_allclose((z**4).mean(axis=0), 3, atol=0.35)


def test_the_reference_prior_is_five_times_a_standard_normal():
    """As main_aae.py draws it: torch.randn(...) * 5."""
    np.testing.assert_array_equal(
        GaussianPrior(120, scale=5.0).sample(Noise(3), 7), 5 * Noise(3).normal("z", (7, 120), "float32")
    )


def test_the_gaussian_knows_its_density():
    z = np.random.default_rng(0).normal(size=(4, 3))
    squares = [sum(v * v for v in row) / 2.25 for row in z]
    expected = [-0.5 * s - 1.5 * math.log(2 * math.pi * 2.25) for s in squares]
    np.testing.assert_allclose(GaussianPrior(3, scale=1.5).log_density(z), expected, rtol=1e-13)


@pytest.mark.parametrize("labels", (None, np.arange(N) % CLASSES), ids=("none", "each"))
def test_the_cube_is_filled_evenly(labels):
    z = drawn("uniform", labels, scale=0.5)
    assert -1 < z.min() < -0.99 and 0.99 < z.max() < 1
    counts, _ = np.histogramdd(z, bins=4, range=[(-1, 1)] * 3)
    np.testing.assert_allclose(counts, N / 64, atol=5 * math.sqrt(N / 64))


def test_petals_are_longer_than_wide():
    z = drawn("ring", np.full(N, 1))
    turn = 2 * math.pi / CLASSES
    outwards = z @ [math.cos(turn), math.sin(turn)]
    along = z @ [-math.sin(turn), math.cos(turn)]
    assert outwards.mean() == pytest.approx(2.8, abs=0.03) and outwards.std() == pytest.approx(1, abs=0.03)
    assert along.mean() == pytest.approx(0, abs=0.01) and along.std() == pytest.approx(0.2, abs=0.01)


def test_the_roll_is_as_dense_everywhere():
    """As many points in each stretch of its length, of which r^2 is the measure; two turns; and 0.1 wide."""
    z = drawn("swiss-roll")
    radius = np.hypot(*z.T)
    counts, _ = np.histogram(radius**2, bins=5, range=(0, 7.5))
    np.testing.assert_allclose(counts, N / 6, rtol=0.05)
    assert 3.1 < radius.max() < 3.6
    off = ((angle(z) - 2 * radius / 3 + 0.5) % 1 - 0.5)[radius > 1]  # in turns, each of which is 1.5 wide
    assert (1.5 * off).std() == pytest.approx(0.1, abs=0.01)


@each_prior
def test_a_label_draws_in_its_own_region(name):
    region, share = REGIONS[name]
    labels = np.arange(1000) % CLASSES
    assert (region(drawn(name, labels, 1000)) == labels).mean() >= share
    found = region(drawn(name, None, 1000))
    assert np.bincount(found.astype(int), minlength=CLASSES).min() > 120, "and without labels in any of them"


@each_prior
def test_an_unknown_label_draws_as_none_does(name):
    labels = np.arange(1000) % (CLASSES + 1) - 1
    mixed, none, known = (drawn(name, some, 1000) for some in (labels, None, np.maximum(labels, 0)))
    np.testing.assert_allclose(mixed[labels < 0], none[labels < 0], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(mixed[labels >= 0], known[labels >= 0])


@each_prior
@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("labelled", (False, True))
def test_the_same_draws_on_every_device(name, dtype, labelled, gpu):
    prior, labels = PRIORS[name](DIMS[name], CLASSES), np.arange(-1, 9) % CLASSES
    expected = prior.sample(Noise(2), 10, dtype, labels if labelled else None)
    there = prior.sample(Noise(2, xp=gpu.xp), 10, dtype, gpu.array(labels) if labelled else None)
    assert expected.dtype == dtype and expected.shape == (10, DIMS[name])
    assert_same(gpu.host(there), expected, 1e-6 if dtype == "float32" else 1e-13)


@each_prior
def test_a_part_of_a_batch_draws_its_rows(name):
    prior, labels = PRIORS[name](DIMS[name], CLASSES), np.arange(10) % CLASSES
    whole = prior.sample(Noise(2), 10, "float64", labels)
    part = prior.sample(Noise(2).rows(3, 8, 10), 5, "float64", labels[3:8])
    np.testing.assert_array_equal(part, whole[3:8])


@pytest.mark.parametrize("prior", (RingPrior, SwissRollPrior))
@pytest.mark.parametrize("dim", (1, 3))
def test_priors_of_the_plane_have_two_dimensions(prior, dim):
    message = f"^prior {prior.name} has 2 dimensions, latent_dim is {dim}: give latent_dim=2, or another prior$"
    with pytest.raises(ConfigError, match=message):
        prior(dim)


def test_sectors_need_a_plane():
    labels = np.zeros(3, int)
    assert GaussianPrior(1).sample(Noise(0), 3).shape == UniformPrior(1, 2).sample(Noise(0), 3, labels=labels).shape
    message = "regions for labels from 2 dimensions on, latent_dim is 1: give latent_dim=2, or another prior$"
    with pytest.raises(ConfigError, match=message):
        GaussianPrior(1, classes=2)


@pytest.mark.parametrize("scale", (0, -1.0, math.inf, math.nan, True, "2"))
def test_what_is_no_scale(scale):
    with pytest.raises(ConfigError, match="^scale of a prior: expected a positive number, got "):
        GaussianPrior(2, scale=scale)
