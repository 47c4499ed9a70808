"""A part of a convolution's output, for models that compute one pixel after another."""

from .. import operations
from ..modules import array_module
from .geometry import Geometry


def region(rows, columns, x, weight, geometry, bias=None, fast=True):
    """The output of a convolution of stride 1 at rows (first, stop) and columns (first, stop) alone.

    Only the rows and columns of x that they see are read. With fast=False the bits equal the whole output's.
    """
    parts, padding = [], []
    for (first, stop), length, k, d, p in zip(
        (rows, columns), x.shape[1:3], weight.shape[:2], geometry.dilation, geometry.start, strict=True
    ):
        first, stop = first + p, stop + p + (k - 1) * d  # in x with its padding
        inside = min(max(first, 0), length), min(max(stop, 0), length)
        parts.append(slice(*inside))
        padding.append((inside[0] - first, stop - inside[1]))
    x = x[:, *parts]
    if not x.size:  # they see zeros alone
        y = array_module(x).zeros((len(x), rows[1] - rows[0], columns[1] - columns[0], weight.shape[3]), x.dtype)
        return y if bias is None else y + bias
    geometry = Geometry((1, 1), tuple(padding), geometry.dilation, geometry.groups)
    return operations.convolution(x, weight, geometry, bias, fast)
