"""Convolution over images (N, H, W, C): three primitives, which serve convolution and transposed convolution alike.

With kernel w (kh, kw, C, O), stride s, dilation d and padding p before the first row and column, and x zero outside,

    output           y[n, i, j, o]  = sum_uvc  x[n, i s + u d - p, j s + v d - p, c] w[u, v, c, o]
    input gradient   dx[n, a, b, c] = sum_uvo  dy[n, i, j, o] w[u, v, c, o],  i s + u d - p = a, j s + v d - p = b
    weight gradient  dw[u, v, c, o] = sum_nij  x[n, i s + u d - p, j s + v d - p, c] dy[n, i, j, o]

The input gradient gathers, instead of scattering, as the output does: the positions a = q (mod s) see the same taps of
the kernel, so each of the s x s phases is a plain correlation of dy with a part of the kernel (`geometry`).

Three ways lead to the same numbers. On the CPU, float32 goes through the compiled products where there are any
(`compiled`). Else a kernel of three rows without stride takes the fast algorithm (`winograd`), and what remains, on
every backend, lays windows out as the rows of a matrix (`patches`).
"""

from .. import array_module
from . import compiled, patches, winograd
from .geometry import Geometry

__all__ = ["Geometry", "input_gradient", "output", "region", "weight_gradient"]


def output(x, weight, geometry, bias=None, fast=True):
    """y (N, OH, OW, O) from x (N, H, W, C) and w (kh, kw, C / groups, O), plus bias (O,).

    fast=False: on the CPU, the bits of a number of y depend on its window alone, not on what else is computed with it.
    The fast algorithms round by where in the image a window lies, and BLAS by how many there are: see `patches`.
    """
    if compiled.takes(x, weight) and compiled.fits(x, weight.shape[2] * geometry.groups, weight.shape[3], bias):
        return compiled.output(x, weight, geometry, bias, fast)
    size = geometry.output_size(x.shape[1:3], weight.shape[:2])
    if fast and winograd.pays(x, weight.shape, geometry, size):
        return winograd.output(x, weight, geometry.start, size, bias)
    return patches.output(x, weight, geometry, bias, fast)


def region(rows, columns, x, weight, geometry, bias=None, fast=True):
    """`output` of rows (first, stop) and columns (first, stop) alone, from the part of x that they see; stride 1.

    x may hold anything elsewhere. With fast=False the bits are those of the whole output.
    """
    parts, padding = [], []
    for (first, stop), length, k, d, p in zip(
        (rows, columns), x.shape[1:3], weight.shape[:2], geometry.dilation, geometry.start, strict=True
    ):
        first, stop = first + p, stop + p + (k - 1) * d  # of x with its padding
        inside = min(max(first, 0), length), min(max(stop, 0), length)
        parts.append(slice(*inside))
        padding.append((inside[0] - first, stop - inside[1]))
    x = x[:, *parts]
    if not x.size:  # they see zeros alone
        y = array_module(x).zeros((len(x), rows[1] - rows[0], columns[1] - columns[0], weight.shape[3]), x.dtype)
        return y if bias is None else y + bias
    return output(x, weight, Geometry((1, 1), tuple(padding), geometry.dilation, geometry.groups), bias, fast)


def input_gradient(dy, weight, geometry, size, bias=None):
    """dx (N, H, W, C) from dy (N, OH, OW, O) and w (kh, kw, C / groups, O); size is (H, W).

    bias (C,) is added to every pixel: where this is the output of a transposed convolution.
    """
    if compiled.takes(dy, weight) and compiled.fits(dy, weight.shape[3], weight.shape[2] * geometry.groups, bias):
        return compiled.input_gradient(dy, weight, geometry, size, bias)
    if winograd.pays(dy, weight.shape, geometry, size):
        start = tuple(-s - k + 1 for s, k in zip(geometry.start, weight.shape[:2], strict=True))
        return winograd.output(dy, weight[::-1, ::-1].transpose(0, 1, 3, 2), start, size, bias)
    dx = patches.input_gradient(dy, weight, geometry, size)
    if bias is not None:
        dx += bias
    return dx


def weight_gradient(x, dy, geometry, kernel_size):
    """dw (kh, kw, C / groups, O) from x (N, H, W, C) and dy (N, OH, OW, O)."""
    windows = geometry.output_size(x.shape[1:3], kernel_size)
    if compiled.takes(x, dy) and x.size and dy.shape[:3] == (len(x), *windows):
        return compiled.weight_gradient(x, dy, geometry, kernel_size)
    shape = *kernel_size, x.shape[3] // geometry.groups, dy.shape[3] // geometry.groups
    if winograd.pays(x, shape, geometry, dy.shape[1:3]):
        return winograd.weight_gradient(x, dy, geometry.start, kernel_size[1])
    return patches.weight_gradient(x, dy, geometry, kernel_size)
