"""What layers on images compute, once more: loops over pixels and taps, straight from the definitions.

Nothing here imports tinyae. Images are (N, H, W, C), kernels (kh, kw, C / groups, O); results are float64.
"""

import math
from itertools import product

import numpy as np


def same_padding(size, kernel_size, stride, dilation=(1, 1)):
    """TensorFlow's rule: the fewest zeros that give ceil(n / s) windows, of an odd number one more at the end."""
    sides = []
    for n, k, s, d in zip(size, kernel_size, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        windows, zeros = math.ceil(n / s), 0
        while (n + zeros - reach) // s + 1 < windows:
            zeros += 1
        sides.append((zeros // 2, zeros - zeros // 2))
    return tuple(sides)


def padding_in_numbers(padding, size, kernel_size, stride, dilation=(1, 1)):
    """((top, bottom), (left, right)) of any of the ways to say it."""
    if padding == "same":
        return same_padding(size, kernel_size, stride, dilation)
    if padding == "valid":
        return (0, 0), (0, 0)
    return ((padding, padding),) * 2 if isinstance(padding, int) else padding


def output_size(size, kernel_size, stride, padding, dilation=(1, 1)):
    """Count, on each axis, the windows that end within the padded image."""
    counts = []
    for n, k, s, (before, after), d in zip(size, kernel_size, stride, padding, dilation, strict=True):
        starts = range(0, n + before + after, s)
        counts.append(sum(start + (k - 1) * d < n + before + after for start in starts))
    return tuple(counts)


def meetings(size, kernel_size, stride, padding, dilation=(1, 1)):
    """Every (window (i, j), tap (u, v), pixel (a, b)) where the tap of the window lies on the pixel."""
    windows = map(range, output_size(size, kernel_size, stride, padding, dilation))
    for i, j in product(*windows):
        for u, v in product(*map(range, kernel_size)):
            a = i * stride[0] + u * dilation[0] - padding[0][0]
            b = j * stride[1] + v * dilation[1] - padding[1][0]
            if 0 <= a < size[0] and 0 <= b < size[1]:
                yield (i, j), (u, v), (a, b)


def _groups(channels, filters, groups):
    """(channels, filters) of each group, as slices."""
    c, o = channels // groups, filters // groups
    return [(slice(g * c, (g + 1) * c), slice(g * o, (g + 1) * o)) for g in range(groups)]


def convolution(x, weight, stride, padding, dilation=(1, 1), groups=1):
    kernel_size, size = weight.shape[:2], x.shape[1:3]
    y = np.zeros((len(x), *output_size(size, kernel_size, stride, padding, dilation), weight.shape[3]))
    for window, tap, pixel in meetings(size, kernel_size, stride, padding, dilation):
        for c, o in _groups(x.shape[3], weight.shape[3], groups):
            y[:, *window, o] += x[:, *pixel, c] @ weight[*tap, :, o]
    return y


def convolution_input_gradient(dy, weight, size, stride, padding, dilation=(1, 1), groups=1):
    dx = np.zeros((len(dy), *size, weight.shape[2] * groups))
    for window, tap, pixel in meetings(size, weight.shape[:2], stride, padding, dilation):
        for c, o in _groups(dx.shape[3], weight.shape[3], groups):
            dx[:, *pixel, c] += dy[:, *window, o] @ weight[*tap, :, o].T
    return dx


def convolution_weight_gradient(x, dy, kernel_size, stride, padding, dilation=(1, 1), groups=1):
    dw = np.zeros((*kernel_size, x.shape[3] // groups, dy.shape[3]))
    for window, tap, pixel in meetings(x.shape[1:3], kernel_size, stride, padding, dilation):
        for c, o in _groups(x.shape[3], dy.shape[3], groups):
            dw[*tap, :, o] += x[:, *pixel, c].T @ dy[:, *window, o]
    return dw


def transposed_convolution(x, weight, stride, padding, extra=(0, 0), dilation=(1, 1), groups=1):
    """Each pixel adds its multiple of the kernel (kh, kw, O / groups, C); padding is cut off, `extra` left on."""
    (n, height, width, channels), (kh, kw), filters = x.shape, weight.shape[:2], weight.shape[2] * groups
    rows = (height - 1) * stride[0] + (kh - 1) * dilation[0] + 1
    columns = (width - 1) * stride[1] + (kw - 1) * dilation[1] + 1
    whole = np.zeros((n, rows + extra[0], columns + extra[1], filters))
    for i, j in product(range(height), range(width)):
        for u, v in product(range(kh), range(kw)):
            a, b = i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]
            for c, o in _groups(channels, filters, groups):
                whole[:, a, b, o] += x[:, i, j, c] @ weight[u, v, :, c].T
    (top, bottom), (left, right) = padding
    return whole[:, top : whole.shape[1] - bottom, left : whole.shape[2] - right]


def mask(kernel_size, kind):
    """1 at the taps before the centre in raster order, and at the centre for "B"; (kh, kw, 1, 1)."""
    centre = kernel_size[0] // 2, kernel_size[1] // 2
    ones = np.zeros((*kernel_size, 1, 1))
    for tap in product(*map(range, kernel_size)):
        ones[tap] = tap < centre or (kind == "B" and tap == centre)
    return ones


def _windows(x, size, stride, padding, dilation):
    """(place of y, [places of x in the window, in raster order]) for every number of a pooled image."""
    pixels = {}
    for window, _, pixel in meetings(x.shape[1:3], size, stride, padding, dilation):
        pixels.setdefault(window, []).append(pixel)
    for n, c in product(range(len(x)), range(x.shape[3])):
        for window, inside in pixels.items():
            yield (n, *window, c), [(n, *pixel, c) for pixel in inside]


def _pooled(x, size, stride, padding, dilation):
    return np.zeros((len(x), *output_size(x.shape[1:3], size, stride, padding, dilation), x.shape[3]))


def max_pool(x, dy, size, stride, padding, dilation=(1, 1)):
    """(y, dx): of equal values the first in raster order takes the gradient."""
    y, dx = _pooled(x, size, stride, padding, dilation), np.zeros(x.shape)
    for place, inside in _windows(x, size, stride, padding, dilation):
        best = inside[0]
        for pixel in inside[1:]:
            if x[pixel] > x[best]:
                best = pixel
        y[place] = x[best]
        dx[best] += dy[place]
    return y, dx


def average_pool(x, dy, size, stride, padding, dilation=(1, 1), count_include_pad=False):
    """(y, dx): the padding does not count, unless it is said to."""
    y, dx = _pooled(x, size, stride, padding, dilation), np.zeros(x.shape)
    for place, inside in _windows(x, size, stride, padding, dilation):
        count = size[0] * size[1] if count_include_pad else len(inside)
        y[place] = math.fsum(x[pixel] for pixel in inside) / count
        for pixel in inside:
            dx[pixel] += dy[place] / count
    return y, dx


def interpolate(x, height, width, kernel, reach, align_corners):
    """Each new pixel by its distances to the old ones within `reach`; beyond its border the image goes on."""
    (rows, columns), y = x.shape[1:3], np.zeros((len(x), height, width, x.shape[3]))

    def place(i, new, old):
        if align_corners:
            return i * (old - 1) / (new - 1) if new > 1 else 0.0
        return (i + 0.5) * old / new - 0.5

    for i, j in product(range(height), range(width)):
        a, b = place(i, height, rows), place(j, width, columns)
        for u in range(math.floor(a) - reach + 1, math.floor(a) + reach + 1):
            for v in range(math.floor(b) - reach + 1, math.floor(b) + reach + 1):
                pixel = min(max(u, 0), rows - 1), min(max(v, 0), columns - 1)
                y[:, i, j] += kernel(abs(a - u)) * kernel(abs(b - v)) * x[:, *pixel]
    return y


def resize(x, dy, height, width):
    """(y, dx) of taking for each place the pixel that its upper left corner falls on."""
    y, dx = np.zeros((len(x), height, width, x.shape[3])), np.zeros(x.shape)
    for i, j in product(range(height), range(width)):
        pixel = i * x.shape[1] // height, j * x.shape[2] // width
        y[:, i, j] = x[:, *pixel]
        dx[:, *pixel] += dy[:, i, j]
    return y, dx


def group_norm(x, scale, shift, groups, epsilon=1e-5):
    y, share = np.empty(x.shape), x.shape[-1] // groups
    for n, g in product(range(len(x)), range(groups)):
        values = [float(v) for v in x[n, ..., g * share : (g + 1) * share].flat]
        mean = math.fsum(values) / len(values)
        sigma = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values) + epsilon)
        for place in np.ndindex(x.shape[1:-1]):
            for c in range(g * share, (g + 1) * share):
                y[n, *place, c] = scale[c] * (x[n, *place, c] - mean) / sigma + shift[c]
    return y


# Similarity and edges of one image (H, W, C)


def structural_similarity(x, y, side=11, sigma=1.5, c1=1e-4, c2=9e-4):
    """S of every window that lies in the image, channel by channel: (H - side + 1, W - side + 1, C)."""
    middle = side // 2
    weight = {
        (i, j): math.exp(-((i - middle) ** 2 + (j - middle) ** 2) / (2 * sigma**2))
        for i, j in product(range(side), repeat=2)
    }
    total = math.fsum(weight.values())
    height, width, channels = x.shape
    out = np.empty((height - side + 1, width - side + 1, channels))
    for top, left, c in np.ndindex(out.shape):
        taps = [
            (w / total, float(x[top + i, left + j, c]), float(y[top + i, left + j, c])) for (i, j), w in weight.items()
        ]
        mx, my = (math.fsum(w * v[k] for w, *v in taps) for k in (0, 1))
        vx = math.fsum(w * (a - mx) ** 2 for w, a, _ in taps)
        vy = math.fsum(w * (b - my) ** 2 for w, _, b in taps)
        covariance = math.fsum(w * (a - mx) * (b - my) for w, a, b in taps)
        out[top, left, c] = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return out


def edge_strength(x):
    """Sobel's magnitude over 4, the image going on beyond its border as it is there: (H, W, C)."""
    height, width, _ = x.shape
    out = np.empty(x.shape)
    for i, j, c in np.ndindex(x.shape):

        def at(di, dj, i=i, j=j, c=c):
            return float(x[min(max(i + di, 0), height - 1), min(max(j + dj, 0), width - 1), c])

        right = sum(w * (at(d, 1) - at(d, -1)) for d, w in ((-1, 1), (0, 2), (1, 1)))
        down = sum(w * (at(1, d) - at(-1, d)) for d, w in ((-1, 1), (0, 2), (1, 1)))
        out[i, j, c] = math.hypot(right, down) / 4
    return out
