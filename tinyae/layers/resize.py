"""Nearest-neighbour enlargement of images."""

from ..backend import array_module
from ..options import Count, Pair, of_layer
from .base import Layer


class UpSample2D(Layer):
    """Each pixel becomes a block of factor x factor equal ones;  dx sums dy over the block.

    (N, H, W, C) -> (N, factor H, factor W, C). factor: a whole number, or (rows, columns).
    """

    @of_layer(factor=Pair())
    def __init__(self, factor):
        self.factor = factor

    @classmethod
    def examples(cls):
        return [(cls(2), (3, 2, 2)), (cls((1, 3)), (2, 3, 1))]

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        height, width, channels = input_shape
        return height * self.factor[0], width * self.factor[1], channels

    def forward(self, params, x, train=False, rng=None, state=None):
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        return x.repeat(self.factor[0], axis=1).repeat(self.factor[1], axis=2), x.shape

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, (cache[0], *self.output_shape(cache[1:])))
        rows, columns = self.factor
        parts = [dy[:, u::rows, v::columns] for u in range(rows) for v in range(columns)]
        dx = parts[0].copy()
        for part in parts[1:]:
            dx += part
        return dx


class Resize2D(Layer):
    """y[n, i, j] = x[n, floor(i H / height), floor(j W / width)];  dx sums dy over the places that took the pixel.

    With R (height, H) the rows' matrix of zeros and ones and S (width, W) the columns', y = R x S^T per image and
    channel, and dx = R^T dy S.   (N, H, W, C) -> (N, height, width, C).
    """

    @of_layer(height=Count(), width=Count())
    def __init__(self, height, width):
        self.height, self.width = height, width

    @classmethod
    def examples(cls):
        return [(cls(6, 4), (3, 2, 2)), (cls(5, 7), (3, 4, 1)), (cls(2, 3), (5, 4, 2))]

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        return self.height, self.width, input_shape[2]

    def _sources(self, xp, shape):
        """The row and the column of x for each row and column of y."""
        return xp.arange(self.height) * shape[1] // self.height, xp.arange(self.width) * shape[2] // self.width

    def forward(self, params, x, train=False, rng=None, state=None):
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        rows, columns = self._sources(array_module(x), x.shape)
        return x.take(rows, axis=1).take(columns, axis=2), x.shape  # x[:, rows][:, :, columns], but C-contiguous

    def backward(self, params, cache, dy, grads=None):
        n, height, width, channels = cache
        self.check_gradient(dy, (n, self.height, self.width, channels))
        xp = array_module(dy)
        rows, columns = self._sources(xp, cache)
        r = (rows[:, None] == xp.arange(height)).astype(dy.dtype)
        s = (columns[:, None] == xp.arange(width)).astype(dy.dtype)
        dx = xp.matmul(r.T, dy.reshape(n, self.height, self.width * channels))
        return xp.matmul(s.T, dx.reshape(n, height, self.width, channels))
