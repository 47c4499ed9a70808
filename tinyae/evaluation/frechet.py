"""The Frechet distance of two sets of feature vectors, each taken for a Gaussian."""

import numpy as np

from ..data.examples import as_points
from ..errors import DataError, ShapeError


def frechet(a, b):
    """|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))   (Heusel et al. 2017, equation 6), a squared distance.

    a (N, D), b (M, D): rows, with means mu and covariances S (over N - 1). With the symmetric roots R of S,
    S_a S_b has the eigenvalues of R_a S_b R_a = (R_a R_b) (R_a R_b)^T, so that the trace of its root is the sum of the
    singular values of R_a R_b. Of few rows it is too large, about as 1 / N: compare numbers of as many rows alone.
    """
    a, b = as_points(a, "features"), as_points(b, "features")
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"frechet: expected features (N, D) and (M, D), got {a.shape} and {b.shape}")
    if min(len(a), len(b)) < 2:
        raise DataError(f"frechet: a covariance needs two rows or more, got {len(a)} and {len(b)}")
    shift = a.mean(axis=0) - b.mean(axis=0)
    (variance_a, root_a), (variance_b, root_b) = map(_covariance, (a, b))
    overlap = np.linalg.svd(root_a @ root_b, compute_uv=False).sum()
    return float(shift @ shift + variance_a + variance_b - 2 * overlap)


def _covariance(rows):
    """(trace, symmetric root) of the covariance of rows (N, D)."""
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / (len(rows) - 1))
    values = np.maximum(values, 0)  # rounding takes those that are 0 below it
    return values.sum(), (vectors * np.sqrt(values)) @ vectors.T
