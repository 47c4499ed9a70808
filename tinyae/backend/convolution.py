"""Convolution over images (N, H, W, C): three primitives, which serve convolution and transposed convolution alike.

With kernel w (kh, kw, C, O), stride s, dilation d and padding p before the first row and column, and x zero outside,

    output           y[n, i, j, o]  = sum_uvc  x[n, i s + u d - p, j s + v d - p, c] w[u, v, c, o]
    input gradient   dx[n, a, b, c] = sum_uvo  dy[n, i, j, o] w[u, v, c, o],  i s + u d - p = a, j s + v d - p = b
    weight gradient  dw[u, v, c, o] = sum_nij  x[n, i s + u d - p, j s + v d - p, c] dy[n, i, j, o]

Each is a few large matrix products over `patches`: a row for each output position, its window laid out flat.

    image, C channels a pixel        patches (N OH OW, kh kw C)
    a b c d                          [a b | e f]   window at (0, 0)
    e f g h        2 x 2 kernel      [b c | f g]   window at (0, 1)
    i j k l                          [c d | g h]   ...

A window's rows are runs of kw C numbers, contiguous in the image too, so building patches copies runs. Whole batches of
patches would be kh kw times the images and fall out of every cache; so a few images at a time are laid out, multiplied
and forgotten (`CHUNK`). The input gradient gathers as well instead of scattering: the positions a = q (mod s) see the
same taps of the kernel, so each of the s x s phases is a plain correlation of dy with a part of the kernel.
"""

import math

import numpy as np

from . import array_module

CHUNK = 1 << 18  # numbers of patches at a time on the CPU: 1 MiB of float32, the second-level cache
DEVICE_CHUNK = 1 << 26  # on a GPU, where only memory sets a bound


class Geometry:
    """How windows lie over an image: stride, padding ((top, bottom), (left, right)), dilation, groups."""

    def __init__(self, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def output_size(self, size, kernel_size):
        """(OH, OW) of an image of `size` (H, W) under a kernel of `kernel_size`; below 1 where it does not fit."""
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(size, kernel_size, self.stride, self.padding, self.dilation, strict=True)
        )

    @property
    def start(self):
        """Row and column of the image at which the first window begins."""
        return -self.padding[0][0], -self.padding[1][0]


def output(x, weight, geometry, bias=None):
    """y (N, OH, OW, O) from x (N, H, W, C) and w (kh, kw, C / groups, O), plus bias (O,)."""
    xp = array_module(x)
    size = geometry.output_size(x.shape[1:3], weight.shape[:2])
    y = xp.empty((len(x), *size, weight.shape[3]), x.dtype)
    kernels = [w.reshape(-1, w.shape[3]) for w in _groups(weight, geometry.groups)]
    for part in chunks(xp, len(x), math.prod(size) * kernels[0].shape[0]):
        for xg, yg, kernel in zip(
            _channels(x[part], geometry.groups), _channels(y[part], geometry.groups), kernels, strict=True
        ):
            rows = patches(xg, weight.shape[:2], geometry.start, geometry.stride, geometry.dilation, size)
            _multiply(rows, kernel, yg)
        if bias is not None:
            y[part] += bias
    return y


def input_gradient(dy, weight, geometry, size):
    """dx (N, H, W, C) from dy (N, OH, OW, O) and w (kh, kw, C / groups, O); size is (H, W)."""
    xp = array_module(dy)
    groups = geometry.groups
    dx = xp.empty((len(dy), *size, weight.shape[2] * groups), dy.dtype)
    phases = [
        (rows, columns)
        for rows in _phases(size[0], weight.shape[0], geometry, 0)
        for columns in _phases(size[1], weight.shape[1], geometry, 1)
    ]
    kernels = [w.transpose(0, 1, 3, 2) for w in _groups(weight, groups)]  # (kh, kw, O, C) each
    taps = [[_taps(kernel, rows, columns) for kernel in kernels] for rows, columns in phases]
    plan = list(zip(phases, taps, strict=True))
    most = max(rows.count * columns.count * kernel[0].shape[0] for (rows, columns), kernel in plan)
    for part in chunks(xp, len(dy), max(most, 1)):
        for (rows, columns), kernel in plan:
            target = dx[part, rows.first :: rows.step, columns.first :: columns.step]
            if not kernel[0].size:
                target[...] = 0
                continue
            for dyg, dxg, w in zip(_channels(dy[part], groups), _channels(target, groups), kernel, strict=True):
                windows = patches(
                    dyg, (rows.taps, columns.taps), (rows.start, columns.start), (1, 1),
                    (rows.dilation, columns.dilation), (rows.count, columns.count),
                )  # fmt: skip
                _multiply(windows, w, dxg)
    return dx


