"""The operations in C++: float32 on the CPU. They read the memory that they are told to read, without looking at it.

So `takes` says, above each function, which arrays and shapes it is written for; `operations` calls it with no others.
"""

import ctypes

import numpy as np

from . import native
from .convolution import compiled
from .native.address import address
from .threads import available

FLOAT32 = np.dtype(np.float32)
PLAIN = 0x1 | 0x100  # flags of an array that is C-contiguous and aligned
BLOCK, ROWS = 1024, 32  # the numbers and rows of a partial sum, as in pointwise.cpp and columns.cpp
SCORED, LANES = 28, 16  # as in codes.cpp: the rows that are scored at once, and what their length is a multiple of
Pool = ctypes.c_long * 11


def plain(*values):
    """Whether each is a C-contiguous, aligned NumPy array of float32, a list of such arrays, or no array at all."""
    for value in values:  # a loop in one call, as this runs before every operation
        if type(value) is np.ndarray:
            if value.dtype != FLOAT32 or value.flags.num & PLAIN != PLAIN:
                return False
        elif type(value) is list:
            if not plain(*value):
                return False
        elif hasattr(value, "dtype"):
            return False
    return True


def strided(*values):
    """Whether each is an aligned NumPy array of float32, of any strides, or no array at all."""
    for value in values:
        if type(value) is np.ndarray:
            if value.dtype != FLOAT32 or not value.flags.aligned:
                return False
        elif not plain(value):
            return False
    return True


def takes(fits, reads=plain):
    """Mark a compiled operation: it is called if both `reads` and `fits` are true of its arguments."""

    def mark(function):
        function.fits, function.reads = fits, reads
        return function

    return mark


def _alike(first, *others):
    """Whether all are of one shape."""
    for a in others:
        if a.shape != first.shape:
            return False
    return True


def _writeable(*arrays):
    return all(a.flags.writeable for a in arrays)


def _matrices(a, b, axis, other):
    """Whether a and b are matrices, of one length along `axis` of a and axis `other` of b."""
    return a.ndim == b.ndim == 2 and a.shape[axis] == b.shape[other]


def _features(x, *vectors):
    """Whether x (..., C) has numbers, and the vectors are (C,) each or None."""
    for v in vectors:
        if v is not None and v.shape != x.shape[-1:]:
            return False
    return x.ndim > 0 and x.size > 0


# Dense layers


@takes(lambda x, weight, bias=None: _matrices(x, weight, 1, 0) and weight.shape[1] % 4 == 0 and _features(weight, bias))
def affine(x, weight, bias=None):
    (n, k), f = x.shape, weight.shape[1]
    y = np.empty((n, f), np.float32)
    bias = None if bias is None else address(bias)
    native.library().product(address(x), n, k, address(weight), f, bias, address(y), available())
    return y


@takes(lambda a, b: _matrices(a, b, 1, 1))
def product_transposed(a, b):
    (n, u), d, library = a.shape, b.shape[0], native.library()
    packed, product = np.empty(library.packed_size(u, n), np.float32), np.empty((n, d), np.float32)
    library.product_transposed(address(a), n, u, address(b), d, address(packed), address(product), available())
    return product


@takes(
    lambda out, x, dy, fresh=False: (
        _matrices(x, dy, 0, 0) and out.shape == (x.shape[1], dy.shape[1]) and dy.shape[1] % 4 == 0 and _writeable(out)
    )
)
def add_product(out, x, dy, fresh=False):
    (n, k), f = x.shape, dy.shape[1]
    native.library().product_first(address(x), address(dy), n, k, f, address(out), fresh, available())


@takes(lambda sums, x: _features(x, sums) and _writeable(sums))
def add_rows(sums, x):
    rows, blocks = _blocks(x, sums.size)
    native.library().add_rows(address(x), rows, sums.size, address(blocks), address(sums), available())


# Functions of each number


