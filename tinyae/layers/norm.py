"""Normalisation: subtract the mean, divide by the standard deviation, then a learned scale and shift.

All three share one derivation. Over the m values that share a mean and a variance,

    xhat = (x - mean) / sigma,   sigma = sqrt(var + epsilon),   y = scale xhat + shift

and with g = dL/dxhat = dy scale

    dx = (g - mean(g) - xhat mean(g xhat)) / sigma        (Ioffe & Szegedy 2015, section 3)

since sigma and the mean depend on every one of the m values.
"""

import math

import numpy as np

from ..backend import array_module, columns
from ..options import WEIGHT, Count, Number, of_layer
from .base import Layer


def normalise(x, axis, epsilon):
    """-> (xhat, 1 / sigma, mean, var) with the statistics over `axis`, kept as axes of length 1."""
    xp = array_module(x)
    mean = x.mean(axis=axis, keepdims=True)
    centred = x - mean
    var = (centred * centred).mean(axis=axis, keepdims=True)
    inverse = 1 / xp.sqrt(var + epsilon)
    return centred * inverse, inverse, mean, var


def normalise_backward(g, xhat, inverse, axis):
    """dx from g = dL/dxhat: the formula above."""
    return (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True)) * inverse


class _Normalisation(Layer):
    """The learned scale and shift over the last axis, (C,) each."""

    def param_shapes(self, input_shape):
        fits = len(input_shape) >= 1 and min(input_shape) > 0
        self.expect(fits, "with a feature axis, of at least one number for each example", input_shape)
        return {"scale": (input_shape[-1],), "shift": (input_shape[-1],)}

    def initialisers(self):
        return {"scale": "ones"}

    def _add_grads(self, grads, xhat, dy):
        rows = tuple(range(dy.ndim - 1))
        grads["scale"] += (dy * xhat).sum(axis=rows)
        grads["shift"] += dy.sum(axis=rows)


class LayerNorm(_Normalisation):
    """Statistics over the last axis of each example (Ba et al. 2016, equation 4).   (N, ..., C) -> the same."""

    @of_layer(epsilon=WEIGHT)
    def __init__(self, epsilon=1e-5):
        self.epsilon = epsilon

    @classmethod
    def examples(cls):
        return [(cls(), (5,)), (cls(), (2, 3, 4))]

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        xhat, inverse, _, _ = normalise(x, -1, self.epsilon)
        return params["scale"] * xhat + params["shift"], (xhat, inverse)

    def backward(self, params, cache, dy, grads=None):
        xhat, inverse = cache
        self.check_gradient(dy, xhat.shape)
        if grads is not None:
            self._add_grads(grads, xhat, dy)
        return normalise_backward(dy * params["scale"], xhat, inverse, -1)


class GroupNorm(_Normalisation):
    """Statistics over the pixels and the channels of a group, per example (Wu & He 2018, equation 3).

    groups: of equally many neighbouring channels.   (N, ..., C) -> the same.
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

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        xhat, inverse, _, _ = normalise(self._grouped(x), (1, 3), self.epsilon)
        xhat = xhat.reshape(x.shape)
        return params["scale"] * xhat + params["shift"], (xhat, inverse)

    def backward(self, params, cache, dy, grads=None):
        xhat, inverse = cache
        self.check_gradient(dy, xhat.shape)
        if grads is not None:
            self._add_grads(grads, xhat, dy)
        g = self._grouped(dy * params["scale"])
        return normalise_backward(g, self._grouped(xhat), inverse, (1, 3)).reshape(dy.shape)


class BatchNorm(_Normalisation):
    """Statistics of each feature over the batch and every other axis (Ioffe & Szegedy 2015).   (N, ..., C) -> the same.

    In training they are the batch's and gradients flow through them; otherwise they are the running ones in
    `state` ("mean" and "var", (C,) each; without a state, mean 0 and variance 1), which are constants:
    dx = dy scale / sigma. `update_state` moves them: running = momentum running + (1 - momentum) batch, with the
    unbiased variance (their algorithm 2).
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

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        if train:
            self.expect(x.size > 0, "of one example at least: an empty batch has no mean", x.shape)
            mean, var = columns.moments(x)
        elif state is not None:
            self.check_state(state, x)
            mean, var = state["mean"], state["var"]
        else:
            zeros = array_module(x).zeros(x.shape[-1], x.dtype)
            mean, var = zeros, zeros + 1
        inverse = 1 / array_module(x).sqrt(var + self.epsilon)
        y = columns.standardise(x, mean, params["scale"] * inverse, params["shift"])  # scale xhat + shift
        return y, (x, mean, var, inverse, train)

    def backward(self, params, cache, dy, grads=None):
        """With xhat = (x - mean) / sigma, dx = scale / sigma (dy - mean(dy) - xhat mean(dy xhat)).

        Its two means are dshift / m and dscale / m, over the m values of a feature.
        """
        x, mean, _, inverse, train = cache
        self.check_gradient(dy, x.shape)
        factor = params["scale"] * inverse
        if grads is None and not train:
            return dy * factor
        dshift, dscale = columns.products(dy, x, mean)
        dscale = dscale * inverse  # sums of dy and of dy xhat
        if grads is not None:
            grads["scale"] += dscale
            grads["shift"] += dshift
        if not train:
            return dy * factor
        share = factor * (x.shape[-1] / x.size)
        return columns.combine(dy, x, mean, factor, -share * inverse * dscale, -share * dshift)

    def update_state(self, state, cache):
        x, mean, var, _, train = cache
        if not train:
            return
        m = x.size // x.shape[-1]
        state["mean"] *= self.momentum
        state["mean"] += (1 - self.momentum) * mean
        state["var"] *= self.momentum
        state["var"] += ((1 - self.momentum) * m / max(m - 1, 1)) * var
