"""Convolution and transposed convolution on images (N, H, W, C).

Convolution is linear in x, and transposed convolution is its transpose: <conv(x), y> = <x, convT(y)>. So the forward
of one is the input gradient of the other, and three operations (`backend.convolution`) serve both:

                  convolution                         transposed convolution
    y             convolution(x, w)                   input_gradient(x, w)
    dx            input_gradient(dy, w)               convolution(dy, w)
    dw            weight_gradient(x, dy)              weight_gradient(dy, x)
"""

import functools

from ..backend import operations
from ..backend.convolution import Geometry
from ..backend.operations import add_rows
from ..errors import ConfigError
from ..options import Choice, Count, Flag, Padding, Pair, of_layer
from .base import Layer
from .initialisers import INITIALISERS


def resolve_padding(padding, size, kernel_size, stride, dilation=(1, 1)):
    """((top, bottom), (left, right)) for an image of `size`.

    "same" is TensorFlow's rule: the output has ceil(size / stride) rows, and of an odd number of zeros the end gets
    one more.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        return padding
    totals = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, k, s, d in zip(size, kernel_size, stride, dilation, strict=True)
    ]
    return tuple((total // 2, total - total // 2) for total in totals)


@functools.lru_cache(512)
def _windows(size, kernel_size, stride, padding, dilation):
    """(the padding in numbers, how many windows there are on each axis) for an image of `size`: computed once."""
    padding = resolve_padding(padding, size, kernel_size, stride, dilation)
    return padding, Geometry(stride, padding, dilation).output_size(size, kernel_size)


class _Convolution(Layer):
    """What a convolution and its transpose share. `defaults` are the options that repr leaves out."""

    defaults = {"stride": (1, 1), "padding": "same", "bias": True}

    bias_init = "zeros"

    @of_layer(
        filters=Count(), kernel_size=Pair(), stride=Pair(), padding=Padding(), bias=Flag(),
        init=Choice(INITIALISERS, "initialiser"),
    )  # fmt: skip
    def __init__(self, filters, kernel_size, stride, padding, bias, init):
        self.filters, self.kernel_size, self.stride, self.padding = filters, kernel_size, stride, padding
        self.bias, self.init_name = bias, init

    def __repr__(self):
        changed = "".join(f", {k}={getattr(self, k)}" for k, v in self.defaults.items() if getattr(self, k) != v)
        return f"{type(self).__name__}({self.filters}, {self.kernel_size}{changed})"

    def initialisers(self):
        return {"weight": self.init_name, "bias": self.bias_init}

    def _check_groups(self):
        if self.filters % self.groups:
            raise ConfigError(f"{type(self).__name__}: {self.filters} filters do not divide into {self.groups} groups")

    def _shape(self, x):
        """The output's shape (N, H', W', O) for images x."""
        return (len(x), *self.output_shape(x.shape[1:]))

    def _with_bias(self, weight_shape):
        """The parameters' shapes."""
        return {"weight": weight_shape} | ({"bias": (self.filters,)} if self.bias else {})

    def _add(self, grads, dw, dy):
        """Add dw and, where there is a bias, db = sum_nij dy."""
        grads["weight"] += dw
        if self.bias:
            add_rows(grads["bias"], dy)