@takes(lambda x: True)
def relu(x):
    y = np.empty_like(x)
    native.library().relu(address(x), x.size, address(y), available())
    return y


@takes(lambda y, dy: _alike(y, dy))
def relu_gradient(y, dy):
    dx = np.empty_like(y)
    native.library().relu_gradient(address(y), address(dy), y.size, address(dx), available())
    return dx


@takes(lambda logits, x, scale: _alike(logits, x))
def bce_with_logits(logits, x, scale):
    sums, dlogits = np.empty(-(-logits.size // BLOCK), np.float64), np.empty_like(logits)
    arrays = address(logits), address(x)
    native.library().bce_with_logits(*arrays, logits.size, scale, address(sums), address(dlogits), available())
    return np.float32(sums.sum()), dlogits


@takes(
    lambda w, gradients, m, v, beta1, beta2, rate, epsilon, shrink=1.0: (
        _alike(w, m, v, *gradients) and _writeable(w, m, v)
    )
)
def adam(w, gradients, m, v, beta1, beta2, rate, epsilon, shrink=1.0):
    pointers, scalars = (ctypes.c_void_p * len(gradients))(*map(address, gradients)), (beta1, beta2, rate, epsilon)
    arrays = address(w), pointers, len(gradients), address(m), address(v)
    native.library().adam(*arrays, w.size, *scalars, shrink, available())


# Normalisation


@takes(lambda x, scale, shift, epsilon, mean=None, var=None: _features(x, scale, shift, mean, var))
def batch_norm(x, scale, shift, epsilon, mean=None, var=None):
    if mean is None:
        mean, var = _moments(x)
    inverse = 1 / np.sqrt(var + epsilon)
    factor, y = scale * inverse, np.empty_like(x)
    arrays = (address(a) for a in (x, mean, factor, shift))
    native.library().standardise(*arrays, x.size // mean.size, mean.size, address(y), available())
    return y, mean, var, inverse


@takes(lambda dy, x, scale, mean, inverse, constant=False: dy.shape == x.shape and _features(x, scale, mean, inverse))
def batch_norm_backward(dy, x, scale, mean, inverse, constant=False):
    rows, blocks = _blocks(x, 2 * mean.size)
    sums, dx = np.zeros((2, mean.size), np.float32), np.empty_like(x)
    arrays = (address(a) for a in (dy, x, mean))
    native.library().add_product_rows(*arrays, rows, mean.size, address(blocks), address(sums), available())
    dshift, dscale = sums[0], sums[1] * inverse
    direct = scale * inverse
    if constant:
        return dy * direct, dscale, dshift
    share = direct * (1 / rows)
    vectors = direct, -share * inverse * dscale, -share * dshift
    arrays = (address(a) for a in (dy, x, mean, *vectors))
    native.library().combine(*arrays, rows, mean.size, address(dx), available())
    return dx, dscale, dshift


def _moments(x):
    """The mean and the variance of each feature of x (..., C)."""
    mean, var = np.zeros((2, x.shape[-1]), np.float32)
    rows, blocks = _blocks(x, var.size)
    native.library().add_rows(address(x), rows, mean.size, address(blocks), address(mean), available())
    mean /= rows
    arrays = address(blocks), address(var)
    native.library().add_squared_rows(address(x), address(mean), rows, mean.size, *arrays, available())
    var /= rows
    return mean, var


def _blocks(x, size):
    """(rows of x (..., C), room for `size` sums of each block of them)."""
    rows = x.size // x.shape[-1]
    return rows, np.empty((-(-rows // ROWS), size), np.float32)


# Convolution


def _images(x, channels, filters, bias):
    """Whether there are images x (N, H, W, channels), and the bias is None or has one number for each filter."""
    fits = x.ndim == 4 and x.size > 0 and x.shape[3] == channels
    return fits and (bias is None or plain(bias) and bias.shape == (filters,))


@takes(
    lambda x, weight, geometry, bias=None, fast=True: (
        weight.ndim == 4 and _images(x, weight.shape[2] * geometry.groups, weight.shape[3], bias)
    ),
    reads=strided,
)
def convolution(x, weight, geometry, bias=None, fast=True):
    return compiled.output(x, weight, geometry, bias, fast)


@takes(
    lambda dy, weight, geometry, size, bias=None: (
        weight.ndim == 4 and _images(dy, weight.shape[3], weight.shape[2] * geometry.groups, bias)
    ),
    reads=strided,
)
def convolution_input_gradient(dy, weight, geometry, size, bias=None):
    return compiled.input_gradient(dy, weight, geometry, size, bias)


@takes(
    lambda x, dy, geometry, kernel_size: (
        x.ndim == dy.ndim == 4
        and x.size > 0
        and dy.shape[:3] == (len(x), *geometry.output_size(x.shape[1:3], kernel_size))
    ),
    reads=strided,
)
def convolution_weight_gradient(x, dy, geometry, kernel_size):
    return compiled.weight_gradient(x, dy, geometry, kernel_size)


# Pooling


@takes(lambda x, size, geometry, result_size: geometry.dilation == (1, 1))
def max_pool(x, size, geometry, result_size):
    y = np.empty((len(x), *result_size, x.shape[3]), np.float32)
    pool = _pool(x, size, geometry, result_size)
    native.library().max_pool(pool, address(x), len(x), address(y), available())
    return y


@takes(
    lambda x, y, dy, size, geometry: (
        geometry.dilation == (1, 1) and (len(y), y.shape[3:]) == (len(x), x.shape[3:]) and _alike(y, dy)
    )
)
def max_pool_gradient(x, y, dy, size, geometry):
    dx, threads = np.zeros_like(x), available()
    pool, left = _pool(x, size, geometry, y.shape[1:3]), np.empty((threads, x.shape[3]), np.float32)
    arrays = (address(a) for a in (x, y, dy))
    native.library().max_pool_gradient(pool, *arrays, len(x), address(left), address(dx), threads)
    return dx


def _pool(x, size, geometry, result_size):
    return Pool(*x.shape[1:], *result_size, *size, *geometry.stride, *(-first for first in geometry.start))


# Vector quantisation


@takes(lambda z, codebook: _matrices(z, codebook, 1, 1) and len(codebook) > 0)
def nearest_code(z, codebook):
    (m, d), k, library, threads = z.shape, len(codebook), native.library(), available()
    halves, packed = np.empty(k, np.float32), np.empty(library.packed_size(d, k), np.float32)
    scores, codes = np.empty((threads, SCORED, -(-k // LANES) * LANES), np.float32), np.empty(m, np.int64)
    arrays = (address(a) for a in (halves, packed, scores, codes))
    library.nearest_code(address(z), m, d, address(codebook), k, *arrays, threads)
    return codes


def _or_codes(*values):
    """Whether each is `plain`, or a C-contiguous, aligned NumPy array of int64."""
    for value in values:
        if type(value) is np.ndarray and value.dtype == np.int64:
            if value.flags.num & PLAIN != PLAIN:
                return False
        elif not plain(value):
            return False
    return True


@takes(
    lambda z, codes, count: (
        z.dtype == FLOAT32
        and codes.dtype == np.int64
        and z.ndim == 2
        and codes.shape == z.shape[:1]
        and (codes.size == 0 or 0 <= codes.min() <= codes.max() < count)
    ),
    reads=_or_codes,
)
def code_sums(z, codes, count):
    exact, sums = np.empty(count * z.shape[1]), np.empty((count, z.shape[1]), np.float32)
    arrays = address(codes), count, address(exact), address(sums)
    native.library().code_sums(address(z), *z.shape, *arrays, available())
    return np.bincount(codes, minlength=count).astype(np.float32), sums
