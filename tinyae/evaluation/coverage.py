"""How well codes fill a prior: the share of the prior in holes between codes, and the share of codes outside the prior.

Both are shares of points of one set that have no point of the other set nearby. Nearby means within the distance to the
k-th nearest neighbour in the point's own set, so the measure does not depend on scale, and sparse tails are not holes.
For large sets, a point where its own set has density p and the other one has density q is without a neighbour with
probability

    (p / (p + q))^k           all of its k nearest points belong to its own set

which is 1 for q = 0, 2^-k for p = q, and nearly 0 if q is much larger than p.
"""

import math

from ..data.examples import as_points
from ..errors import DataError
from ..options import Count, options
from .neighbours import nearest_neighbours

NEIGHBOURS = 5  # the k that Naeem et al. 2020 use for ten thousand points
K = Count()


@options(k=K)
def coverage(points, others, k=NEIGHBOURS):
    """The share of points that have a neighbour in another set, within the distance to their own k-th neighbour.

    Parameters
    ----------
    points : (N, D) array
        The points that are counted, more than k.
    others : (M, D) array
        The points of the other set.
    k : int, default 5
        The rank of the neighbour in `points` whose distance is the limit. Equal distances count, unlike in the code of
        Naeem et al.

    Returns
    -------
    coverage : float
        From 0 to 1.

    Raises
    ------
    DataError
        If there are too few points.

    References
    ----------
    Naeem et al. 2020, Reliable Fidelity and Diversity Metrics for Generative Models, section 3.2.

    Example
    -------
    >>> coverage([[0.0], [1.0], [9.0]], [[0.5]], k=1)
    0.6666666666666666
    """
    points, others = as_points(points, "the points"), as_points(others, "the points")
    if len(points) <= k or not len(others):
        raise DataError(f"coverage: expected more than {k} points and others, got {len(points)} and {len(others)}")
    radius = nearest_neighbours(points, points, k + 1)[1][:, k]  # the nearest is the point itself
    return float((nearest_neighbours(points, others)[1][:, 0] <= radius).mean())


@options(n=Count(2, None), m=Count(1, None), k=K)
def coverage_of_like(n, m, k=NEIGHBOURS):
    """The expected `coverage` if n points and m others are samples of the same continuous distribution.

        1 - prod_i=1..k (n - i) / (n + m - i)      (Naeem et al. 2020, lemma 2), towards 1 - 2^-k for n = m
    """
    if n <= k:
        raise DataError(f"coverage: expected more than {k} points, got {n}")
    return 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))


@options(k=K)
def match(codes, drawn, k=NEIGHBOURS):
    """Compare codes (N, D) with samples of their prior (M, D); returns shares from 0 to 1.

    "holes"    share of prior samples without a code nearby: 1 - `coverage` of the samples
    "outside"  share of codes without a prior sample nearby: 1 - `coverage` of the codes
    """
    return {"holes": 1 - coverage(drawn, codes, k), "outside": 1 - coverage(codes, drawn, k)}
