"""Columns of different units brought to one scale: (x - mean) / standard deviation, and back."""

import numpy as np

from ..backend import Portable
from .examples import to_float

BLOCK = 1 << 16  # rows read at a time


class Standardization(Portable):
    """y = (x - mean) / scale and x = y scale + mean, column by column; mean, scale (D,) on the model's device.

    All of it is float64, whatever the model's dtype: float32 has no difference between times of 1.7e9 seconds that are
    one second apart.
    """

    def __init__(self, mean, scale):
        self.mean, self.scale = mean, scale

    @classmethod
    def of(cls, x, backend):
        """The one of rows x (N, D), uint8 (as values in [0, 1]) or floats: each column's mean and standard deviation.

        A constant column has scale 1: it becomes 0, and comes back as what it was. So has a column whose spread is
        below the rounding of its values in the dtype of x.
        """
        first = to_float(x[:1], "float64")[0]  # from here on sums are exact for a constant column
        shift = sum((block - first).sum(axis=0) for block in _blocks(x)) / len(x)
        scale = np.sqrt(sum(((block - first - shift) ** 2).sum(axis=0) for block in _blocks(x)) / len(x))
        mean = first + shift
        if x.dtype.kind == "f":
            scale[scale <= np.finfo(x.dtype).eps * np.abs(mean)] = 1
        scale[scale == 0] = 1
        return cls(backend.asarray(mean), backend.asarray(scale))

    def apply(self, x):
        """(N, D), uint8 or floats -> (N, D) float64 with means 0 and standard deviations 1."""
        return (to_float(x, "float64") - self.mean) / self.scale

    def undo(self, y):
        """The inverse of `apply`, in float64."""
        return to_float(y, "float64") * self.scale + self.mean


def _blocks(x):
    return (to_float(x[start : start + BLOCK], "float64") for start in range(0, len(x), BLOCK))
