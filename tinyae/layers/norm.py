"""Normalisation: subtract the mean, divide by the standard deviation, then a learned scale and shift.

    centred = x - mean,   sigma = sqrt(var + epsilon),   xhat = centred / sigma,   y = scale xhat + shift

The m values that share a mean and a variance all move them, so the gradient has three terms, with g = dL/dxhat:

    dx = (g - mean(g) - xhat mean(g xhat)) / sigma,   g = scale dy        (Ioffe & Szegedy 2015, section 3)

The first comes from x itself in centred / sigma. The second comes from the mean: each of the m values has 1 / m of it.
The third comes from sigma: d sigma / dx = xhat / m, and d xhat / d sigma = -xhat / sigma.
"""

import math

import numpy as np

from ..backend import array_module
from ..backend.operations import batch_norm, batch_norm_backward
from ..options import WEIGHT, Count, Number, of_layer
from .base import Layer


class _Normalisation(Layer):
    """The learned scale and shift over the last axis, (C,) each."""

    def param_shapes(self, input_shape):
        fits = len(input_shape) >= 1 and min(input_shape) > 0
        self.expect(fits, "with a feature axis, of at least one number for each example", input_shape)
        return {"scale": (input_shape[-1],), "shift": (input_shape[-1],)}

    def initialisers(self):
        return {"scale": "ones"}


class LayerNorm(_Normalisation):
    """Normalises the features of each example (Ba et al. 2016, equation 4).

        n = (x - mean) / sqrt(var + epsilon),   y = scale n + shift,   mean and var over the last axis

    (N, ..., C) -> the same shape, with scale and shift (C,). The backward stands in `backward`.

    Parameters
    ----------
    epsilon : float, default 1e-5
        Added to the variance.

    Example
    -------
    >>> import numpy as np
    >>> params = LayerNorm().init((2,), 0, "float64")
    >>> LayerNorm().forward(params, np.array([[1.0, 3.0]]))[0].round(3).tolist()
    [[-1.0, 1.0]]
    """

    @of_layer(epsilon=WEIGHT)
    def __init__(self, epsilon=1e-5):
        self.epsilon = epsilon

    @classmethod
    def examples(cls):
        return [(cls(), (5,)), (cls(), (2, 3, 4))]

    def forward(self, params, x, train=False, rng=None, state=None):  # x (N, ..., C)
        self.check_params(params, x)
        mean = x.mean(axis=-1, keepdims=True)  # (N, ..., 1)
        centred = x - mean  # (N, ..., C)
        var = (centred * centred).mean(axis=-1, keepdims=True)  # (N, ..., 1)
        inverse = 1 / array_module(x).sqrt(var + self.epsilon)  # (N, ..., 1), 1 / sigma
        xhat = centred * inverse  # (N, ..., C)
        y = params["scale"] * xhat + params["shift"]  # (N, ..., C)
        return y, (xhat, inverse)

    def backward(self, params, cache, dy, grads=None):  # dy (N, ..., C)
        xhat, inverse = cache
        self.check_gradient(dy, xhat.shape)
        if grads is not None:
            rows = tuple(range(dy.ndim - 1))  # every axis but the last
            grads["scale"] += (dy * xhat).sum(axis=rows)  # (C,), as y = scale xhat + shift
            grads["shift"] += dy.sum(axis=rows)  # (C,), as y = scale xhat + shift
        g = dy * params["scale"]  # (N, ..., C), as y = scale xhat + shift
        through_mean = g.mean(axis=-1, keepdims=True)  # (N, ..., 1), as centred = x - mean
        through_sigma = (g * xhat).mean(axis=-1, keepdims=True)  # (N, ..., 1), as var = mean(centred^2)
        return (g - through_mean - xhat * through_sigma) * inverse  # (N, ..., C), as xhat = centred inverse


