"""Convolution as a few large matrix products over `patches`: a row for each output position, its window laid out flat.

    image, C channels a pixel        patches (N OH OW, kh kw C)
    a b c d                          [a b | e f]   window at (0, 0)
    e f g h        2 x 2 kernel      [b c | f g]   window at (0, 1)
    i j k l                          [c d | g h]   ...

A window's rows are runs of kw C numbers, contiguous in the image too, so building patches copies runs. Whole batches of
patches would be kh kw times the images and fall out of every cache; so a few images at a time are laid out, multiplied
and forgotten (`CHUNK`). Where a position of dx is much narrower than one of dy (an image of one channel from 32),
scattering copies less than gathering and is used.
"""

import math

import numpy as np

from .. import array_module
from .geometry import input_phases, split

CHUNK = 1 << 18  # numbers of patches at a time on the CPU: 1 MiB of float32, the second-level cache
BLOCK = 8  # the most rows that OpenBLAS's kernels for current processors all add up alike; with 16 some do not
SCATTERED_CHANNELS = 3  # the most channels of dx, an eighth of dy's or fewer, for which scattering pays
DEVICE_CHUNK = 1 << 26  # on a GPU, where only memory sets a bound


def output(x, weight, geometry, bias=None, fast=True):
    """y (N, OH, OW, O) from x (N, H, W, C) and w (kh, kw, C / groups, O), plus bias (O,).

    fast=False: on the CPU by products of BLOCK rows, never more or fewer. How BLAS adds up a row depends on how many
    there are; in products of one shape all rows are added up alike.
    """
    xp = array_module(x)
    multiply = _multiply if fast or xp is not np else _multiply_in_blocks
    size = geometry.output_size(x.shape[1:3], weight.shape[:2])
    y = xp.empty((len(x), *size, weight.shape[3]), x.dtype)
    kernels = [w.reshape(-1, w.shape[3]) for w in split(weight, geometry.groups)]
    for part in chunks(xp, len(x), math.prod(size) * kernels[0].shape[0]):
        for xg, yg, kernel in zip(
            _channels(x[part], geometry.groups), _channels(y[part], geometry.groups), kernels, strict=True
        ):
            rows = patches(xg, weight.shape[:2], geometry.start, geometry.stride, geometry.dilation, size)
            multiply(rows, kernel, yg)
        if bias is not None:
            y[part] += bias
    return y


def input_gradient(dy, weight, geometry, size, bias=None):
    """dx (N, H, W, C) from dy (N, OH, OW, O) and w (kh, kw, C / groups, O), plus bias (C,); size is (H, W)."""
    xp = array_module(dy)
    groups = geometry.groups
    dx = xp.empty((len(dy), *size, weight.shape[2] * groups), dy.dtype)
    narrow = dx.shape[3] <= SCATTERED_CHANNELS and weight.shape[3] >= 8 * dx.shape[3] and groups == 1
    if xp is np and narrow and max(geometry.start) <= 0:
        _scattered(dy, weight, geometry, size, dx)
        if bias is not None:
            dx += bias
        return dx
    phases = [
        (rows, columns)
        for rows in input_phases(size[0], weight.shape[0], geometry, 0)
        for columns in input_phases(size[1], weight.shape[1], geometry, 1)
    ]
    kernels = [w.transpose(0, 1, 3, 2) for w in split(weight, groups)]  # (kh, kw, O, C) each
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
    if bias is not None:
        dx += bias
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
    x, start = pad(x, kernel_size, start, stride, dilation, size)
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


def _scattered(dy, weight, geometry, size, dx):
    """`input_gradient` into dx (N, H, W, C), few C: each dy gives kh kw C numbers, added where they came from."""
    (kh, kw, channels, filters), (count, rows, columns) = weight.shape, dy.shape[:3]
    (top, left), (sr, sc), (dr, dc) = (-a for a in geometry.start), geometry.stride, geometry.dilation
    height = max(top + size[0], (rows - 1) * sr + (kh - 1) * dr + 1)
    width = max(left + size[1], (columns - 1) * sc + (kw - 1) * dc + 1)
    kernel = weight.reshape(-1, filters).T
    for part in chunks(np, count, rows * columns * max(kernel.shape)):
        shares = (dy[part].reshape(-1, filters) @ kernel).reshape(-1, rows, columns, kh, kw, channels)
        for c in range(channels):
            padded = np.zeros((len(shares), height, width), dy.dtype)
            for u in range(kh):
                for v in range(kw):
                    seen = padded[:, u * dr :: sr, v * dc :: sc][:, :rows, :columns]
                    seen += shares[:, :, :, u, v, c]
            dx[part, :, :, c] = padded[:, top : top + size[0], left : left + size[1]]


def _taps(kernel, rows, columns):
    """The part of a kernel (kh, kw, O, C) that a phase meets, as a matrix (taps O, C)."""
    return kernel[rows.kernel, columns.kernel].reshape(-1, kernel.shape[3])


def pad(x, kernel_size, start, stride, dilation, size):
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


def _multiply_in_blocks(rows, kernel, target):
    """`_multiply`, BLOCK rows at a time; the last of them are filled up with zeros."""
    rows, count = np.ascontiguousarray(rows), len(rows)  # BLAS does not take any view
    whole = count // BLOCK * BLOCK
    y = np.empty((count + -count % BLOCK, kernel.shape[1]), rows.dtype)
    np.matmul(rows[:whole].reshape(-1, BLOCK, rows.shape[1]), kernel, out=y[:whole].reshape(-1, BLOCK, y.shape[1]))
    if whole < count:
        last = np.zeros((BLOCK, rows.shape[1]), rows.dtype)
        last[: count - whole] = rows[whole:]
        np.matmul(last, kernel, out=y[whole:])
    target[...] = y[:count].reshape(target.shape)


def _channels(x, groups):
    """The channels of each group: views of the last axis."""
    size = x.shape[-1] // groups
    return [x] if groups == 1 else [x[..., g * size : (g + 1) * size] for g in range(groups)]
