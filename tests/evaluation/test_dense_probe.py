"""The dense probe: it learns regions that no line bounds, and gives the same ones for the same seed."""

import numpy as np
import pytest

from tinyae.errors import DataError, ShapeError
from tinyae.evaluation import dense_probe
from tinyae.evaluation.dense_probe import DenseProbe
from tinyae.evaluation.probe import LinearProbe


@pytest.fixture(scope="module")
def rings():
    """Two rings around each other, far from the origin and of unlike scales: (codes (3000, 2), labels)."""
    rng = np.random.default_rng(0)
    labels, angle = np.arange(3000) % 2, rng.uniform(0, 2 * np.pi, 3000)
    radius = 1 + labels + 0.1 * rng.normal(size=3000)
    return np.stack((500 + 100 * radius * np.cos(angle), 0.01 * radius * np.sin(angle)), axis=1), labels


@pytest.fixture(scope="module")
def probe(rings):
    codes, labels = rings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense_probe, "STEPS", 400)
        return DenseProbe(2, seed=1).fit(codes[:2000], labels[:2000])


def test_it_bounds_regions_that_no_line_bounds(rings, probe):
    codes, labels = rings
    assert probe.score(codes[2000:], labels[2000:]) > 0.99
    assert LinearProbe(2).fit(codes[:2000], labels[:2000]).score(codes[2000:], labels[2000:]) < 0.65


def test_probabilities_are_those_of_the_prediction(rings, probe):
    codes, _ = rings
    p = probe.probabilities(codes)
    assert p.shape == (3000, 2) and p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(p.argmax(axis=1), probe.predict(codes))
    inside = probe.probabilities(np.array([[500.0, 0], [750, 0]]))  # within the inner ring, and outside the outer one
    assert inside[0, 0] > 0.9 and inside[1, 1] > 0.9


def test_few_codes_are_not_learned_by_heart(rings, monkeypatch):
    """Labels that say nothing of the codes: the probe stays unsure of codes that it had not seen."""
    monkeypatch.setattr(dense_probe, "STEPS", 300)
    codes, labels = rings
    noise = np.random.default_rng(1).permutation(labels[:100])
    p = DenseProbe(2).fit(codes[:100], noise).probabilities(codes[100:])
    assert p.max(axis=1).mean() < 0.57  # 0.63 without the prior on the weights


def test_the_seed_decides(rings, monkeypatch):
    monkeypatch.setattr(dense_probe, "STEPS", 20)
    first, again, other = (DenseProbe(2, seed).fit(*rings).logits(rings[0]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(ShapeError, match="needs codes"):
        DenseProbe(2).fit(np.zeros((3, 2)), [0, 1])
    with pytest.raises(DataError, match="two classes"):
        DenseProbe(2).fit(np.zeros((3, 2)), [1, 1, 1])
