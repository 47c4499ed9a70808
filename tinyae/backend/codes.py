"""The primitives of vector quantisation: the nearest code of every row, and the sum of the rows of every code.

z is (M, D), the codebook (K, D), codes are (M,) int64 in [0, K).
"""

import numpy as np

from ..errors import ShapeError
from . import array_module, native
from .native import primitives as compiled
from .scores import slack

SCORES = 1 << 17  # of a block of rows: they fit in the cache
NUMBERS = 1 << 16  # of the pairs whose distances are computed at once


def nearest_code(z, codebook):
    """argmin_k |z_m - e_k|^2, the lowest index where distances are equal.   (M, D), (K, D) -> (M,) int64.

        |z - e|^2 / 2 = |z|^2 / 2 + s,   s = |e|^2 / 2 - z.e

    The scores s, a product of matrices, are computed block by block. Rounding moves a score of dtype u by less than
    `slack`, so every code whose score is that near to the best one is compared again, by its distance summed in float64
    over d in order: the codes are those of brute force in float64, always. A row with a NaN gets some code.
    """
    if z.ndim != 2 or codebook.ndim != 2 or z.shape[1] != codebook.shape[1] or not len(codebook):
        raise ShapeError(
            f"nearest_code: expected z (M, D) and a codebook (K, D) with K > 0, got {z.shape} and {codebook.shape}"
        )
    if array_module(z) is not np:
        from . import cuda

        return cuda.nearest_code(z, codebook)
    if native.takes(z, codebook):
        return compiled.nearest_code(z, codebook)
    dtype = np.result_type(z, codebook, np.float32)
    codes, codebook = np.empty(len(z), np.int64), codebook.astype(dtype, copy=False)
    step = max(1, SCORES // len(codebook))
    with np.errstate(all="ignore"):  # what overflows is compared again
        half = (np.einsum("kd,kd->k", codebook, codebook, dtype=np.float64) / 2).astype(dtype)
        for start in range(0, len(z), step):
            rows = z[start : start + step].astype(dtype, copy=False)
            scores = half - rows @ codebook.T
            nearest = scores.argmin(axis=1)
            limits = scores.min(axis=1) + slack(np.einsum("md,md->m", rows, rows), half.max(), codebook.shape[1])
            far = scores > limits[:, None]  # not where either is NaN
            unsure = np.flatnonzero(np.count_nonzero(far, axis=1) < len(codebook) - 1)
            if unsure.size:
                nearest[unsure] = _compared(rows[unsure], codebook, ~far[unsure])
            codes[start : start + step] = nearest
    return codes


def code_sums(z, codes, count):
    """How many rows each code has, and their sum, both of z's dtype.   (M, D), (M,), K -> (K,), (K, D).

    Summed in float64 in the order of the rows and rounded once: the same bits on every run, for any number of threads.
    """
    if z.ndim != 2 or codes.shape != z.shape[:1]:
        raise ShapeError(f"code_sums: expected z (M, D) and codes (M,), got {z.shape} and {codes.shape}")
    if array_module(z) is not np:
        from . import cuda

        return cuda.code_sums(z, codes, count)
    if codes.size and not 0 <= codes.min() <= codes.max() < count:
        raise ShapeError(f"code_sums: expected codes in [0, {count}), got {codes.min()} to {codes.max()}")
    counts = np.bincount(codes, minlength=count).astype(z.dtype)
    if native.takes(z):
        return counts, compiled.code_sums(z, np.ascontiguousarray(codes, np.int64), count)
    sums = np.empty((count, z.shape[1]), z.dtype)
    for column, total in zip(z.T, sums.T, strict=True):
        total[:] = np.bincount(codes, weights=column, minlength=count)
    return counts, sums


def _compared(z, codebook, near):
    """For each row the nearest of the codes that are marked in `near` (M, K), by distances in float64."""
    distances = np.full(near.shape, np.inf)
    rows, codes = np.nonzero(near)
    step = max(1, NUMBERS // max(1, z.shape[1]))
    for start in range(0, len(rows), step):
        i, k = rows[start : start + step], codes[start : start + step]
        squares = (z[i].astype(np.float64) - codebook[k]) ** 2
        distances[i, k] = squares.cumsum(axis=1)[:, -1] if z.shape[1] else 0  # cumsum adds in order, sum in pairs
    return distances.argmin(axis=1)
