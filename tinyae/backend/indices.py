"""Labels and codes as indices: integers in [0, count), where NumPy and CuPy would take a negative one for the last.

On the CPU an integer outside raises DataError. On a device a look would wait for it, so what is read there by such an
integer is NaN, and so is the loss that follows.
"""

import numpy as np

from ..errors import DataError, ShapeError
from . import array_module


def rows(table, indices, name):
    """table[indices]: (count, D), (...) integers -> (..., D). name: of the caller, for messages."""
    indices, known = within(indices, len(table), name)
    return _or_nan(known, table[indices])


def one_hot(indices, count, dtype, name, least=0):
    """1 at each index, else 0: (...) integers -> (..., count). least: -1 for indices that may be -1, all zeros."""
    indices, known = within(indices, count, name, least)
    return _or_nan(known, (indices[..., None] == array_module(indices).arange(count)).astype(dtype))


def within(indices, count, name, least=0):
    """Integers from `least` up to `count` -> (the same, None) on the CPU, where they are looked at.

    On a device (the same with 0 for those outside, whether each is inside). Raises ShapeError unless they are integers
    and DataError, on the CPU, for one outside; `name`, of the caller, begins the message.
    """
    if indices.dtype.kind not in "iu":
        raise ShapeError(f"{name}: expected integers, got {indices.dtype} {indices.shape}")
    xp = array_module(indices)
    if xp is not np:
        known = (indices >= least) & (indices < count)
        return xp.where(known, indices, 0), known
    if indices.size and not least <= indices.min() <= indices.max() < count:
        found = f"{indices.min()} to {indices.max()}"
        raise DataError(f"{name}: expected integers from {least} to {count - 1}, got {found}")
    return indices, None


def _or_nan(known, found):
    """found (..., D), with NaN where it is not known."""
    return found if known is None else array_module(found).where(known[..., None], found, array_module(found).nan)
