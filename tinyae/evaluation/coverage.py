"""How well codes fill a prior: the share of the prior that lies in holes between codes, and of codes outside the prior.

Both count points of one set that have no point of the other near, and near is what the point's own set says: not
farther than its k-th neighbour there. So they are free of scale, and a thin tail is no hole. As the sets grow, a point
of density p among its own, where the other set has the density q, is without a neighbour with probability

    (p / (p + q))^k           the k points nearest to it are all of its own kind

which is 1 where q = 0, 2^-k where both are alike, and next to 0 where q is the larger.
"""

import math

from ..data.examples import as_points
from ..errors import DataError
from ..options import Count, options
from .neighbours import nearest_neighbours

NEIGHBOURS = 5  # k of Naeem et al. 2020, for ten thousand points
K = Count()


@options(k=K)
def coverage(points, others, k=NEIGHBOURS):
    """The share of points (N, D) that have one of others (M, D) within the distance to their k-th neighbour among the
    points (Naeem et al. 2020, section 3.2; within where their code has nearer, so that equal points count).
    """
    points, others = as_points(points, "the points"), as_points(others, "the points")
    if len(points) <= k or not len(others):
        raise DataError(f"coverage: expected more than {k} points and others, got {len(points)} and {len(others)}")
    radius = nearest_neighbours(points, points, k + 1)[1][:, k]  # the first is the point itself
    return float((nearest_neighbours(points, others)[1][:, 0] <= radius).mean())


@options(n=Count(2, None), m=Count(1, None), k=K)
def coverage_of_like(n, m, k=NEIGHBOURS):
    """What `coverage` is on average where n points and m others are drawn from one continuous distribution, any one:

    1 - prod_i=1..k (n - i) / (n + m - i)      (Naeem et al. 2020, lemma 2), towards 1 - 2^-k for n = m
    """
    if n <= k:
        raise DataError(f"coverage: expected more than {k} points, got {n}")
    return 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))


@options(k=K)
def match(codes, drawn, k=NEIGHBOURS):
    """{"holes", "outside"} of codes (N, D) beside draws of their prior (M, D), shares from 0 to 1:

    "holes"    draws of the prior that no code is near to: 1 - `coverage` of the draws
    "outside"  codes that no draw is near to, as they lie where the prior is thin beside them: 1 - `coverage` of codes
    """
    return {"holes": 1 - coverage(drawn, codes, k), "outside": 1 - coverage(codes, drawn, k)}
