"""The contract of a layer; `tinyae.layers` explains it."""

import numpy as np

from ..backend import as_noise
from ..errors import ShapeError
from ..options import Kind, Optional, of_layer
from ..params import child
from .initialisers import INITIALISERS

REGISTRY = {}


class Layer:
    """Hyperparameters only: arrays come in as arguments and go out as results.

    A subclass writes `forward` and `backward`, and overrides the shape arithmetic where the identity does not hold.
    `examples` lists (layer, input shape) pairs on which the contract and the gradients are checked.
    """

    integer_input = None  # the number of values, where the input is integers in [0, integer_input)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):
            REGISTRY[cls.__name__] = cls

    @classmethod
    def examples(cls):
        raise NotImplementedError(f"{cls.__name__}.examples() gives the (layer, input_shape) pairs that tests check")

    def __repr__(self):
        inside = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({inside})"

    def output_shape(self, input_shape):
        """Shape out from shape in, both without the batch axis."""
        return tuple(input_shape)

    def param_shapes(self, input_shape):
        """Nested dict of the parameters' shapes."""
        return {}

    def state_shapes(self, input_shape):
        """Nested dict of the shapes of what is kept but not trained."""
        return {}

    def initialisers(self):
        """Name of the initialiser for each parameter; those not named start at zero."""
        return {}

    def init(self, input_shape, rng, dtype="float32"):
        """Initial parameters, a dict like `param_shapes`. rng: Noise, an int seed or a numpy Generator."""
        rng, kinds, shapes = as_noise(rng), self.initialisers(), self.param_shapes(input_shape)
        return {
            name: INITIALISERS[kinds.get(name, "zeros")](rng, name, shape, dtype, shapes.get("weight"))
            for name, shape in shapes.items()
        }

    def init_state(self, input_shape, xp=np, dtype="float32"):
        """Initial state, a dict like `state_shapes`: zeros unless a layer says otherwise."""
        return {name: xp.zeros(shape, dtype=dtype) for name, shape in self.state_shapes(input_shape).items()}

    def update_state(self, state, cache):
        """Update `state` in place from a training forward's cache; called after backward, by the training loop."""

    def forward(self, params, x, train=False, rng=None, state=None):
        """-> (y, cache). Changes nothing. rng: Noise (or seed), needed where a layer draws in training."""
        raise NotImplementedError

    def backward(self, params, cache, dy, grads=None):
        """-> dx. Adds the parameters' gradients into `grads`; with None it computes dx alone."""
        raise NotImplementedError

    def add_grads(self, params, cache, dy, grads):
        """`backward` where nobody needs dx, as in a network's first layer; a layer with costly dx leaves it out."""
        self.backward(params, cache, dy, grads)

    def expect(self, fits, expected, got):
        """Raise ShapeError, naming this layer, unless `fits`."""
        if not fits:
            raise ShapeError(f"{self!r}: expected input {expected}, got {tuple(got)}")

    def check_params(self, params, x):
        """Raise ShapeError unless the layer takes x (N, ...), and `params` have the shapes that go with it."""
        self.expect(x.ndim > 0, "with a batch axis", x.shape)
        self._check_arrays("parameters", params, self.param_shapes(x.shape[1:]), x)

    def check_state(self, state, x):
        """Raise ShapeError unless `state` has the shapes that go with x (N, ...)."""
        self._check_arrays("state", state, self.state_shapes(x.shape[1:]), x)

    def check_gradient(self, dy, shape):
        """Raise ShapeError unless dy has the output's `shape` (N, ...)."""
        if dy.shape != shape:
            raise ShapeError(f"{self!r}: expected dy of the output's shape {shape}, got {dy.shape}")

    def _check_arrays(self, kind, arrays, expected, x):
        if {name: array.shape for name, array in arrays.items()} == expected:
            return
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
        needed = ", ".join(f"{name} {shape}" for name, shape in expected.items())
        raise ShapeError(f"{self!r}: input {x.shape} goes with the {kind} {needed}, got {found}")


def drawing(layer, rng):
    """The Noise to draw from; an error that names the layer if there is none."""
    if rng is None:
        raise TypeError(f"{layer!r} draws noise in training: pass rng=Noise(seed, step)")
    return as_noise(rng)


class _Layer(Kind):
    wanted = "a layer"

    def convert(self, value):
        if isinstance(value, type) or not all(callable(getattr(value, name, None)) for name in ("forward", "backward")):
            raise TypeError
        return value


class _Layers(_Layer):
    wanted = "layers"

    def convert(self, value):
        return tuple(map(super().convert, value))


class Sequential(Layer):
    """Layers one after the other: y = f_n(... f_1(x)). Parameters are named by position: {"0": {...}, "1": {...}}."""

    @of_layer(layers=_Layers())
    def __init__(self, *layers):
        self.layers = layers

    @classmethod
    def examples(cls):
        from . import BatchNorm, Dense, Dropout, ReLU, Tanh

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
            raise ShapeError(f"{self!r}: {count} layers go with the parameters of as many, got those of {list(params)}")
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
    """y = p(x) + f(x), f the layers in sequence, p the identity or a layer of its own.

    (He et al. 2016, equations 1 and 2.) So dx = dp/dx^T dy + df/dx^T dy. projection: a layer that gives x the shape of
    f(x), such as Conv2D(filters, 1); its parameters are under "projection".
    """

    @of_layer(projection=Optional(_Layer()))
    def __init__(self, *layers, projection=None):
        super().__init__(*layers)
        self.projected = projection is not None
        self.projection = projection if self.projected else Sequential()  # nothing in sequence: the identity

    @classmethod
    def examples(cls):
        from . import BatchNorm, Conv2D, Dense, ReLU

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
        """The tree of the layers with that of the projection, where there is one."""
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
