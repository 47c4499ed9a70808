"""Standardises columns that have different units, y = (x - mean) / standard deviation, and inverts this."""

import numpy as np

from ..backend import Portable
from .examples import to_float

BLOCK = 1 << 16  # rows read at a time


class Standardization(Portable):
    """Standardises the columns of rows and inverts this, with mean and scale (D,) on the model's device.

        y = (x - mean) / scale,   x = y scale + mean

    Everything is float64, whatever the model's dtype: in float32, two times of 1.7e9 seconds that are one second apart
    would be equal.
    """

    def __init__(self, mean, scale):
        self.mean, self.scale = mean, scale

    @classmethod
    def of(cls, x, backend):
        """Compute the mean and the standard deviation of each column of x (N, D), floats or uint8 (scaled to [0, 1]).

        A constant column gets scale 1, so it becomes 0, and the inverse restores it. The same holds for a column with a
        standard deviation below the rounding error of its values in the dtype of x.
        """
        first = to_float(x[:1], "float64")[0]  # subtracted first, so that the sums of a constant column are exact
        shift = sum((block - first).sum(axis=0) for block in _blocks(x)) / len(x)
        scale = np.sqrt(sum(((block - first - shift) ** 2).sum(axis=0) for block in _blocks(x)) / len(x))
        mean = first + shift
        if x.dtype.kind == "f":
            scale[scale <= np.finfo(x.dtype).eps * np.abs(mean)] = 1
        scale[scale == 0] = 1
        return cls(backend.asarray(mean), backend.asarray(scale))

    def apply(self, x):
        """Standardise x (N, D), uint8 or floats, to (N, D) float64 with means 0 and standard deviations 1."""
        return (to_float(x, "float64") - self.mean) / self.scale

    def undo(self, y):
        """Invert `apply`: y (N, D) -> x (N, D), float64."""
        return to_float(y, "float64") * self.scale + self.mean


def _blocks(x):
    return (to_float(x[start : start + BLOCK], "float64") for start in range(0, len(x), BLOCK))
