"""Sums over the rows of a matrix and passes over it with a number for each column: what BatchNorm takes.

x and dy are (..., C), all axes but the last are rows; what belongs to a column is (C,).
"""

from . import native
from .native import primitives as compiled


def moments(x):
    """The mean and the variance of each column."""
    if native.takes_columns(x):
        return compiled.moments(x)
    rows = tuple(range(x.ndim - 1))
    mean = x.mean(axis=rows)
    centred = x - mean
    return mean, (centred * centred).mean(axis=rows)


def standardise(x, mean, factor, shift):
    """(x - mean) factor + shift."""
    if native.takes_columns(x, mean, factor, shift):
        return compiled.standardise(x, mean, factor, shift)
    return (x - mean) * factor + shift


def products(dy, x, mean):
    """Sums over the rows: of dy, and of dy (x - mean)."""
    if native.takes_alike(dy, x) and native.takes_columns(x, mean):
        return compiled.column_products(dy, x, mean)
    rows = tuple(range(x.ndim - 1))
    return dy.sum(axis=rows), (dy * (x - mean)).sum(axis=rows)


def combine(dy, x, mean, a, b, c):
    """a dy + b (x - mean) + c."""
    if native.takes_alike(dy, x) and native.takes_columns(x, mean, a, b, c):
        return compiled.combine(dy, x, mean, a, b, c)
    return a * dy + b * (x - mean) + c
