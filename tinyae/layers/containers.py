"""Layers made of layers: sequences and residual blocks."""

import numpy as np

from ..backend import as_noise
from ..errors import ShapeError
from ..options import Kind, Optional, of_layer
from ..params import child
from .activations import ReLU, Tanh
from .base import Layer
from .convolution import Conv2D
from .dense import Dense
from .norm import BatchNorm
from .shape import Dropout


class _Layer(Kind):
    wanted = "a layer"

    def convert(self, value):
        if isinstance(value, type) or not all(callable(getattr(value, name, None)) for name in ("forward", "backward")):
            raise TypeError
        return value


class _Layers(_Layer):
    wanted = "layers, one argument each"

    def convert(self, value):
        return tuple(map(super().convert, value))


class Sequential(Layer):
    """Layers one after the other.

        y = f_n(... f_1(x)),   dx = df_1/dx^T ... df_n/dx^T dy

    Parameters are named by position: {"0": {...}, "1": {...}}.

    Parameters
    ----------
    layers : Layer
        The layers in their order; without any, the identity.

    Example
    -------
    >>> from tinyae.layers import Dense, ReLU
    >>> network = Sequential(Dense(5), ReLU(), Dense(2))
    >>> network.output_shape((3,)), list(network.param_shapes((3,)))
    ((2,), ['0', '1', '2'])
    """

    @of_layer(layers=_Layers())
    def __init__(self, *layers):
        self.layers = layers

    @classmethod
    def examples(cls):
        return [
            (Sequential(Dense(5), ReLU(), Dense(3)), (4,)),
            (Sequential(Dense(4, bias=False), BatchNorm(), Dropout(0.3), Sequential(Tanh(), Dense(2))), (3,)),
        ]

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))})"

    @property
    def integer_input(self):
        return self.layers[0].integer_input if self.layers else None

    def _each(self, input_shape):
        """(name, layer, its input shape) in order."""
        for i, layer in enumerate(self.layers):
            yield str(i), layer, input_shape
            input_shape = layer.output_shape(input_shape)

    def output_shape(self, input_shape):
        for layer in self.layers:
            input_shape = layer.output_shape(input_shape)
        return tuple(input_shape)

    def param_shapes(self, input_shape):
        return {name: layer.param_shapes(shape) for name, layer, shape in self._each(input_shape)}

    def state_shapes(self, input_shape):
        return {name: layer.state_shapes(shape) for name, layer, shape in self._each(input_shape)}

    def init(self, input_shape, rng, dtype="float32"):
        rng = as_noise(rng)
        return {name: layer.init(shape, rng.child(name), dtype) for name, layer, shape in self._each(input_shape)}

    def init_state(self, input_shape, xp=np, dtype="float32"):
        return {name: layer.init_state(shape, xp, dtype) for name, layer, shape in self._each(input_shape)}

    def update_state(self, state, cache):
        for i, (layer, layer_cache) in enumerate(zip(self.layers, cache, strict=True)):
            layer.update_state(state[str(i)], layer_cache)

    def forward(self, params, x, train=False, rng=None, state=None):
        if any(str(i) not in params for i in range(len(self.layers))):
            count = len(self.layers)
            raise ShapeError(f"{self!r}: {count} layers need the parameters of as many, got parameters {list(params)}")
        rng = None if rng is None else as_noise(rng)
        caches = []
        for i, layer in enumerate(self.layers):
            name = str(i)
            x, cache = layer.forward(params[name], x, train, rng and rng.child(name), child(state, name))
            caches.append(cache)
        return x, tuple(caches)

    def backward(self, params, cache, dy, grads=None):
        for i in reversed(range(len(self.layers))):
            name = str(i)
            dy = self.layers[i].backward(params[name], cache[i], dy, child(grads, name))
        return dy

    def add_grads(self, params, cache, dy, grads):
        first = next((i for i in range(len(self.layers)) if params[str(i)]), None)
        if first is None:
            return
        for i in reversed(range(first + 1, len(self.layers))):
            dy = self.layers[i].backward(params[str(i)], cache[i], dy, grads[str(i)])
        self.layers[first].add_grads(params[str(first)], cache[first], dy, grads[str(first)])


