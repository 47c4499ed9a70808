"""The contract of a layer; `tinyae.layers` explains it."""

import numpy as np

from ..backend import as_noise
from ..errors import ShapeError
from .config import REGISTRY, name_of, remembering, to_config
from .initialisers import INITIALISERS


class Layer:
    """Hyperparameters only: arrays come in as arguments and go out as results.

    A subclass writes `forward` and `backward`, and overrides the shape arithmetic where the identity does not hold.
    `examples` lists (layer, input shape) pairs on which the contract and the gradients are checked.
    """

    integer_input = None  # the number of values, where the input is integers in [0, integer_input)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.__init__ is not object.__init__ and not hasattr(cls.__init__, "remembers"):
            cls.__init__ = remembering(cls.__init__)
        if not cls.__name__.startswith("_"):
            REGISTRY[name_of(cls)] = cls

    @classmethod
    def examples(cls):
        raise NotImplementedError(f"{cls.__name__}.examples() gives the (layer, input_shape) pairs that tests check")

    def __repr__(self):
        inside = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k != "_arguments")
        return f"{type(self).__name__}({inside})"

    @property
    def config(self):
        """{"class": name, argument: value, ...}: this layer as data, JSON-ready; `from_config` makes it again.

        A user's own class has its module's name in front, "module:Class". Raises ConfigError for an argument that is
        not a number, text, a layer or a sequence of these.
        """
        return to_config(self)

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
