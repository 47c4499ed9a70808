"""The maximum of windows over images, and its gradient: over the taps of the window, strided views of the whole batch.

size: of the window, (height, width); geometry: how windows lie; each window has a pixel.
"""

from . import array_module, native
from .native import primitives as compiled


def maximum(x, size, geometry, result_size):
    """y (N, OH, OW, C), the maximum of each window of x (N, H, W, C); padding never counts."""
    if native.takes(x) and geometry.dilation == (1, 1):
        return compiled.max_pool(x, size, geometry.stride, geometry.start, result_size)
    xp = array_module(x)
    y = xp.full((len(x), *result_size, x.shape[3]), -xp.inf, dtype=x.dtype)
    for y_at, x_at in taps(x.shape[1:3], result_size, size, geometry):
        y[y_at] = xp.maximum(y[y_at], x[x_at])
    return y


def maximum_gradient(x, y, dy, size, geometry):
    """dx (N, H, W, C): dy at the first pixel of its window, in raster order, that has the maximum, 0 elsewhere."""
    plain = geometry.dilation == (1, 1) and (len(y), y.shape[3:]) == (len(x), x.shape[3:])
    if plain and native.takes(x) and native.takes_alike(y, dy):
        return compiled.max_pool_gradient(x, y, dy, size, geometry.stride, geometry.start)
    dx = array_module(dy).zeros_like(x)
    left = dy.copy()  # what has not found its pixel yet
    for y_at, x_at in taps(x.shape[1:3], y.shape[1:3], size, geometry):
        share = left[y_at] * (x[x_at] == y[y_at])
        dx[x_at] += share
        left[y_at] -= share
    return dx


def taps(image_size, result_size, size, geometry):
    """For each tap of the window, in raster order: (where it lies in y, where in x), as index pairs.

    A tap beyond the border has no pixel for the first or last windows, which are left out on both sides.
    """
    for u in range(size[0]):
        for v in range(size[1]):
            sides = [
                _overlap(n, o, s, tap * d + start)
                for n, o, s, d, tap, start in zip(
                    image_size, result_size, geometry.stride, geometry.dilation, (u, v), geometry.start, strict=True
                )
            ]
            (y_rows, x_rows), (y_columns, x_columns) = sides
            yield (slice(None), y_rows, y_columns), (slice(None), x_rows, x_columns)


def _overlap(length, count, stride, offset):
    """Slices of the windows i in [0, count) whose i stride + offset is a pixel in [0, length), and of these pixels."""
    first = max(0, -(offset // stride)) if offset < 0 else 0
    last = min(count, (length - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)
