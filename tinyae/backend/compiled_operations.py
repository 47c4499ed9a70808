"""The operations in C++: float32 on the CPU. They read the memory that they are told to read, without looking at it.

So `takes` says, above each function, which arrays and shapes it is written for; `operations` calls it with no others.
"""

import numpy as np

from . import native
from .native.address import address
from .threads import available

FLOAT32 = np.dtype(np.float32)
PLAIN = 0x1 | 0x100  # of an array's flags: C-contiguous and aligned
ROWS = 32  # the rows of a partial sum, as in columns.cpp


def plain(value):
    """Whether an argument is a C-contiguous, aligned NumPy array of float32, a list of them, or no array at all."""
    kind = type(value)
    if kind is np.ndarray:
        return value.dtype == FLOAT32 and value.flags.num & PLAIN == PLAIN
    if kind is list:
        return all(map(plain, value))
    return kind is float or kind is int or not hasattr(value, "dtype")


def takes(fits, reads=plain):
    """Mark a compiled operation: it is called if `reads` is true of every argument and `fits` of all together."""

    def mark(function):
        function.fits, function.reads = fits, reads
        return function

    return mark


def _features(x, *vectors):
    """Whether x (..., C) has numbers, and the vectors are (C,) each or None."""
    return x.ndim > 0 and x.size > 0 and all(v is None or v.shape == x.shape[-1:] for v in vectors)


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
