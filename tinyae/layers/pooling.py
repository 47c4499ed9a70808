"""Pooling: each window of an image gives its maximum or its mean, channel by channel.   (N, H, W, C) -> (N, H', W', C).

Both walk over the taps of the window, a few strided views of the whole batch, rather than over positions.
"""

from ..backend import array_module
from ..backend.convolution import Geometry
from .base import Layer
from .convolution import check_padding, resolve_padding
from .options import pair


class _Pool2D(Layer):
    """size: of the window; stride: None means the size; padding as for Conv2D."""

    def __init__(self, size, stride=None, padding="valid"):
        self.size = pair(self, "size", size)
        self.stride = self.size if stride is None else pair(self, "stride", stride)
        self.padding = check_padding(self, padding)

    @classmethod
    def examples(cls):
        return [
            (cls(2), (4, 6, 2)),
            (cls(3, stride=2, padding="same"), (5, 4, 1)),
            (cls((2, 3), stride=(1, 2), padding=((1, 0), (1, 1))), (4, 5, 3)),
        ]

    def _geometry(self, size):
        return Geometry(self.stride, resolve_padding(self.padding, size, self.size, self.stride))

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        geometry = self._geometry(input_shape[:2])
        size = geometry.output_size(input_shape[:2], self.size)
        self.expect(min(size) >= 1, f"at least as large as the window {self.size}", input_shape)
        narrow = all(max(p) < k for p, k in zip(geometry.padding, self.size, strict=True))
        self.expect(narrow, f"padded by less than the window {self.size}: each needs a pixel", input_shape)
        return (*size, input_shape[2])

    def _taps(self, x_shape, size):
        """For each tap of the window, in raster order: (where it lies in y, where in x), as index pairs.

        A tap beyond the border has no pixel for the first or last windows, which are left out on both sides.
        """
        geometry = self._geometry(x_shape[1:3])
        for u in range(self.size[0]):
            for v in range(self.size[1]):
                sides = [
                    _overlap(n, o, s, tap - p[0])
                    for n, o, s, tap, p in zip(
                        x_shape[1:3], size, self.stride, (u, v), geometry.padding, strict=True
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


class MaxPool2D(_Pool2D):
    """y = max of the window, padding never counting;  dx = dy at the maximum, 0 elsewhere in the window.

    Of equal values the first in raster order is the maximum, so that each dy goes to one pixel.
    """

    def forward(self, params, x, train=False, rng=None, state=None):
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        xp = array_module(x)
        size = self.output_shape(x.shape[1:])[:2]
        y = xp.full((len(x), *size, x.shape[3]), -xp.inf, dtype=x.dtype)
        for y_at, x_at in self._taps(x.shape, size):
            y[y_at] = xp.maximum(y[y_at], x[x_at])
        return y, (x, y)

    def backward(self, params, cache, dy, grads=None):
        x, y = cache
        xp = array_module(dy)
        dx = xp.zeros_like(x)
        left = dy.copy()  # what has not found its pixel yet
        for y_at, x_at in self._taps(x.shape, y.shape[1:3]):
            share = left[y_at] * (x[x_at] == y[y_at])
            dx[x_at] += share
            left[y_at] -= share
        return dx


class AveragePool2D(_Pool2D):
    """y = mean of the window's pixels, padding not counted;  each of the m pixels of a window gets dy / m."""

    def _counts(self, x, size):
        """(OH, OW, 1): the pixels in each window."""
        counts = array_module(x).zeros((1, *size, 1), dtype=x.dtype)
        for y_at, _ in self._taps(x.shape, size):
            counts[y_at] += 1
        return counts

    def forward(self, params, x, train=False, rng=None, state=None):
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        size = self.output_shape(x.shape[1:])[:2]
        y = array_module(x).zeros((len(x), *size, x.shape[3]), dtype=x.dtype)
        for y_at, x_at in self._taps(x.shape, size):
            y[y_at] += x[x_at]
        counts = self._counts(x, size)
        y /= counts
        return y, (x.shape, counts)

    def backward(self, params, cache, dy, grads=None):
        shape, counts = cache
        dx = array_module(dy).zeros(shape, dtype=dy.dtype)
        share = dy / counts
        for y_at, x_at in self._taps(shape, dy.shape[1:3]):
            dx[x_at] += share[y_at]
        return dx