def weight_gradient(x, dy, geometry, kernel_size):
    """dw (kh, kw, C / groups, O) from x (N, H, W, C) and dy (N, OH, OW, O)."""
    xp = array_module(x)
    groups, (kh, kw) = geometry.groups, kernel_size
    channels, filters = x.shape[3] // groups, dy.shape[3] // groups
    dw = xp.zeros((groups, kh * kw * channels, filters), x.dtype)
    for part in chunks(xp, len(x), math.prod(dy.shape[1:3]) * dw.shape[1]):
        for g, (xg, dyg) in enumerate(zip(_channels(x[part], groups), _channels(dy[part], groups), strict=True)):
            rows = patches(xg, kernel_size, geometry.start, geometry.stride, geometry.dilation, dy.shape[1:3])
            dw[g] += rows.T @ dyg.reshape(-1, filters)
    return dw.reshape(groups, kh, kw, channels, filters).transpose(1, 2, 3, 0, 4).reshape(kh, kw, channels, -1)


def patches(x, kernel_size, start, stride, dilation, size):
    """Windows as rows: (N, H, W, C) -> (N OH OW, kh kw C).

    Window (i, j) has x[:, start + i stride + u dilation, ...] at its tap u; `size` is (OH, OW). Outside x is zero.
    """
    if kernel_size == stride == (1, 1) and start == (0, 0) and x.shape[1:3] == size:
        return x.reshape(-1, x.shape[3])
    x, start = _pad(x, kernel_size, start, stride, dilation, size)
    x = x[:, start[0] :, start[1] :]
    n, row, column, channel = x.strides
    shape = (len(x), *size, *kernel_size, x.shape[3])
    strides = (n, row * stride[0], column * stride[1], row * dilation[0], column * dilation[1], channel)
    windows = array_module(x).lib.stride_tricks.as_strided(x, shape, strides)
    return windows.reshape(-1, math.prod(kernel_size) * x.shape[3])


def chunks(xp, count, per_image):
    """Slices of `count` images that make about CHUNK numbers of patches each."""
    limit = CHUNK if xp is np else DEVICE_CHUNK
    images = max(1, limit // per_image)
    return [slice(first, min(first + images, count)) for first in range(0, count, images)]


class _Phase:
    """The rows (or columns) first, first + step, ... of dx, and how they see dy: `taps` rows of it from `start` on.

    kernel: the slice of the kernel's taps that meet them, from the last to the first.
    """

    def __init__(self, first, step, count, start, dilation, kernel, taps):
        self.first, self.step, self.count, self.start = first, step, count, start
        self.dilation, self.kernel, self.taps = dilation, kernel, taps


def _phases(length, kernel, geometry, axis):
    """The phases of one axis: position a = q + s m of dx meets tap u where (a + p - u d) / s is a whole number."""
    s, d, p = geometry.stride[axis], geometry.dilation[axis], geometry.padding[axis][0]
    period = s // math.gcd(s, d)  # of the taps that one phase meets
    for q in range(min(s, length)):
        first = next((u for u in range(min(period, kernel)) if (q + p - u * d) % s == 0), None)
        count = -(-(length - q) // s)
        if first is None:
            yield _Phase(q, s, count, 0, 1, slice(0, 0), 0)
            continue
        taps = -(-(kernel - first) // period)
        last = first + (taps - 1) * period
        backwards = slice(last, first - 1 if first else None, -period)
        yield _Phase(q, s, count, (q + p - last * d) // s, d * period // s, backwards, taps)


def _taps(kernel, rows, columns):
    """The part of a kernel (kh, kw, O, C) that a phase meets, as a matrix (taps O, C)."""
    return kernel[rows.kernel, columns.kernel].reshape(-1, kernel.shape[3])


def _pad(x, kernel_size, start, stride, dilation, size):
    """x with zeros wherever a window reaches beyond it, and the windows' start in it."""
    n, height, width, channels = x.shape
    before, after = [], []
    for length, k, a, s, d, o in zip((height, width), kernel_size, start, stride, dilation, size, strict=True):
        before.append(max(0, -a))
        after.append(max(0, a + (o - 1) * s + (k - 1) * d + 1 - length))
    if not any(before) and not any(after):
        return x, start
    (top, left), (bottom, right) = before, after
    padded = array_module(x).empty((n, top + height + bottom, left + width + right, channels), x.dtype)
    padded[:, top : top + height, left : left + width] = x
    padded[:, :top] = 0  # the border alone: clearing all would touch everything twice
    padded[:, top + height :] = 0
    padded[:, top : top + height, :left] = 0
    padded[:, top : top + height, left + width :] = 0
    return padded, (start[0] + top, start[1] + left)


def _multiply(rows, kernel, target):
    """target (n, OH, OW, O) = rows @ kernel, straight into its memory where that is contiguous."""
    if target.flags.c_contiguous:
        array_module(rows).matmul(rows, kernel, out=target.reshape(-1, target.shape[3]))
    else:
        target[...] = (rows @ kernel).reshape(target.shape)


def _groups(weight, groups):
    """The kernels of the groups: (kh, kw, C / groups, O) -> [(kh, kw, C / groups, O / groups)]."""
    filters = weight.shape[3] // groups
    return [weight[..., g * filters : (g + 1) * filters] for g in range(groups)]


def _channels(x, groups):
    """The channels of each group: views of the last axis."""
    size = x.shape[-1] // groups
    return [x] if groups == 1 else [x[..., g * size : (g + 1) * size] for g in range(groups)]