class Conv2D(_Convolution):
    """A convolution of images (cross-correlation, as in every framework; LeCun et al. 1989).

        y[n, i, j, o]  = b[o] + sum_uvc x[n, i s + u d - p, j s + v d - p, c] w[u, v, c, o]
        dw[u, v, c, o] = sum_nij x[n, i s + u d - p, j s + v d - p, c] dy[n, i, j, o]
        db[o]          = sum_nij dy[n, i, j, o]
        dx[n, a, b, c] = sum of dy[n, i, j, o] w[u, v, c, o] where i s + u d - p = a and j s + v d - p = b

    (N, H, W, C) -> (N, H', W', O), with stride s, dilation d and padding p. weight (kh, kw, C / groups, O), bias (O,).

    Parameters
    ----------
    filters : int
        O, the number of output channels.
    kernel_size : int or (int, int)
        kh and kw, in pixels.
    stride : int or (int, int), default 1
        The step between windows, in pixels.
    padding : "same", "valid", int or ((top, bottom), (left, right)), default "same"
        Zeros around the image: "same" is TensorFlow's rule, "valid" none.
    dilation : int or (int, int), default 1
        The step between the pixels of a window.
    groups : int, default 1
        Output channels of group g see input channels of group g alone.
    bias : bool, default True
        Whether b is added.
    init : "he", "glorot" or "uniform", default "he"
        The initialiser of the weight; the bias starts at zero.

    Example
    -------
    >>> Conv2D(16, 3, stride=2).output_shape((28, 28, 1))
    (14, 14, 16)
    >>> Conv2D(16, 3).param_shapes((28, 28, 1))
    {'weight': (3, 3, 1, 16), 'bias': (16,)}
    """

    defaults = {"stride": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1, "bias": True}

    @of_layer(dilation=Pair(), groups=Count())
    def __init__(self, filters, kernel_size, stride=1, padding="same", dilation=1, groups=1, bias=True, init="he"):
        super().__init__(filters, kernel_size, stride, padding, bias, init)
        self.dilation, self.groups = dilation, groups
        self._check_groups()

    @classmethod
    def examples(cls):
        return [
            (cls(3, 3), (5, 4, 2)),
            (cls(2, (2, 3), stride=2), (5, 6, 1)),
            (cls(4, 3, stride=(2, 1), padding="valid", groups=2), (6, 5, 4)),
            (cls(2, 2, padding=((1, 0), (0, 2)), dilation=2, bias=False), (5, 5, 3)),
            (cls(3, 1, stride=3, padding=1), (4, 7, 2)),
            (cls(3, (3, 2), stride=(2, 3), dilation=(3, 2)), (7, 8, 2)),
            (cls(4, 2, stride=(2, 4), padding=1, dilation=2, groups=2), (6, 7, 4)),
            (cls(8, 3, stride=2, dilation=(2, 3), bias=False), (6, 7, 1)),
            (cls(4, 9), (16, 17, 4)),  # more than one chunk of images
        ]

    def geometry(self, size):
        return Geometry(self.stride, self._windows(size)[0], self.dilation, self.groups)

    def _windows(self, size):
        return _windows(tuple(size), self.kernel_size, self.stride, self.padding, self.dilation)

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        height, width, channels = input_shape
        self.expect(channels % self.groups == 0, f"with channels in {self.groups} equal groups", input_shape)
        _, size = self._windows((height, width))
        self.expect(min(size) >= 1, f"at least as large as the kernel {self.kernel_size}", input_shape)
        return (*size, self.filters)

    def param_shapes(self, input_shape):
        self.output_shape(input_shape)
        return self._with_bias((*self.kernel_size, input_shape[2] // self.groups, self.filters))

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        y = operations.convolution(x, params["weight"], self.geometry(x.shape[1:3]), params.get("bias"))
        return y, x  # (N, H', W', O), (N, H, W, C)

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, self._shape(cache))
        if grads is not None:
            self.add_grads(params, cache, dy, grads)
        size = cache.shape[1:3]
        # dx (N, H, W, C), as y is linear in x: each window of x that y saw gets w times its part of dy.
        return operations.convolution_input_gradient(dy, params["weight"], self.geometry(size), size)

    def add_grads(self, params, cache, dy, grads):
        x = cache
        self.check_gradient(dy, self._shape(x))
        # dw (kh, kw, C / groups, O), as y is linear in w: the product of every window of x with its part of dy.
        dw = operations.convolution_weight_gradient(x, dy, self.geometry(x.shape[1:3]), self.kernel_size)
        self._add(grads, dw, dy)


class ConvTranspose2D(_Convolution):
    """A transposed convolution, which enlarges images (Zeiler et al. 2010; Dumoulin & Visin 2016, section 4).

        y[n, i s + u d - p, j s + v d - p, o] += x[n, i, j, c] w[u, v, o, c],   and b[o]
        dx             = the convolution of dy with w
        dw[u, v, o, c] = sum_nij dy[n, i s + u d - p, j s + v d - p, o] x[n, i, j, c]

    (N, H, W, C) -> (N, H', W', O) with H' = H s for "same", otherwise (H - 1) s + (kh - 1) d + 1 - top - bottom +
    output_padding. weight (kh, kw, O / groups, C) is the kernel of the convolution that it transposes; bias (O,).

    Parameters
    ----------
    filters : int
        O, the number of output channels.
    kernel_size : int or (int, int)
        kh and kw, in pixels.
    stride : int or (int, int), default 1
        The factor by which the image grows.
    padding : "same", "valid", int or ((top, bottom), (left, right)), default "same"
        What is cut off the borders of y.
    output_padding : int or (int, int), default 0
        Rows and columns that are added at the bottom and on the right.
    bias : bool, default True
        Whether b is added.
    init : "he", "glorot" or "uniform", default "he"
        The initialiser of the weight; the bias starts at zero.
    dilation : int or (int, int), default 1
        The step between the pixels of a window.
    groups : int, default 1
        Output channels of group g see input channels of group g alone.

    Example
    -------
    >>> ConvTranspose2D(16, 4, stride=2).output_shape((7, 7, 32))
    (14, 14, 16)
    """

    defaults = {
        "stride": (1, 1), "padding": "same", "output_padding": (0, 0), "bias": True, "dilation": (1, 1), "groups": 1
    }  # fmt: skip

    @of_layer(output_padding=Pair(0), dilation=Pair(), groups=Count())
    def __init__(
        self, filters, kernel_size, stride=1, padding="same", output_padding=0, bias=True, init="he", dilation=1,
        groups=1,
    ):  # fmt: skip
        super().__init__(filters, kernel_size, stride, padding, bias, init)
        self.output_padding, self.dilation, self.groups = output_padding, dilation, groups
        self._check_groups()
        if any(extra >= s for extra, s in zip(self.output_padding, self.stride, strict=True) if extra):
            raise ConfigError(f"ConvTranspose2D: output_padding {output_padding} must be below stride {self.stride}")
        if self.padding == "same" and any(self.output_padding):
            raise ConfigError('ConvTranspose2D: output_padding goes with a padding given in numbers, not "same"')

    @classmethod
    def examples(cls):
        return [
            (cls(3, 3), (4, 3, 2)),
            (cls(2, 4, stride=2), (3, 2, 3)),
            (cls(2, (3, 2), stride=(2, 3), padding="valid", bias=False), (2, 3, 1)),
            (cls(1, 3, stride=2, padding=1, output_padding=1), (3, 4, 2)),
            (cls(2, 1, stride=2), (2, 3, 2)),
            (cls(4, 3, stride=(2, 3), dilation=(2, 1), groups=2), (3, 2, 4)),
            (cls(2, (2, 3), stride=(3, 2), padding=1, output_padding=(2, 0), dilation=(2, 3)), (3, 3, 2)),
            (cls(1, 3, stride=2, dilation=2), (3, 4, 8)),
        ]

    def _size(self, size):
        """(H', W') from (H, W)."""
        if self.padding == "same":
            return tuple(n * s for n, s in zip(size, self.stride, strict=True))
        padding = resolve_padding(self.padding, size, self.kernel_size, self.stride, self.dilation)
        axes = zip(size, self.stride, self.kernel_size, self.dilation, padding, self.output_padding, strict=True)
        return tuple((n - 1) * s + (k - 1) * d + 1 - sum(p) + extra for n, s, k, d, p, extra in axes)

    def _geometry(self, size):
        """Of the convolution from y to x; size is (H, W) of x."""
        padding = resolve_padding(self.padding, self._size(size), self.kernel_size, self.stride, self.dilation)
        return Geometry(self.stride, padding, self.dilation, self.groups)

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 3, "images (H, W, C)", input_shape)
        self.expect(input_shape[2] % self.groups == 0, f"with channels in {self.groups} equal groups", input_shape)
        size = self._size(input_shape[:2])
        self.expect(min(size) >= 1, f"that leaves something after padding {self.padding}", input_shape)
        return (*size, self.filters)

    def param_shapes(self, input_shape):
        self.output_shape(input_shape)
        return self._with_bias((*self.kernel_size, self.filters // self.groups, input_shape[2]))

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        geometry, size = self._geometry(x.shape[1:3]), self._size(x.shape[1:3])
        y = operations.convolution_input_gradient(x, params["weight"], geometry, size, params.get("bias"))
        return y, x  # (N, H', W', O), (N, H, W, C)

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, self._shape(cache))
        if grads is not None:
            self.add_grads(params, cache, dy, grads)
        # dx (N, H, W, C), as y is the transpose of the convolution with w, applied to x.
        return operations.convolution(dy, params["weight"], self._geometry(cache.shape[1:3]))

    def add_grads(self, params, cache, dy, grads):
        self.check_gradient(dy, self._shape(cache))
        # dw (kh, kw, O / groups, C): as for the convolution from y to x, with dy and x in each other's place.
        dw = operations.convolution_weight_gradient(dy, cache, self._geometry(cache.shape[1:3]), self.kernel_size)
        self._add(grads, dw, dy)
