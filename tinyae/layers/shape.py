"""Layers that only rearrange or append, and dropout."""

import math

from ..backend import array_module, as_noise
from ..options import Counts, Number, of_layer
from .base import Layer, drawing


class Reshape(Layer):
    """Gives each example another shape.

        y = x with the elements in order,   dx = dy in the shape of x

    (N, *input) -> (N, *shape).

    Parameters
    ----------
    shape : tuple of int
        The new shape, without the batch axis.

    Example
    -------
    >>> Reshape((7, 7, 2)).output_shape((98,))
    (7, 7, 2)
    """

    @of_layer(shape=Counts())
    def __init__(self, shape):
        self.shape = shape

    @classmethod
    def examples(cls):
        return [(cls((2, 3, 2)), (12,)), (cls((6,)), (3, 2))]

    def output_shape(self, input_shape):
        size = math.prod(self.shape)
        self.expect(math.prod(input_shape) == size, f"of {size} elements per example", input_shape)
        return self.shape

    def forward(self, params, x, train=False, rng=None, state=None):
        self.output_shape(x.shape[1:])
        return x.reshape(x.shape[0], *self.shape), x.shape

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, (cache[0], *self.shape))
        return dy.reshape(cache)


class Flatten(Layer):
    """Makes a vector of each example.

        y = x with the elements in order,   dx = dy in the shape of x

    (N, ...) -> (N, D), D the product of the other axes.

    Example
    -------
    >>> Flatten().output_shape((7, 7, 2))
    (98,)
    """

    @classmethod
    def examples(cls):
        return [(cls(), (2, 3, 2)), (cls(), (5,))]

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, params, x, train=False, rng=None, state=None):
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), x.shape

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, (cache[0], math.prod(cache[1:])))
        return dy.reshape(cache)


class ConstantChannel(Layer):
    """Adds a channel that has the same learned number everywhere.

        y = (x, s),   dx = dy without its last channel,   ds = sum of dy's last channel

    (N, ..., C) -> (N, ..., C + 1).

    Parameters
    ----------
    value : float, default 0
        The initial s.

    Example
    -------
    >>> ConstantChannel().output_shape((7, 7, 2))
    (7, 7, 3)
    """

    @of_layer(value=Number())
    def __init__(self, value=0.0):
        self.value = value

    @classmethod
    def examples(cls):
        return [(cls(), (4,)), (cls(-1.5), (2, 3, 2))]

    def output_shape(self, input_shape):
        self.expect(len(input_shape) > 0, "of at least one axis besides the batch", input_shape)
        return *input_shape[:-1], input_shape[-1] + 1

    def param_shapes(self, input_shape):
        self.output_shape(input_shape)
        return {"channel": ()}

    def init(self, input_shape, rng, dtype="float32"):
        return {"channel": as_noise(rng).xp.full((), self.value, dtype=dtype)}

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        xp = array_module(x)
        channel = xp.broadcast_to(params["channel"], (*x.shape[:-1], 1))
        return xp.concatenate((x, channel), axis=-1), x.shape

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, (cache[0], *self.output_shape(cache[1:])))
        if grads is not None:
            grads["channel"] += dy[..., -1].sum()
        return dy[..., :-1]


class Dropout(Layer):
    """Sets random values to 0 in training (inverted dropout; Srivastava et al. 2014, section 10).

        y = x k / (1 - rate),   dx = dy k / (1 - rate),   k ~ Bernoulli(1 - rate) for each value

    The expectation of y is x. In evaluation y = x. The mask k is the noise "keep".

    Parameters
    ----------
    rate : float
        The share of values that are set to 0, at least 0 and below 1.

    Example
    -------
    >>> import numpy as np
    >>> y, _ = Dropout(0.5).forward({}, np.ones((1, 1000)), train=True, rng=0)
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    @of_layer(rate=Number(least=0, below=1))
    def __init__(self, rate):
        self.rate = rate

    @classmethod
    def examples(cls):
        return [(cls(0.4), (6,)), (cls(0.25), (3, 2)), (cls(0.0), (3,))]

    def forward(self, params, x, train=False, rng=None, state=None):
        if not train or self.rate == 0:
            return x, (x.shape, None)
        mask = drawing(self, rng).bernoulli("keep", x.shape, 1 - self.rate, x.dtype) * (1 / (1 - self.rate))
        return x * mask, (x.shape, mask)

    def backward(self, params, cache, dy, grads=None):
        shape, mask = cache
        self.check_gradient(dy, shape)
        return dy if mask is None else dy * mask