class GroupNorm(_Normalisation):
    """Normalises groups of channels of each example (Wu & He 2018, equation 3).

        n = (x - mean) / sqrt(var + epsilon),   y = scale n + shift,   over the pixels and channels of a group

    (N, ..., C) -> the same shape, with scale and shift (C,).

    Parameters
    ----------
    groups : int
        The number of groups of neighbouring channels, a divisor of C.
    epsilon : float, default 1e-5
        Added to the variance.

    Example
    -------
    >>> GroupNorm(2).param_shapes((7, 7, 4))
    {'scale': (4,), 'shift': (4,)}
    """

    @of_layer(groups=Count(), epsilon=WEIGHT)
    def __init__(self, groups, epsilon=1e-5):
        self.groups, self.epsilon = groups, epsilon

    @classmethod
    def examples(cls):
        return [(cls(2), (2, 3, 4)), (cls(1), (6,)), (cls(3), (3, 2, 3))]

    def param_shapes(self, input_shape):
        shapes = super().param_shapes(input_shape)
        self.expect(input_shape[-1] % self.groups == 0, f"with channels in {self.groups} equal groups", input_shape)
        return shapes

    def _grouped(self, x):
        """(N, ..., C) -> (N, pixels, groups, C / groups)."""
        return x.reshape(len(x), math.prod(x.shape[1:-1]), self.groups, x.shape[-1] // self.groups)

    def forward(self, params, x, train=False, rng=None, state=None):  # x (N, ..., C)
        self.check_params(params, x)
        grouped = self._grouped(x)  # (N, pixels, groups, C / groups)
        mean = grouped.mean(axis=(1, 3), keepdims=True)  # (N, 1, groups, 1)
        centred = grouped - mean  # (N, pixels, groups, C / groups)
        var = (centred * centred).mean(axis=(1, 3), keepdims=True)  # (N, 1, groups, 1)
        inverse = 1 / array_module(x).sqrt(var + self.epsilon)  # (N, 1, groups, 1), 1 / sigma
        xhat = (centred * inverse).reshape(x.shape)  # (N, ..., C)
        y = params["scale"] * xhat + params["shift"]  # (N, ..., C)
        return y, (xhat, inverse)

    def backward(self, params, cache, dy, grads=None):  # dy (N, ..., C)
        xhat, inverse = cache
        self.check_gradient(dy, xhat.shape)
        if grads is not None:
            rows = tuple(range(dy.ndim - 1))  # every axis but the last
            grads["scale"] += (dy * xhat).sum(axis=rows)  # (C,), as y = scale xhat + shift
            grads["shift"] += dy.sum(axis=rows)  # (C,), as y = scale xhat + shift
        g = self._grouped(dy * params["scale"])  # (N, pixels, groups, C / groups), as y = scale xhat + shift
        xhat = self._grouped(xhat)  # (N, pixels, groups, C / groups)
        through_mean = g.mean(axis=(1, 3), keepdims=True)  # (N, 1, groups, 1), as centred = grouped - mean
        through_sigma = (g * xhat).mean(axis=(1, 3), keepdims=True)  # (N, 1, groups, 1), as var = mean(centred^2)
        dx = (g - through_mean - xhat * through_sigma) * inverse  # (N, pixels, ...), as xhat = centred inverse
        return dx.reshape(dy.shape)  # (N, ..., C)


class BatchNorm(_Normalisation):
    """Normalises each feature over the batch and every other axis (Ioffe & Szegedy 2015).

        n = (x - mean) / sqrt(var + epsilon),   y = scale n + shift

    In training, mean and var are the batch's, and gradients flow through them. Otherwise they are the running ones of
    `state` ("mean" and "var", (C,) each), which are constants: dx = dy scale / sigma. `update_state` moves them:
    running = momentum running + (1 - momentum) batch, with the unbiased variance (algorithm 2 of the paper). (N, ...,
    C) -> the same.

    Parameters
    ----------
    momentum : float, default 0.9
        The share of the running statistics that a step keeps.
    epsilon : float, default 1e-5
        Added to the variance.

    Example
    -------
    >>> BatchNorm().param_shapes((7, 7, 4)), BatchNorm().state_shapes((7, 7, 4))
    ({'scale': (4,), 'shift': (4,)}, {'mean': (4,), 'var': (4,)})
    """

    @of_layer(momentum=Number(least=0, most=1), epsilon=WEIGHT)
    def __init__(self, momentum=0.9, epsilon=1e-5):
        self.momentum, self.epsilon = momentum, epsilon

    @classmethod
    def examples(cls):
        return [(cls(), (4,)), (cls(momentum=0.5), (3, 2, 2))]

    def state_shapes(self, input_shape):
        return {"mean": (input_shape[-1],), "var": (input_shape[-1],)}

    def init_state(self, input_shape, xp=np, dtype="float32"):
        state = super().init_state(input_shape, xp, dtype)
        state["var"] += 1
        return state

    def forward(self, params, x, train=False, rng=None, state=None):  # x (N, ..., C)
        self.check_params(params, x)
        mean = var = None  # the statistics are then x's own
        if train:
            self.expect(x.size > 0, "of one example at least: an empty batch has no mean", x.shape)
        elif state is not None:
            self.check_state(state, x)
            mean, var = state["mean"], state["var"]  # (C,) each
        else:
            mean = array_module(x).zeros(x.shape[-1], x.dtype)  # (C,)
            var = mean + 1  # (C,)
        # y = scale (x - mean) / sqrt(var + epsilon) + shift: the formulas are in `backend.numpy_operations.batch_norm`
        y, mean, var, inverse = batch_norm(x, params["scale"], params["shift"], self.epsilon, mean, var)
        return y, (x, mean, var, inverse, train)  # (N, ..., C); inverse is 1 / sigma

    def backward(self, params, cache, dy, grads=None):  # dy (N, ..., C)
        x, mean, _, inverse, train = cache
        self.check_gradient(dy, x.shape)
        # dx as at the top of this file; dscale = sum of dy xhat and dshift = sum of dy, as y = scale xhat + shift
        dx, dscale, dshift = batch_norm_backward(dy, x, params["scale"], mean, inverse, not train)
        if grads is not None:
            grads["scale"] += dscale  # (C,)
            grads["shift"] += dshift  # (C,)
        return dx  # (N, ..., C)

    def update_state(self, state, cache):
        x, mean, var, _, train = cache
        if not train:
            return
        m = x.size // x.shape[-1]
        state["mean"] *= self.momentum
        state["mean"] += (1 - self.momentum) * mean
        state["var"] *= self.momentum
        state["var"] += ((1 - self.momentum) * m / max(m - 1, 1)) * var
