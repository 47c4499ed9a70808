"""Kernels of three rows without stride by the fast algorithm F(2, 3) over rows, in float32 on the CPU.

Two rows of y from four of x by four products instead of six (Winograd 1980; Lavin & Gray 2016, section 4). `_tiles` has
the drawing.
"""

import math

import numpy as np

from .patches import chunks, pad

CHANNELS = 16  # the fewest channels, in and out, for which this pays


def pays(x, kernel_shape, geometry, size):
    """Whether the fast algorithm fits and has less to do; it rounds the rows up to pairs and adds kw - 1 columns."""
    kh, kw, channels, filters = kernel_shape
    plain = kh == 3 and geometry.groups == 1 and geometry.stride == geometry.dilation == (1, 1)
    wide = min(channels, filters) >= CHANNELS and 4 * _pairs(size) * (size[1] + kw - 1) < 2.7 * math.prod(size)
    return plain and wide and x.dtype == np.float32


def _pairs(size):
    """Pairs of rows that cover an output of `size`."""
    return -(-size[0] // 2)


def output(x, weight, start, size, bias=None):
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
            m1 += bias  # a term of every row of y
        even, odd = y[part, 0::2], y[part, 1::2]
        np.add(m1, m2, out=even)
        even += m0
        np.subtract(m1[:, :half], m2[:, :half], out=odd)
        odd -= m3[:, :half]
    return y


def weight_gradient(x, dy, start, kw):
    """`weight_gradient` by the transpose of `output`, with r0, r1 = dy[2i], dy[2i + 1] and sums over all pairs:

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
    x, (row, column) = pad(x, (3, kw), start, (1, 1), (1, 1), (2 * pairs, size[1]))
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
