"""Exact nearest neighbours among codes, computed in blocks, without a matrix of all distances in memory."""

import numpy as np

from ..data.examples import as_array, as_points
from ..errors import ShapeError
from ..options import Count

BLOCK_VALUES = 2**23  # distances in memory at a time


def nearest_neighbours(queries, codes, k=1):
    """The k codes nearest to each query by Euclidean distance.

        |q - c|^2 = |q|^2 - 2 q.c + |c|^2      in float64, with the mean code subtracted to avoid cancellation

    Parameters
    ----------
    queries : (Q, D) array
        Points.
    codes : (N, D) array
        Points among which neighbours are searched.
    k : int, default 1
        Neighbours of each query, at most N.

    Returns
    -------
    indices : (Q, k) array of int
        Rows of `codes`, the nearest first; of equal distances the lower index first.
    distances : (Q, k) array, float64
        Their distances.

    Raises
    ------
    ShapeError
        If queries and codes have different numbers of columns.

    Example
    -------
    >>> indices, distances = nearest_neighbours([[0.0, 0.0]], [[3.0, 4.0], [1.0, 0.0]], k=2)
    >>> indices.tolist(), distances.round(6).tolist()
    ([[1, 0]], [[1.0, 5.0]])
    """
    queries, codes = as_points(queries, "queries"), as_points(codes, "the codes")
    if queries.shape[1] != codes.shape[1]:
        given = f"{queries.shape} and {codes.shape}"
        raise ShapeError(f"nearest_neighbours: expected queries (Q, D) and codes (N, D), got {given}")
    k = Count(1, len(codes)).check("neighbours", k)
    centre = codes.mean(axis=0)
    queries, codes = queries - centre, codes - centre
    lengths = (codes * codes).sum(axis=1)
    indices, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    block = max(1, BLOCK_VALUES // len(codes))
    groups = np.arange(0, len(codes), max(1, len(codes) // (32 * k)))
    for first in range(0, len(queries), block):
        part = queries[first : first + block]
        squared = (part * part).sum(axis=1, keepdims=True) - 2 * part @ codes.T + lengths
        # The k-th smallest of the groups' minima is an upper bound of the k-th smallest distance, and fast to find.
        minima = np.minimum.reduceat(squared, groups, axis=1)
        furthest = np.partition(minima, k - 1, axis=1)[:, k - 1]
        for i, row in enumerate(squared):
            near = np.flatnonzero(row <= furthest[i])
            near = near[np.argsort(row[near], kind="stable")[:k]]
            indices[first + i], distances[first + i] = near, np.sqrt(np.maximum(row[near], 0))
    return indices, distances


def vote(neighbours):
    """The majority class of each query's neighbours; in a tie, the class with the nearest neighbour.

    Parameters
    ----------
    neighbours : (Q, k) array of int
        Labels of the neighbours, the nearest first.

    Returns
    -------
    classes : (Q,) array of int

    Example
    -------
    >>> vote([[0, 1, 1], [2, 0, 1]]).tolist()
    [1, 2]
    """
    neighbours = as_array(neighbours, "labels")
    if neighbours.ndim != 2 or not neighbours.shape[1] or neighbours.dtype.kind not in "iu":
        given = f"{neighbours.dtype} {neighbours.shape}"
        raise ShapeError(f"vote: expected the labels (Q, k), integers, of each query's neighbours, got {given}")
    # votes[q, i] is the number of query q's neighbours that have the same class as its i-th neighbour
    votes = sum((neighbours == neighbours[:, [i]]).astype(int) for i in range(neighbours.shape[1]))
    return neighbours[np.arange(len(neighbours)), votes.argmax(axis=1)]
