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
same taps of the kernel, so each of the s x s phases is a plain correlation of dy with a part of the kernel. Where a
position of dx is much narrower than one of dy (an image of one channel from 32), scattering copies less and is used.

Kernels of three rows without stride take, in float32 on the CPU, the fast algorithm F(2, 3) over rows (Winograd 1980;
Lavin & Gray 2016, section 4): two rows of y from four of x by four products instead of six. `_tiles` has the drawing.
"""

import math

import numpy as np

from . import array_module

CHUNK = 1 << 18  # numbers of patches at a time on the CPU: 1 MiB of float32, the second-level cache
FAST_CHANNELS = 16  # the fewest channels, in and out, for which the fast algorithm pays
SCATTERED_CHANNELS = 3  # the most channels of dx, an eighth of dy's or fewer, for which scattering pays
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
    if _pays(x, weight.shape, geometry, size):
        return _fast_output(x, weight, geometry.start, size, bias)
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
    if _pays(dy, weight.shape, geometry, size):
        start = tuple(-s - k + 1 for s, k in zip(geometry.start, weight.shape[:2], strict=True))
        return _fast_output(dy, weight[::-1, ::-1].transpose(0, 1, 3, 2), start, size)
    dx = xp.empty((len(dy), *size, weight.shape[2] * groups), dy.dtype)
    if xp is np and dx.shape[3] <= SCATTERED_CHANNELS and weight.shape[3] >= 8 * dx.shape[3] and groups == 1:
        return _scattered(dy, weight, geometry, size, dx)
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
    if _pays(x, (kh, kw, channels, filters), geometry, dy.shape[1:3]):
        return _fast_weight_gradient(x, dy, geometry.start, kw)
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
    return dx


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


def _pays(x, kernel_shape, geometry, size):
    """Whether the fast algorithm fits and has less to do; it rounds the rows up to pairs and adds kw - 1 columns."""
    kh, kw, channels, filters = kernel_shape
    plain = kh == 3 and geometry.groups == 1 and geometry.stride == geometry.dilation == (1, 1)
    wide = min(channels, filters) >= FAST_CHANNELS and 4 * _pairs(size) * (size[1] + kw - 1) < 2.7 * math.prod(size)
    return plain and wide and array_module(x) is np and x.dtype == np.float32


def _pairs(size):
    """Pairs of rows that cover an output of `size`."""
    return -(-size[0] // 2)


def _fast_output(x, weight, start, size, bias=None):
    """`output` by the fast algorithm, stride 1; `start` is where in x the first window begins.

    Row by row, with the tiles t of `_tiles` and a product * that is a convolution along the row:

        m0 = t0 * w0    m1 = t1 * (w0 + w1 + w2) / 2    m2 = t2 * (w0 - w1 + w2) / 2    m3 = t3 * w2
        y[2i] = m0 + m1 + m2        y[2i + 1] = m1 - m2 - m3
    """
    (_, kw, channels, filters), half = weight.shape, size[0] // 2
    w0, w1, w2 = weight
    kernels = np.stack((w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2)).reshape(4, kw * channels, filters)
    grid = _pairs(size), size[1] + kw - 1
    y = np.empty((len(x), *size, filters), x.dtype)
    for part in chunks(np, len(x), 4 * math.prod(grid) * (channels + filters)):
        tiles = _tiles(x[part], start, size, kw)
        m = np.empty((4, tiles[0].size // channels, filters), x.dtype)
        for q, windows in enumerate(_windows(tiles, kw)):
            np.matmul(windows, kernels, out=m[:, q::kw][:, : windows.shape[1]])
        m0, m1, m2, m3 = m.reshape(4, -1, *grid, filters)[:, :, :, : size[1]]
        if bias is not None:
            m1 += bias  # which is in every row of y
        even, odd = y[part, 0::2], y[part, 1::2]
        np.add(m1, m2, out=even)
        even += m0
        np.subtract(m1[:, :half], m2[:, :half], out=odd)
        odd -= m3[:, :half]
    return y


def _fast_weight_gradient(x, dy, start, kw):
    """`weight_gradient` by the transpose of `_fast_output`, with r0, r1 = dy[2i], dy[2i + 1] and sums over all pairs:

    g0 = t0 * r0    g1 = t1 * (r0 + r1)    g2 = t2 * (r0 - r1)    g3 = t3 * r1
    dw[0] = g0 + (g1 + g2) / 2        dw[1] = (g1 - g2) / 2        dw[2] = (g1 + g2) / 2 - g3
    """
    size, channels, filters = dy.shape[1:3], x.shape[3], dy.shape[3]
    grid, half = (_pairs(size), size[1] + kw - 1), size[0] // 2
    parts = chunks(np, len(x), 4 * math.prod(grid) * (channels + filters))
    sums = np.zeros((4, kw * channels, filters), x.dtype)
    product = np.empty_like(sums)
    r = np.zeros((4, parts[0].stop, *grid, filters), x.dtype)  # stays zero between the rows, where windows are no y's
    for part in parts:
        tiles = _tiles(x[part], start, size, kw)
        used = r[:, : part.stop - part.start]
        even, odd, both = dy[part, 0::2], dy[part, 1::2], used[:, :, :, : size[1]]
        both[0] = even
        np.add(even[:, :half], odd, out=both[1, :, :half])
        np.subtract(even[:, :half], odd, out=both[2, :, :half])
        both[1:3, :, half:] = even[:, half:]
        both[3, :, :half] = odd
        rows = used.reshape(4, -1, filters)
        for q, windows in enumerate(_windows(tiles, kw)):
            np.matmul(windows.transpose(0, 2, 1), rows[:, q::kw][:, : windows.shape[1]], out=product)
            sums += product
    g0, g1, g2, g3 = sums.reshape(4, kw, channels, filters)
    return np.stack((g0 + (g1 + g2) / 2, (g1 - g2) / 2, (g1 + g2) / 2 - g3))


def _tiles(x, start, size, kw):
    """(4, n, pairs, width, C): what two rows of y need of the four rows d of x below them, padding included.

        t0 = d0 - d2        t1 = d1 + d2        t2 = d2 - d1        t3 = d1 - d3

    Over the pixels of t one after another, all windows of kw pixels are kw plain matrices, without a copy; kw = 3:

        pixels            a b c d e f g h ...
        windows 0, 3, ..  a b c|d e f|g h ...        their products are rows 0, 3, ... of m
        windows 1, 4, ..    b c d|e f g|h ...        and so on; kw - 1 windows a row run into the next one: unused
    """
    pairs, width = _pairs(size), size[1] + kw - 1
    x, (row, column) = _pad(x, (3, kw), start, (1, 1), (1, 1), (2 * pairs, size[1]))
    d0, d1, d2, d3 = (x[:, row + k : row + k + 2 * pairs - 1 : 2, column : column + width] for k in range(4))
    tiles = np.empty((4, *d0.shape), x.dtype)
    np.subtract(d0, d2, out=tiles[0])
    np.add(d1, d2, out=tiles[1])
    np.subtract(d2, d1, out=tiles[2])
    np.subtract(d1, d3, out=tiles[3])
    return tiles


def _windows(tiles, kw):
    """For q < kw, the windows q, q + kw, ... of tiles (4, n, pairs, width, C): views (4, count, kw C)."""
    step = tiles.shape[-1]
    flat = tiles.reshape(4, -1)
    for q in range(kw):
        count = (flat.shape[1] // step - q) // kw
        yield flat[:, q * step : (q + count * kw) * step].reshape(4, count, kw * step)
