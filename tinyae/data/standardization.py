"""Columns of different units brought to one scale: (x - mean) / standard deviation, and back."""

import numpy as np

from .dataset import to_float

BLOCK = 1 << 16  # rows read at a time


class Standardization:
    """y = (x - mean) / scale and x = y scale + mean, column by column; mean, scale (D,) on the model's device."""

    def __init__(self, mean, scale):
        self.mean, self.scale = mean, scale

    @classmethod
    def of(cls, x, backend, dtype):
        """That of rows x (N, D), uint8 (as values in [0, 1]) or floats: each column's mean and standard deviation.

        A constant column has scale 1: it becomes 0, and comes back as what it was. So has one whose spread is below the
        rounding of its values in float32, which is no spread to learn.
        """
        mean = sum(block.sum(axis=0) for block in _blocks(x)) / len(x)
        scale = np.sqrt(sum(((block - mean) ** 2).sum(axis=0) for block in _blocks(x)) / len(x))
        scale[scale <= np.finfo("float32").eps * np.abs(mean)] = 1
        return cls(backend.asarray(mean.astype(dtype)), backend.asarray(scale.astype(dtype)))

    def apply(self, x):
        """(N, D) -> (N, D) with means 0 and standard deviations 1."""
        return (x - self.mean) / self.scale

    def undo(self, y):
        """The inverse of `apply`."""
        return y * self.scale + self.mean


def _blocks(x):
    return (to_float(x[start : start + BLOCK], "float64") for start in range(0, len(x), BLOCK))
