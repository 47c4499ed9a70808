"""Holes between codes and codes outside their prior: against loops, and against shares that are planted."""

import itertools
import math

import numpy as np
import pytest

from tinyae.errors import DataError
from tinyae.evaluation import neighbours
from tinyae.evaluation.coverage import NEIGHBOURS, coverage, coverage_of_like, match


def by_loops(points, others, k):
    near = 0
    for i, point in enumerate(points):
        radius = sorted(math.dist(point, other) for j, other in enumerate(points) if j != i)[k - 1]
        near += any(math.dist(point, other) <= radius for other in others)
    return near / len(points)


@pytest.mark.parametrize("n, m, dim, k", [(30, 20, 2, 5), (12, 40, 1, 1), (25, 25, 7, 3), (6, 1, 2, 5)])
def test_coverage_is_that_of_loops(n, m, dim, k):
    rng = np.random.default_rng(n)
    points, others = rng.normal(size=(n, dim)), 0.5 + rng.normal(size=(m, dim))
    assert coverage(points, others, k) == pytest.approx(by_loops(points, others, k), abs=1e-12)


def test_coverage_is_the_same_in_blocks(monkeypatch):
    points, others = np.random.default_rng(0).normal(size=(2, 200, 3))
    whole = coverage(points, others)
    monkeypatch.setattr(neighbours, "BLOCK_VALUES", 200 * 7)
    assert coverage(points, others) == whole


@pytest.mark.parametrize("n, m, k", [(3, 3, 1), (3, 4, 2), (4, 2, 3), (4, 4, 2)])
def test_of_like_sets_every_order_of_the_neighbours_is_as_likely(n, m, k):
    covered = []
    for order in itertools.permutations("o" * (n - 1) + "x" * m):  # own and others, by their distance to a point
        kth = [place for place, kind in enumerate(order) if kind == "o"][k - 1]
        covered.append("x" in order[:kth])
    assert coverage_of_like(n, m, k) == pytest.approx(np.mean(covered), abs=1e-12)


def test_draws_of_the_prior_leave_next_to_nothing():
    rng, n = np.random.default_rng(0), 1500
    like = 1 - coverage_of_like(n, n)
    assert like == pytest.approx(0.5**NEIGHBOURS, rel=0.01)
    for draw in (rng.normal(size=(2, n, 2)), rng.uniform(size=(2, n, 5)), rng.standard_cauchy(size=(2, n, 1))):
        found = match(*draw)
        assert found["holes"] == pytest.approx(like, abs=0.015) and found["outside"] == pytest.approx(like, abs=0.015)


def test_a_planted_hole_is_as_large_as_it_is():
    """A quarter of a square without codes; in the rest they are 4/3 as dense as the prior."""
    rng = np.random.default_rng(0)
    drawn, codes = rng.uniform(size=(2000, 2)), rng.uniform(size=(8000, 2))
    codes = codes[(codes > 0.5).any(axis=1)][:2000]
    found = match(codes, drawn)
    assert found["holes"] == pytest.approx(0.25 + 0.75 * (1 / (1 + 4 / 3)) ** 5, abs=0.02)
    assert found["outside"] == pytest.approx((1 / (1 + 3 / 4)) ** 5, abs=0.02)


def test_codes_outside_are_as_many_as_they_are():
    """A fifth of the codes far from the prior."""
    rng = np.random.default_rng(1)
    drawn, codes = rng.normal(size=(2, 2000, 3))
    codes[::5] += 50
    found = match(codes, drawn)
    assert found["outside"] == pytest.approx(0.2 + 0.8 * (1 / (1 + 1 / 0.8)) ** 5, abs=0.02)
    assert found["holes"] == pytest.approx((1 / 1.8) ** 5, abs=0.02)


def test_nothing_in_common_is_all_holes_and_all_outside():
    codes, drawn = np.random.default_rng(0).normal(size=(2, 100, 2))
    assert match(codes + 100, drawn) == {"holes": 1.0, "outside": 1.0}


def test_equal_points_are_near():
    points = np.random.default_rng(0).integers(0, 2, (40, 3)).astype("float32")
    assert coverage(points, points) == 1 and coverage(np.ones((9, 2)), np.ones((1, 2))) == 1


def test_scale_does_not_matter_and_the_sets_change_places():
    codes, drawn = np.random.default_rng(3).normal(size=(2, 300, 2)) * [[[1.0]], [[0.6]]]
    found = match(codes, drawn)
    assert match(4 * codes, 4 * drawn) == found
    assert match(drawn, codes) == {"holes": found["outside"], "outside": found["holes"]}


def test_what_has_no_neighbours_is_refused():
    with pytest.raises(DataError, match="more than 5 points and others, got 5 and 9"):
        coverage(np.zeros((5, 2)), np.zeros((9, 2)))
    with pytest.raises(DataError, match="got 9 and 0"):
        coverage(np.zeros((9, 2)), np.zeros((0, 2)))
    with pytest.raises(DataError, match="finite"):
        match(np.full((9, 2), np.nan), np.zeros((9, 2)))
