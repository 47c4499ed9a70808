"""`backend.primitives` and `backend.pooling` by the compiled library. Arrays are as `native.takes` them."""

import ctypes

import numpy as np

from .. import threads
from . import address, library, longs

WORTH = 1 << 21  # multiply-adds below which a thread of its own does not pay
Four, Pool = ctypes.c_long * 4, ctypes.c_long * 11


def bce_with_logits(logits, x, scale):
    dlogits = np.empty_like(logits)
    arrays = address(logits), address(x)
    total = library().bce_with_logits(*arrays, *longs(logits.size), ctypes.c_float(scale), address(dlogits))
    return np.float32(total), dlogits


def adam(w, gradients, m, v, *scalars):
    pointers = (ctypes.c_void_p * len(gradients))(*(g.ctypes.data for g in gradients))
    library().adam(address(w), pointers, *longs(len(gradients)), address(m), address(v), *longs(w.size),
                   *map(ctypes.c_float, scalars))  # fmt: skip


def relu_gradient(y, dy):
    dx = np.empty_like(y)
    library().relu_gradient(address(y), address(dy), *longs(y.size), address(dx))
    return dx


def add_rows(sums, x):
    """sums (C,) += the sum of the rows of x (..., C)."""
    block = np.empty_like(sums)
    library().add_rows(address(x), *longs(x.size // sums.size, sums.size), address(block), address(sums))


def affine(x, weight, bias):
    """x (N, K) @ weight (K, F) + bias (F,), F a multiple of 4."""
    (n, k), f = x.shape, weight.shape[1]
    y = np.empty((n, f), np.float32)
    bias = np.zeros(f, np.float32) if bias is None else bias

    def rows(start, stop):
        numbers = longs(stop - start, k)
        library().product(address(x[start:]), *numbers, address(weight), *longs(f), address(bias), address(y[start:]))

    threads.share(rows, n, max(14, WORTH // (k * f)))
    return y


def product_transposed(dy, weight):
    """dy (N, U) @ weight (D, U).T."""
    (n, u), d = dy.shape, weight.shape[0]
    packed = np.empty(library().packed_size(*longs(u, n)), np.float32)
    library().pack(address(dy), Four(1, 1, u, n), Four(0, 0, 1, u), None, address(packed))
    dx = np.empty((n, d), np.float32)

    def columns(start, stop):
        library().product_transposed(
            address(weight), *longs(start, stop, d, u), address(packed), *longs(n), address(dx)
        )

    threads.share(columns, d, max(14, WORTH // (n * u)))
    return dx


def max_pool(x, size, stride, corner, result_size):
    """y (N, OH, OW, C): the maxima of windows of `size`, the first of them at `corner` (row, column) of the image."""
    y = np.empty((len(x), *result_size, x.shape[3]), np.float32)
    pool = _pool(x, size, stride, corner, result_size)

    def images(start, stop):
        library().max_pool(pool, address(x[start:]), *longs(stop - start), address(y[start:]))

    threads.share(images, len(x), max(1, WORTH // (x[0].size * 8)))
    return y


def max_pool_gradient(x, y, dy, size, stride, corner):
    dx = np.zeros_like(x)
    pool = _pool(x, size, stride, corner, y.shape[1:3])

    def images(start, stop):
        left = np.empty(x.shape[3], np.float32)
        arrays = (address(a[start:]) for a in (x, y, dy))
        library().max_pool_gradient(pool, *arrays, *longs(stop - start), address(left), address(dx[start:]))

    threads.share(images, len(x), max(1, WORTH // (x[0].size * 8)))
    return dx


def _pool(x, size, stride, corner, result_size):
    return Pool(*x.shape[1:], *result_size, *size, *stride, -corner[0], -corner[1])
