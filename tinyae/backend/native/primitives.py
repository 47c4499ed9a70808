"""`primitives`, `pooling` and `codes` of `backend` by the compiled library. Arrays are as `native.takes` them."""

import ctypes

import numpy as np

from ..threads import available
from . import library
from .address import address

BLOCK, ROWS = 1024, 32  # as in pointwise.cpp and columns.cpp: what makes a partial sum
SCORED, LANES = 28, 16  # as in codes.cpp: the rows that are scored at once, and what their length is a multiple of
Pool = ctypes.c_long * 11


def bce_with_logits(logits, x, scale):
    sums, dlogits = np.empty(-(-logits.size // BLOCK), np.float64), np.empty_like(logits)
    arrays = address(logits), address(x)
    library().bce_with_logits(*arrays, logits.size, scale, address(sums), address(dlogits), available())
    return np.float32(sums.sum()), dlogits


def adam(w, gradients, m, v, *scalars):
    pointers = (ctypes.c_void_p * len(gradients))(*map(address, gradients))
    library().adam(address(w), pointers, len(gradients), address(m), address(v), w.size, *scalars, available())


def relu(x):
    y = np.empty_like(x)
    library().relu(address(x), x.size, address(y), available())
    return y


def relu_gradient(y, dy):
    dx = np.empty_like(y)
    library().relu_gradient(address(y), address(dy), y.size, address(dx), available())
    return dx


def add_rows(sums, x):
    """sums (C,) += the sum of the rows of x (..., C)."""
    rows, blocks = _blocks(x, sums)
    library().add_rows(address(x), rows, sums.size, address(blocks), address(sums), available())


def _blocks(x, sums):
    """(rows of x (..., C), room for a sum like `sums` of each block of them)."""
    rows = x.size // x.shape[-1]
    return rows, np.empty((-(-rows // ROWS), sums.size), np.float32)


def affine(x, weight, bias):
    """x (N, K) @ weight (K, F) + bias (F,), F a multiple of 4."""
    (n, k), f = x.shape, weight.shape[1]
    y = np.empty((n, f), np.float32)
    bias = None if bias is None else address(bias)
    library().product(address(x), n, k, address(weight), f, bias, address(y), available())
    return y


def product_transposed(dy, weight):
    """dy (N, U) @ weight (D, U).T."""
    (n, u), d, compiled = dy.shape, weight.shape[0], library()
    packed, dx = np.empty(compiled.packed_size(u, n), np.float32), np.empty((n, d), np.float32)
    compiled.product_transposed(address(dy), n, u, address(weight), d, address(packed), address(dx), available())
    return dx


def product_first(x, dy, dw, fresh):
    """dw (K, F) = x (N, K).T @ dy (N, F), F a multiple of 4; added to what is there unless `fresh`."""
    (n, k), f = x.shape, dy.shape[1]
    library().product_first(address(x), address(dy), n, k, f, address(dw), fresh, available())


def max_pool(x, size, stride, corner, result_size):
    """y (N, OH, OW, C): the maxima of windows of `size`, the first of them at `corner` (row, column) of the image."""
    y = np.empty((len(x), *result_size, x.shape[3]), np.float32)
    library().max_pool(_pool(x, size, stride, corner, result_size), address(x), len(x), address(y), available())
    return y


def max_pool_gradient(x, y, dy, size, stride, corner):
    dx, threads = np.zeros_like(x), available()
    pool, left = _pool(x, size, stride, corner, y.shape[1:3]), np.empty((threads, x.shape[3]), np.float32)
    arrays = (address(a) for a in (x, y, dy))
    library().max_pool_gradient(pool, *arrays, len(x), address(left), address(dx), threads)
    return dx


def _pool(x, size, stride, corner, result_size):
    return Pool(*x.shape[1:], *result_size, *size, *stride, -corner[0], -corner[1])


def nearest_code(z, codebook):
    (m, d), k, compiled, threads = z.shape, len(codebook), library(), available()
    halves, packed = np.empty(k, np.float32), np.empty(compiled.packed_size(d, k), np.float32)
    scores, codes = np.empty((threads, SCORED, -(-k // LANES) * LANES), np.float32), np.empty(m, np.int64)
    arrays = (address(a) for a in (halves, packed, scores, codes))
    compiled.nearest_code(address(z), m, d, address(codebook), k, *arrays, threads)
    return codes


def code_sums(z, codes, count):
    """The sums (count, D) of the rows of z (M, D) by their codes."""
    exact, sums = np.empty(count * z.shape[1]), np.empty((count, z.shape[1]), np.float32)
    arrays = address(codes), count, address(exact), address(sums)
    library().code_sums(address(z), *z.shape, *arrays, available())
    return sums