class Residual(Sequential):
    """A residual block: layers, and the identity or a projection around them.

        y = p(x) + f(x),   dx = dp/dx^T dy + df/dx^T dy

    f is the layers in sequence, p the identity or the projection (He et al. 2016, equations 1 and 2).

    Parameters
    ----------
    layers : Layer
        The layers of f, whose output has the shape of p(x).
    projection : Layer or None, default None
        A layer that gives x the shape of f(x), such as Conv2D(filters, 1); its parameters are under "projection".

    Example
    -------
    >>> from tinyae.layers import Dense, ReLU
    >>> Residual(Dense(8), ReLU(), Dense(3)).output_shape((3,))
    (3,)
    """

    @of_layer(projection=Optional(_Layer()))
    def __init__(self, *layers, projection=None):
        super().__init__(*layers)
        self.projected = projection is not None
        self.projection = projection if self.projected else Sequential()  # nothing in sequence: the identity

    @classmethod
    def examples(cls):
        return [
            (Residual(Dense(6), ReLU(), Dense(4)), (4,)),
            (Residual(ReLU(), Conv2D(3, 3), BatchNorm(), projection=Conv2D(3, 1, bias=False)), (3, 3, 2)),
        ]

    def __repr__(self):
        projection = f", projection={self.projection!r}" if self.projected else ""
        return f"{super().__repr__()[:-1]}{projection})"

    def output_shape(self, input_shape):
        inner, outer = super().output_shape(input_shape), self.projection.output_shape(input_shape)
        if inner != outer:
            raise ShapeError(f"{self!r}: f turns {tuple(input_shape)} into {inner}, but it is added to {outer}")
        return inner

    def _join(self, inner, outer):
        """`inner`, and the tree of the projection next to it, where there is one."""
        return {**inner, "projection": outer} if self.projected else inner

    def _outer(self, tree):
        """The projection's part of a tree."""
        return child(tree, "projection") if self.projected else tree and {}

    def param_shapes(self, input_shape):
        return self._join(super().param_shapes(input_shape), self.projection.param_shapes(input_shape))

    def state_shapes(self, input_shape):
        return self._join(super().state_shapes(input_shape), self.projection.state_shapes(input_shape))

    def init(self, input_shape, rng, dtype="float32"):
        rng = as_noise(rng)
        outer = self.projection.init(input_shape, rng.child("projection"), dtype)
        return self._join(super().init(input_shape, rng, dtype), outer)

    def init_state(self, input_shape, xp=np, dtype="float32"):
        inner = super().init_state(input_shape, xp, dtype)
        return self._join(inner, self.projection.init_state(input_shape, xp, dtype))

    def update_state(self, state, cache):
        inner, outer = cache
        super().update_state(state, inner)
        self.projection.update_state(self._outer(state), outer)

    def forward(self, params, x, train=False, rng=None, state=None):
        rng = None if rng is None else as_noise(rng)
        y, inner = super().forward(params, x, train, rng, state)
        noise = rng and rng.child("projection")
        added, outer = self.projection.forward(self._outer(params), x, train, noise, self._outer(state))
        self.expect(y.shape == added.shape, f"that f turns into {added.shape[1:]}, not {y.shape[1:]}", x.shape)
        return added + y, (inner, outer)

    def backward(self, params, cache, dy, grads=None):
        inner, outer = cache
        dx = self.projection.backward(self._outer(params), outer, dy, self._outer(grads))
        return dx + super().backward(params, inner, dy, grads)

    def add_grads(self, params, cache, dy, grads):
        inner, outer = cache
        self.projection.add_grads(self._outer(params), outer, dy, self._outer(grads))
        super().add_grads(params, inner, dy, grads)
