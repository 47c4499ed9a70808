"""Layers, models and functions as problems: a point drawn by a Noise, and the loss and its gradients near it.

`point` is a dict of float64 arrays; evaluate(p, gradients) gives (loss, dict of gradients, or None) at arrays p.
"""

import numpy as np

from ..backend import Backend, Noise
from ..params import ParamStore, nest, walk


class LayerCase:
    """L = sum(r y) of a layer, for a random r, which makes dL/dy = r.

    Nothing is at its initial value: a zero bias, a scale of one or a running mean of zero would hide its gradient.
    """

    def __init__(self, layer, input_shape, train, batch, noise):
        self.layer, self.train, self.rng = layer, train, noise.child("layer")
        self.shapes = layer.param_shapes(input_shape)
        self.named_shapes = dict(walk(self.shapes))
        self.point = {n: 0.5 * noise.normal(f"params.{n}", s, "float64") for n, s in self.named_shapes.items()}
        self.x = self.input(noise, batch, input_shape)
        if layer.integer_input is None:
            self.point["x"] = self.x
        self.state = moved(layer.init_state(input_shape, np, "float64"), noise)
        self.output_shape = (batch, *layer.output_shape(input_shape))
        self.cotangent = noise.normal("cotangent", self.output_shape, "float64")

    def input(self, noise, batch, shape):
        shape, count = (batch, *shape), self.layer.integer_input
        if count is None:
            return noise.normal("x", shape, "float64")
        return (noise.uniform("x", shape, "float64") * count).astype(np.int64)

    def params(self, point):
        """The nested dict that the layer takes."""
        return nest(self.shapes, point)

    def zeros(self):
        """Gradients that nothing was added to, like `params`."""
        return nest(self.shapes, {name: np.zeros(shape) for name, shape in self.named_shapes.items()})

    def forward(self, params, x):
        return self.layer.forward(params, x, self.train, self.rng, self.state)

    def evaluate(self, p, gradients):
        params = self.params(p)
        y, cache = self.forward(params, p.get("x", self.x))
        loss = (y * self.cotangent).sum()
        if not gradients:
            return loss, None
        grads = self.zeros()
        dx = self.layer.backward(params, cache, self.cotangent, grads)
        return loss, dict(walk(grads)) | ({"x": dx} if "x" in p else {})


def modes(layer, input_shape, batch, seed):
    """(True,), or (True, False) if a layer computes something else in evaluation than in training."""
    found = []
    for train in (True, False):
        case = LayerCase(layer, input_shape, train, batch, Noise(seed))
        try:
            found.append(case.forward(case.params(case.point), case.x)[0])
        except Exception:  # the check of training reports it
            return (True, False) if found else (True,)
    return (True,) if np.array_equal(*found, equal_nan=True) else (True, False)


class PhaseCase:
    """The objective of one of a model's phases over the parameters that it trains; noise is fixed by (seed, step)."""

    def __init__(self, model, name, batch, noise):
        self.noise, self.model = noise, twin(model, noise)
        (self.phase,) = (phase for phase in self.model.phases if phase.name == name)
        self.batch = self.model.example_batch(noise, batch)
        self.trained = self.model.store.subset(self.phase.trains)
        self.point = {key: view.copy() for key, view in self.trained.named.items()}
        self.frozen = {}

    def step(self, grads=None, batch_size=None):
        """The terms; adds into `grads`, a nested dict."""
        rng = self.model.backend.noise(self.noise.seed, self.noise.step)
        return self.phase.run(self.model, self.model.prepare(self.batch), rng, grads, True, batch_size)[0]

    def evaluate(self, p, gradients):
        for key, view in self.trained.named.items():
            view[...] = p[key]
        if not gradients:
            own = self.model.networks
            self.model.networks = own | self.frozen
            try:
                return self.step()[self.phase.objective], None
            finally:
                self.model.networks = own
        self.frozen = self.model.frozen(self.batch, self.noise.seed, self.noise.step)
        grads = self.trained.like()
        terms = self.step(grads.tree)
        return terms[self.phase.objective], dict(walk(grads.tree))


class FunctionCase:
    """A function of arrays that returns (loss, gradient by the first, by the second, ...)."""

    def __init__(self, function, arrays, noise, **options):
        self.function, self.point, self.options = function, arrays(noise), options

    def call(self, p):
        return self.function(**p, **self.options)

    def evaluate(self, p, gradients):
        loss, *grads = self.call(p)
        return loss, dict(zip(p, grads, strict=True)) if gradients else None


def twin(model, noise):
    """The model in float64 on the CPU, with parameters and state near its own; the model itself stays as it is."""
    other = object.__new__(type(model))
    vars(other).update(vars(model), networks=dict(model.networks), dtype=np.dtype("float64"), backend=Backend("numpy"))
    other.standardization = None  # it belongs to the training data; the data here are random
    for name, own in (("store", model.store), ("state", model.state)):
        store = ParamStore(own.shapes, np, "float64")
        store.flat[...] = model.backend.to_host(own.flat)
        setattr(other, name, store)
    for key, view in other.store.named.items():
        view[...] += 0.1 * noise.normal(f"params.{key}", view.shape, "float64")
    other.state.fill(moved(other.state.tree, noise))
    return other


def moved(state, noise):
    """A state that is not at its start: up to 1/2 higher, so that variances stay positive and counts of classes whole
    ones, rounded down."""
    values = {name: value + 0.5 * noise.uniform(f"state.{name}", value.shape, "float64") for name, value in walk(state)}
    return nest(state, values)
