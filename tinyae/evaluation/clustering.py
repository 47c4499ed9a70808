"""Agreement of clusters, found by a model without labels, with the labels of a data set."""

import numpy as np

from ..data.arrays import MAX_CLASSES
from ..data.examples import as_array, as_points
from ..errors import DataError, ShapeError


def clustering_accuracy(clusters, labels):
    """The accuracy of clusters as class predictions, under the best one-to-one matching of clusters and classes.

    Parameters
    ----------
    clusters : (N,) array of int
        The cluster of each example, from 0 to K - 1.
    labels : (N,) array of int
        The class of each example, from 0.

    Returns
    -------
    accuracy : float
        The share of examples whose cluster is matched with their class.
    classes : (K,) array of int
        The class of each cluster, or -1 if there are more clusters than classes and the cluster has none.

    Raises
    ------
    DataError
        If the two are no integers from 0, or their shapes differ.

    References
    ----------
    Yang et al. 2010, Image Clustering Using Local Discriminant Models and Global Integration, equation 10.

    Example
    -------
    >>> accuracy, classes = clustering_accuracy([1, 1, 0, 0], [0, 0, 1, 0])
    >>> accuracy, classes.tolist()
    (0.75, [1, 0])
    """
    table = contingency(clusters, labels)
    found, named = table.shape
    square = np.zeros((found, max(found, named)))
    square[:, :named] = table
    classes = assignment(-square)
    agreed = square[np.arange(found), classes].sum()
    return float(agreed / table.sum()), np.where(classes < named, classes, -1)


def contingency(clusters, labels):
    """Count the examples for each pair of a cluster (row) and a label (column): an array (K, C) of integers."""
    clusters, labels = as_array(clusters, "clusters"), as_array(labels, "labels")
    if clusters.shape != labels.shape or clusters.ndim != 1 or not len(labels):
        raise DataError(f"clusters and labels need one shape (N,), got {clusters.shape} and {labels.shape}")
    if clusters.dtype.kind not in "iu" or labels.dtype.kind not in "iu" or min(clusters.min(), labels.min()) < 0:
        raise DataError("clusters and labels must be integers, counted from 0")
    if max(clusters.max(), labels.max()) >= MAX_CLASSES:
        raise DataError(f"clusters and labels must be below {MAX_CLASSES:,}: number them consecutively from 0")
    counts = np.zeros((int(clusters.max()) + 1, int(labels.max()) + 1), np.int64)
    np.add.at(counts, (clusters, labels), 1)
    return counts


def assignment(cost):
    """Assign a different column to each row, with the smallest total cost: (n, m) with n <= m -> (n,) integers.

    This is the Hungarian method by shortest augmenting paths (Jonker & Volgenant 1987), O(n^2 m). One row after the
    other gets a column along the cheapest path of reduced costs, cost - u - v; rows on that path move to the next
    column. The potentials u of rows and v of columns are then changed so that no reduced cost is negative, and the
    reduced costs of assigned pairs are 0.
    """
    cost = as_points(cost, "the cost")
    n, m = cost.shape
    if n > m:
        raise ShapeError(f"assignment: {n} rows need at least as many columns, got {m}")
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
        while column >= 0:  # back along the path, each column is assigned to the row before it
            row_of[column] = start if before[column] < 0 else row_of[before[column]]
            column = before[column]
    columns = np.empty(n, np.int64)
    taken = row_of >= 0
    columns[row_of[taken]] = np.flatnonzero(taken)
    return columns
