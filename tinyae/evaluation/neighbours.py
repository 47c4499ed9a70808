"""Nearest neighbours among codes: exact, in blocks, so that no matrix of all distances is ever whole."""

import numpy as np

from ..data.examples import as_array, as_points
from ..errors import ShapeError
from ..options import Count

BLOCK_VALUES = 2**23  # distances in memory at a time


def nearest_neighbours(queries, codes, k=1):
    """The k rows of `codes` nearest to each query by Euclidean distance, the nearest first.

    queries (Q, D), codes (N, D). Returns (indices (Q, k), distances (Q, k) in float64); among equal distances the lower
    index comes first.   |q - c|^2 = |q|^2 - 2 q.c + |c|^2, in float64 and about the mean code, where little cancels.
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
        # The k-th least of the groups' minima is no less than the k-th least distance, and cheaper to find.
        minima = np.minimum.reduceat(squared, groups, axis=1)
        furthest = np.partition(minima, k - 1, axis=1)[:, k - 1]
        for i, row in enumerate(squared):
            near = np.flatnonzero(row <= furthest[i])
            near = near[np.argsort(row[near], kind="stable")[:k]]
            indices[first + i], distances[first + i] = near, np.sqrt(np.maximum(row[near], 0))
    return indices, distances


def vote(neighbours):
    """The class that most of a query's neighbours have: their labels (Q, k), the nearest first -> (Q,).

    Among classes with as many votes, the class of the nearest neighbour.
    """
    neighbours = as_array(neighbours, "labels")
    if neighbours.ndim != 2 or not neighbours.shape[1] or neighbours.dtype.kind not in "iu":
        given = f"{neighbours.dtype} {neighbours.shape}"
        raise ShapeError(f"vote: expected the labels (Q, k), integers, of each query's neighbours, got {given}")
    # votes[q, i]: how many of query q's neighbours have the class of the i-th of them
    votes = sum((neighbours == neighbours[:, [i]]).astype(int) for i in range(neighbours.shape[1]))
    return neighbours[np.arange(len(neighbours)), votes.argmax(axis=1)]
