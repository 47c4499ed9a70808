"""Pooling: each window of an image gives its maximum or its mean, by channel.   (N, H, W, C) -> (N, H', W', C)."""

import functools
import math
from itertools import starmap

from ..backend import array_module, operations
from ..backend.convolution.geometry import Geometry, taps
from ..options import Flag, Optional, Padding, Pair, of_layer
from .base import Layer
from .convolution import resolve_padding


class _Pool2D(Layer):
    """size: of the window; stride: None means the size; padding and dilation as for Conv2D."""

    @of_layer(size=Pair(), stride=Optional(Pair()), padding=Padding(), dilation=Pair())
    def __init__(self, size, stride=None, padding="valid", dilation=1):
        self.size, self.stride, self.padding = size, size if stride is None else stride, padding
        self.dilation = dilation

    @classmethod
    def examples(cls):
        return [
            (cls(2), (4, 6, 2)),
            (cls(3, stride=2, padding="same"), (5, 4, 1)),
            (cls((2, 3), stride=(1, 2), padding=((1, 0), (1, 1))), (4, 5, 3)),
            (cls((3, 2), stride=(1, 2), padding=1, dilation=(1, 2)), (4, 6, 2)),
            (cls(2, stride=(3, 2), padding="same", dilation=(2, 3)), (8, 7, 2)),
        ]

    def _geometry(self, size):
        padding = resolve_padding(self.padding, size, self.size, self.stride, self.dilation)
        return Geometry(self.stride, padding, self.dilation)

    def _taps(self, x_shape, size):
        return taps(x_shape[1:3], size, self.size, self._geometry(x_shape[1:3]))

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        geometry = self._geometry(input_shape[:2])
        size = geometry.output_size(input_shape[:2], self.size)
        self.expect(min(size) >= 1, f"at least as large as the window {self.size}", input_shape)
        axes = zip(input_shape[:2], size, self.size, self.stride, self.dilation, geometry.start, strict=True)
        narrow = all(starmap(_all_see_a_pixel, axes))
        self.expect(narrow, f"padded by less than the window {self.size}: each needs a pixel", input_shape)
        return (*size, input_shape[2])


@functools.lru_cache(512)
def _all_see_a_pixel(length, count, taps, stride, dilation, start):
    """Whether each of `count` windows along an axis has a tap on one of its `length` pixels."""
    return all(
        any(0 <= start + i * stride + u * dilation < length for u in range(taps)) for i in range(count)
    )


class MaxPool2D(_Pool2D):
    """Takes the largest value of each window.

        y = max of the window,   dx = dy at the maximum, 0 elsewhere in the window

    Padding never counts. Of equal values the first in raster order is the maximum, so each dy goes to one pixel. (N, H,
    W, C) -> (N, H', W', C).

    Parameters
    ----------
    size : int or (int, int)
        The window's sides, in pixels.
    stride : int, (int, int) or None, default None
        The step between windows; None takes `size`.
    padding : "same", "valid", int or ((top, bottom), (left, right)), default "valid"
        The border around the image.
    dilation : int or (int, int), default 1
        The step between the pixels of a window.

    Example
    -------
    >>> MaxPool2D(2).output_shape((28, 28, 8))
    (14, 14, 8)
    """

    def forward(self, params, x, train=False, rng=None, state=None):
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        size = self.output_shape(x.shape[1:])[:2]
        y = operations.max_pool(x, self.size, self._geometry(x.shape[1:3]), size)
        return y, (x, y)

    def backward(self, params, cache, dy, grads=None):
        x, y = cache
        self.check_gradient(dy, y.shape)
        return operations.max_pool_gradient(x, y, dy, self.size, self._geometry(x.shape[1:3]))


class AveragePool2D(_Pool2D):
    """Takes the mean of each window.

        y = mean of the window's m pixels,   dx = dy / m for each of them

    (N, H, W, C) -> (N, H', W', C).

    Parameters
    ----------
    size : int or (int, int)
        The window's sides, in pixels.
    stride : int, (int, int) or None, default None
        The step between windows; None takes `size`.
    padding : "same", "valid", int or ((top, bottom), (left, right)), default "valid"
        The border around the image.
    dilation : int or (int, int), default 1
        The step between the pixels of a window.
    count_include_pad : bool, default False
        Whether zeros of the padding count as pixels, so that m is always the window's size.

    Example
    -------
    >>> AveragePool2D(2).output_shape((28, 28, 8))
    (14, 14, 8)
    """

    @of_layer(count_include_pad=Flag())
    def __init__(self, size, stride=None, padding="valid", dilation=1, count_include_pad=False):
        super().__init__(size, stride, padding, dilation)
        self.count_include_pad = count_include_pad

    @classmethod
    def examples(cls):
        counted = cls(2, stride=(2, 3), padding=1, dilation=(2, 1), count_include_pad=True)
        same = cls(3, stride=2, padding="same", count_include_pad=True)
        return [*super().examples(), (same, (5, 4, 1)), (counted, (6, 7, 2))]

    def _counts(self, x, size):
        """(1, OH, OW, 1): the pixels in each window; a number where all windows have as many."""
        if self.count_include_pad:
            return math.prod(self.size)
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
        self.check_gradient(dy, (shape[0], *self.output_shape(shape[1:])))
        dx = array_module(dy).zeros(shape, dtype=dy.dtype)
        share = dy / counts
        for y_at, x_at in self._taps(shape, dy.shape[1:3]):
            dx[x_at] += share[y_at]
        return dx
