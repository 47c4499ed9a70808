"""How well classes that a model found by itself agree with those that people named."""

import numpy as np

from ..data.arrays import MAX_CLASSES
from ..data.examples import as_array, as_points
from ..errors import DataError, ShapeError


def clustering_accuracy(clusters, labels):
    """(accuracy, classes): the share of examples whose cluster stands for their class, under the best matching.

    clusters, labels: (N,) integers from 0. Each cluster stands for at most one class and each class has at most one
    cluster, matched so that the share is largest (Yang et al. 2010, equation 10). classes (K,) is each cluster's
    class, -1 where more clusters than classes leave it without one.
    """
    table = contingency(clusters, labels)
    found, named = table.shape
    square = np.zeros((found, max(found, named)))
    square[:, :named] = table
    classes = assignment(-square)
    agreed = square[np.arange(found), classes].sum()
    return float(agreed / table.sum()), np.where(classes < named, classes, -1)


def contingency(clusters, labels):
    """(K, C) counts: how many examples of each cluster (row) have each label (column)."""
    clusters, labels = as_array(clusters, "clusters"), as_array(labels, "labels")
    if clusters.shape != labels.shape or clusters.ndim != 1 or not len(labels):
        raise DataError(f"clusters {clusters.shape} and labels {labels.shape}: one of each per example is needed")
    if clusters.dtype.kind not in "iu" or labels.dtype.kind not in "iu" or min(clusters.min(), labels.min()) < 0:
        raise DataError("clusters and labels are integers, counted from 0")
    if max(clusters.max(), labels.max()) >= MAX_CLASSES:
        raise DataError(f"clusters and labels are numbered from 0 to below {MAX_CLASSES:,}: number them anew")
    counts = np.zeros((int(clusters.max()) + 1, int(labels.max()) + 1), np.int64)
    np.add.at(counts, (clusters, labels), 1)
    return counts


def assignment(cost):
    """A column for each row, no column twice, of the least total cost: (n, m) with n <= m -> (n,) integers.

    The Hungarian method by shortest augmenting paths (Jonker & Volgenant 1987), O(n^2 m): row after row is given a
    column along the cheapest path of reduced costs, cost - u - v, on which rows that have one pass theirs on; the
    potentials u of rows and v of columns then move so that no reduced cost is negative and matched ones are 0.
    """
    cost = as_points(cost, "the cost")
    n, m = cost.shape
    if n > m:
        raise ShapeError(f"assignment: {n} rows have no column each among {m}")
    u, v, row_of = np.zeros(n), np.zeros(m), np.full(m, -1)
    for start in range(n):
        distance, before, done = np.full(m, np.inf), np.full(m, -1), np.zeros(m, bool)
        column, least = -1, 0.0
        while column < 0 or row_of[column] >= 0:  # until a column is free
            row = start if column < 0 else row_of[column]
            through = least + cost[row] - u[row] - v
            nearer = ~done & (through < distance)
            distance[nearer], before[nearer] = through[nearer], column
            column = int(np.where(done, np.inf, distance).argmin())
            least = distance[column]
            done[column] = True
        passed = done & (row_of >= 0)
        u[start] += least
        u[row_of[passed]] += least - distance[passed]
        v[passed] -= least - distance[passed]
        while column >= 0:  # back along the path, each column goes to the row before it
            row_of[column] = start if before[column] < 0 else row_of[before[column]]
            column = before[column]
    columns = np.empty(n, np.int64)
    taken = row_of >= 0
    columns[row_of[taken]] = np.flatnonzero(taken)
    return columns
