"""The Frechet distance against closed forms and against a matrix square root by scipy."""

import math

import numpy as np
import pytest

from tinyae.errors import DataError, ShapeError
from tinyae.evaluation.frechet import frechet


def exactly(mean, covariance, rows=40, seed=0):
    """Rows whose sample mean and covariance are these, up to rounding."""
    mean, covariance = np.asarray(mean, float), np.asarray(covariance, float)
    drawn = np.random.default_rng(seed).normal(size=(rows, len(mean)))
    drawn -= drawn.mean(axis=0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(drawn.T)), drawn.T)
    return mean + (np.linalg.cholesky(covariance) @ white).T


S = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.4], [0.1, -0.4, 0.5]])


def test_equal_gaussians_are_at_distance_0():
    a, b = exactly([1, 2, 3], S, 40, 0), exactly([1, 2, 3], S, 25, 1)
    assert frechet(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet(a, b) == pytest.approx(0, abs=1e-12)


def test_a_shift_counts_by_its_square():
    assert frechet(exactly([0, 0, 0], S), exactly([3, 0, -4], S, seed=1)) == pytest.approx(25, rel=1e-12)


def test_diagonal_covariances():
    """|mu_a - mu_b|^2 + sum (sigma_a - sigma_b)^2."""
    a, b = exactly([0, 1], np.diag([4.0, 9.0])), exactly([1, 1], np.diag([1.0, 0.25]), seed=1)
    assert frechet(a, b) == pytest.approx(1 + (2 - 1) ** 2 + (3 - 0.5) ** 2, rel=1e-12)
    assert frechet(b, a) == pytest.approx(frechet(a, b), rel=1e-12)


def test_two_by_two():
    """tr S^(1/2) = (tr S + 2 det(S)^(1/2))^(1/2) for the product S of two 2 x 2 covariances, which is not symmetric."""
    first, second = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    product = first @ second
    root = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    found = frechet(exactly([0, 0], first), exactly([0, 0], second, seed=1))
    assert found == pytest.approx(np.trace(first) + np.trace(second) - 2 * root, rel=1e-12)


def test_the_definition_by_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 7)) @ rng.normal(size=(7, 7)), rng.normal(size=(50, 7)) + 0.3
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    expected = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root).real
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances():
    """Features that never change, such as outputs of dead units, and fewer rows than features."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 2)), rng.normal(size=(30, 2))
    wide = [np.hstack((rows, np.full((len(rows), 3), 5.0))) for rows in (a, b)]
    assert frechet(*wide) == pytest.approx(frechet(a, b), rel=1e-12)
    few = rng.normal(size=(4, 9))
    assert frechet(few, few) == pytest.approx(0, abs=1e-12)
    point = np.zeros((2, 3))  # no spread at all: what is left is the trace
    assert frechet(point, exactly([0, 0, 0], S)) == pytest.approx(np.trace(S), rel=1e-12)


def test_float32_features_count_in_float64():
    a = exactly([100, 100, 100], 1e-4 * S).astype("float32")
    assert frechet(a, a.astype("float64")) == pytest.approx(0, abs=1e-12)


def test_what_has_no_covariance_is_refused():
    with pytest.raises(ShapeError, match=r"got \(5, 2\) and \(5, 3\)"):
        frechet(np.zeros((5, 2)), np.zeros((5, 3)))
    with pytest.raises(DataError, match="at least two rows, got 1 and 5"):
        frechet(np.zeros((1, 2)), np.zeros((5, 2)))
