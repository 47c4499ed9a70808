"""The Frechet distance between two sets of feature vectors."""

import numpy as np

from ..data.examples import as_points
from ..errors import DataError, ShapeError


def frechet(a, b):
    """The squared Frechet distance between Gaussians that are fitted to two sets of feature vectors.

        |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))      with means mu and covariances S (over N - 1)

    With the symmetric roots R of S, the product S_a S_b has the eigenvalues of R_a S_b R_a = (R_a R_b) (R_a R_b)^T, so
    the trace of its root is the sum of the singular values of R_a R_b. The estimate is too large by about 1 / N: only
    distances between equally large sets can be compared.

    Parameters
    ----------
    a : (N, D) array
        Feature vectors, two or more.
    b : (M, D) array
        Feature vectors, two or more.

    Returns
    -------
    distance : float
        The squared distance, in squared units of the features.

    Raises
    ------
    ShapeError, DataError
        If the features have different sizes, or a set has a single row.

    References
    ----------
    Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule, equation 6.

    Example
    -------
    >>> frechet([[0.0], [2.0]], [[3.0], [5.0]])
    9.0
    """
    a, b = as_points(a, "features"), as_points(b, "features")
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"frechet: expected features (N, D) and (M, D), got {a.shape} and {b.shape}")
    if min(len(a), len(b)) < 2:
        raise DataError(f"frechet: a covariance needs at least two rows, got {len(a)} and {len(b)}")
    shift = a.mean(axis=0) - b.mean(axis=0)
    (variance_a, root_a), (variance_b, root_b) = map(_covariance, (a, b))
    overlap = np.linalg.svd(root_a @ root_b, compute_uv=False).sum()
    return float(shift @ shift + variance_a + variance_b - 2 * overlap)


def _covariance(rows):
    """(trace, symmetric root) of the covariance of rows (N, D)."""
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / (len(rows) - 1))
    values = np.maximum(values, 0)  # rounding can make an eigenvalue of 0 negative
    return values.sum(), (vectors * np.sqrt(values)) @ vectors.T
