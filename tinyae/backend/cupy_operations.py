"""The operations on a GPU: kernels of `kernels.cu`, or by CuPy the formulas of `numpy_operations`, which has the docs.

CuPy is imported when a kernel is first used, so this module imports without it.
"""

import functools
import operator

import numpy as np

from .convolution.patches import input_gradient as convolution_input_gradient
from .convolution.patches import output as convolution
from .convolution.patches import weight_gradient as convolution_weight_gradient
from .cuda import launch
from .numpy_operations import (
    add_product,
    add_rows,
    affine,
    batch_norm,
    batch_norm_backward,
    max_pool,
    max_pool_gradient,
    relu,
    relu_gradient,
)
from .scores import check_codebook, check_codes, slack

__all__ = [
    "adam", "add_product", "add_rows", "affine", "batch_norm", "batch_norm_backward", "bce_with_logits", "code_sums",
    "convolution", "convolution_input_gradient", "convolution_weight_gradient", "max_pool", "max_pool_gradient",
    "nearest_code", "product_transposed", "relu", "relu_gradient",
]  # fmt: skip

SCORES = 1 << 24  # a block of rows in `nearest_code` has so many


def product_transposed(a, b):
    return a @ b.T


def adam(w, gradients, m, v, beta1, beta2, rate, epsilon, shrink=1.0):
    """In one pass: arrays (n,) of one dtype, the scalars Python floats."""
    g = functools.reduce(operator.add, gradients)
    _check("adam", w, g, m, v)
    scalars = (beta1, beta2, rate, epsilon, shrink)
    launch("adam", w.dtype, w.size, np.int64(w.size), w, g, m, v, *map(np.float64, scalars))


def bce_with_logits(logits, x, scale):
    """In one pass, then a sum."""
    import cupy

    logits, x = cupy.ascontiguousarray(logits), cupy.ascontiguousarray(x)
    _check("bce_with_logits", logits, x)
    loss_each, dlogits = cupy.empty_like(logits), cupy.empty_like(logits)
    size = np.int64(logits.size)
    launch("bce_with_logits", logits.dtype, logits.size, size, np.float64(scale), logits, x, loss_each, dlogits)
    return loss_each.sum(), dlogits


def nearest_code(z, codebook):
    """Scores by cuBLAS, block by block, then one thread for each row.

    Float numbers and products below 1.2e-38 count as 0. With CUPY_TF32=1, where cuBLAS rounds to 11 bits, a code may
    be only nearly the nearest.
    """
    import cupy

    check_codebook(z, codebook)

    dtype = np.result_type(z.dtype, codebook.dtype, np.float32)
    z, codebook = cupy.ascontiguousarray(z, dtype), cupy.ascontiguousarray(codebook, dtype)
    half = (cupy.square(codebook.astype(np.float64)).sum(axis=1) / 2).astype(dtype)
    codes, step = cupy.empty(len(z), np.int64), max(1, SCORES // len(codebook))
    for start in range(0, len(z), step):
        rows = z[start : start + step]
        scores = half[:, None] - codebook @ rows.T
        room = slack(cupy.square(rows).sum(axis=1), half.max(), codebook.shape[1])
        sizes = map(np.int64, (len(rows), *codebook.shape))
        arrays = scores, room, rows, codebook, codes[start : start + step]
        launch("nearest_code", dtype, len(rows), *sizes, *arrays)
    return codes


def code_sums(z, codes, count):
    """Rows sorted by code, one thread for each sum. Codes that there are not are left out."""
    import cupy

    check_codes(z, codes)

    dtype = np.result_type(z.dtype, np.float32)
    order = cupy.argsort(codes, kind="stable")
    starts = cupy.searchsorted(codes[order], cupy.arange(count + 1, dtype=codes.dtype))
    rows, sums = cupy.ascontiguousarray(z, dtype), cupy.empty((count, z.shape[1]), dtype)
    sizes = map(np.int64, (sums.size, z.shape[1]))
    launch("code_sums", dtype, sums.size, *sizes, starts, order, rows, sums)
    return cupy.diff(starts).astype(z.dtype), sums.astype(z.dtype, copy=False)


def _check(name, first, *others):
    for array in (first, *others):
        if array.shape != first.shape or array.dtype != first.dtype or not array.flags.c_contiguous:
            kinds = ", ".join(f"{a.dtype}{a.shape}" for a in (first, *others))
            raise ValueError(f"{name}: expected C-contiguous arrays of one shape and dtype, got {kinds}")
