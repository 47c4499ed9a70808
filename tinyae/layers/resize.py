"""Images of another size: nearest pixels, or linear or cubic interpolation between them."""

from ..backend import array_module
from ..errors import ConfigError
from ..options import Choice, Count, Flag, Pair, of_layer
from .base import Layer

MODES = ("nearest", "linear", "cubic")
SHARPNESS = -0.75  # the cubic kernel's slope at 1, as PyTorch has it


class _Resize(Layer):
    """y = R x S^T per image and channel, R (height, H) the rows' weights, S (width, W) the columns';  dx = R^T dy S.

    A subclass says the new size by `output_shape`. mode: "nearest", "linear" or "cubic". align_corners: whether the
    middles of the corners' pixels stay where they are; else it is the image's border that does.
    """

    @of_layer(mode=Choice(MODES), align_corners=Flag())
    def __init__(self, mode, align_corners):
        self.mode, self.align_corners = mode, align_corners
        if mode == "nearest" and align_corners:
            raise ConfigError(f'{type(self).__name__}: align_corners goes with mode "linear" or "cubic"')

    def forward(self, params, x, train=False, rng=None, state=None):
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        return self._product(*self._weights(array_module(x), x.shape, x.dtype), x), x.shape  # R x S^T

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, (cache[0], *self.output_shape(cache[1:])))
        rows, columns = self._weights(array_module(dy), cache, dy.dtype)
        return self._product(rows.T, columns.T, dy)  # R^T dy S

    def _product(self, rows, columns, x):
        """rows (A, H) x columns^T (W, B) of each image and channel: (N, H, W, C) -> (N, A, B, C)."""
        n, height, width, channels = x.shape
        xp = array_module(x)
        y = xp.matmul(rows, x.reshape(n, height, width * channels))
        return xp.matmul(columns, y.reshape(n, len(rows), width, channels))

    def _weights(self, xp, shape, dtype):
        """R and S for images of `shape` (N, H, W, C)."""
        new = self.output_shape(shape[1:])[:2]
        kernel = linear if self.mode == "linear" else cubic
        return [self._matrix(xp, n, old, kernel).astype(dtype) for n, old in zip(new, shape[1:3], strict=True)]

    def _matrix(self, xp, new, old, kernel):
        """(new, old): in row i the weights of the old pixels for new pixel i. The image goes on beyond its border."""
        if self.align_corners:
            place = xp.arange(new) * ((old - 1) / max(new - 1, 1))
        else:
            place = (xp.arange(new) + 0.5) * (old / new) - 0.5
        first = xp.floor(place)
        matrix = xp.zeros((new, old))
        for offset in (-1, 0, 1, 2):
            pixel = xp.clip(first + offset, 0, old - 1)
            matrix += kernel(xp, xp.abs(place - first - offset))[:, None] * (pixel[:, None] == xp.arange(old))
        return matrix


def linear(xp, distance):
    """1 - |t| up to 1, else 0."""
    return xp.maximum(1 - distance, 0)


def cubic(xp, t):
    """Keys 1981, equation 4, with a = SHARPNESS: 1 at 0, and 0 at 1, 2 and beyond."""
    a = SHARPNESS
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return xp.where(t <= 1, near, xp.where(t < 2, far, 0.0))


class UpSample2D(_Resize):
    """Enlarges images by a factor.

        y[n, i, j] = x[n, floor(i / factor), floor(j / factor)],   dx sums dy over the block of each pixel

    (N, H, W, C) -> (N, factor H, factor W, C).

    Parameters
    ----------
    factor : int or (int, int)
        The factor of rows and columns.
    mode : "nearest", "linear" or "cubic", default "nearest"
        The interpolation, as in Resize2D.
    align_corners : bool, default False
        As in Resize2D.

    Example
    -------
    >>> UpSample2D(2).output_shape((7, 7, 3))
    (14, 14, 3)
    """

    @of_layer(factor=Pair())
    def __init__(self, factor, mode="nearest", align_corners=False):
        super().__init__(mode, align_corners)
        self.factor = factor

    @classmethod
    def examples(cls):
        smooth = cls((2, 3), mode="linear", align_corners=True)
        return [(cls(2), (3, 2, 2)), (cls((1, 3)), (2, 3, 1)), (smooth, (3, 4, 1))]

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        height, width, channels = input_shape
        return height * self.factor[0], width * self.factor[1], channels

    def forward(self, params, x, train=False, rng=None, state=None):
        if self.mode != "nearest":
            return super().forward(params, x)
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        return x.repeat(self.factor[0], axis=1).repeat(self.factor[1], axis=2), x.shape

    def backward(self, params, cache, dy, grads=None):
        if self.mode != "nearest":
            return super().backward(params, cache, dy)
        self.check_gradient(dy, (cache[0], *self.output_shape(cache[1:])))
        rows, columns = self.factor
        parts = [dy[:, u::rows, v::columns] for u in range(rows) for v in range(columns)]
        dx = parts[0].copy()
        for part in parts[1:]:
            dx += part
        return dx


class Resize2D(_Resize):
    """Resizes images to a given height and width.

        y[n, i, j] = x[n, floor(i H / height), floor(j W / width)],   dx sums dy over the places of the pixel

    for "nearest"; "linear" interpolates between the two nearest pixels on each axis, "cubic" between the four nearest
    with Keys's kernel (Keys 1981; a = -0.75). Images that shrink are not smoothed first. (N, H, W, C) -> (N, height,
    width, C).

    Parameters
    ----------
    height, width : int
        The new size, in pixels.
    mode : "nearest", "linear" or "cubic", default "nearest"
        The interpolation.
    align_corners : bool, default False
        As in PyTorch's `interpolate`, of which these are "nearest", "bilinear" and "bicubic".

    Example
    -------
    >>> Resize2D(14, 14).output_shape((7, 5, 3))
    (14, 14, 3)
    """

    @of_layer(height=Count(), width=Count())
    def __init__(self, height, width, mode="nearest", align_corners=False):
        super().__init__(mode, align_corners)
        self.height, self.width = height, width

    @classmethod
    def examples(cls):
        nearest = [(cls(6, 4), (3, 2, 2)), (cls(5, 7), (3, 4, 1)), (cls(2, 3), (5, 4, 2))]
        smooth = [(cls(5, 2, mode="linear"), (3, 4, 2)), (cls(2, 5, mode="cubic"), (3, 4, 1))]
        return [*nearest, *smooth, (cls(4, 3, mode="cubic", align_corners=True), (3, 5, 2))]

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        return self.height, self.width, input_shape[2]

    def forward(self, params, x, train=False, rng=None, state=None):
        if self.mode != "nearest":
            return super().forward(params, x)
        self.expect(x.ndim == 4, "(N, H, W, C)", x.shape)
        rows, columns = self._sources(array_module(x), x.shape)
        return x.take(rows, axis=1).take(columns, axis=2), x.shape  # x[:, rows][:, :, columns], but C-contiguous

    def _sources(self, xp, shape):
        """The row and the column of x for each row and column of y, in mode "nearest"."""
        return xp.arange(self.height) * shape[1] // self.height, xp.arange(self.width) * shape[2] // self.width

    def _weights(self, xp, shape, dtype):
        if self.mode != "nearest":
            return super()._weights(xp, shape, dtype)
        sources = zip(self._sources(xp, shape), shape[1:3], strict=True)
        return [(source[:, None] == xp.arange(length)).astype(dtype) for source, length in sources]
