"""NumPy compared with CuPy: forward + backward of every registered layer and every model, the same numbers on both."""

import time

import numpy as np

from tinyae import layers
from tinyae.backend import Backend, Noise
from tinyae.errors import BackendError, suggest
from tinyae.models import NAMES
from tinyae.params import ParamStore

from .harness import interleave, ratio, report

BATCH = 128
IMAGE, VECTOR, SEQUENCE = (28, 28, 32), (1024,), (28, 64)
# A layer at a size that a model would use; a layer that is not named here runs on its first example.
SIZES = {
    "Dense": (layers.Dense(512), VECTOR),
    "Sequential": (layers.Sequential(layers.Dense(512), layers.ReLU(), layers.Dense(512)), VECTOR),
    "BatchNorm": (layers.BatchNorm(), IMAGE),
    "LayerNorm": (layers.LayerNorm(), IMAGE),
    "Dropout": (layers.Dropout(0.5), IMAGE),
    "Flatten": (layers.Flatten(), IMAGE),
    **{kind.__name__: (kind(), IMAGE) for kind in layers.ACTIVATIONS.values()},
}


def measure(rounds=10, only=None, batch=BATCH):
    """The result for the JSON: for each layer and model the seconds on each backend and NumPy's time over CuPy's."""
    known = subjects()
    for name in only or ():
        if name not in known:
            raise suggest("layer or model", name, known)
    backends, message = [Backend("numpy")], None
    try:
        backends.append(Backend("cupy"))
    except BackendError as error:
        message = str(error)
        print(f"NumPy alone: {message}")
    result = {}
    for name, make in known.items():
        if only and name not in only:
            continue
        made = {backend.name: make(backend, batch) for backend in backends}
        steps = {backend.name: timed(backend, made[backend.name]) for backend in backends}
        result[name] = report(interleave(steps, rounds), "numpy") | {"x": list(made["numpy"].shape)}
        print(line(name, result[name]), flush=True)
    return {"subjects": result, "batch": batch, "cupy": message or "measured"}


def subjects():
    """{name: function(backend, batch) -> a step without arguments, whose `shape` is x's} for every registered
    layer and every model."""
    found = {f"layer {name}": layer_step(kind) for name, kind in layers.REGISTRY.items()}
    return found | {f"model {name}": model_step(kind) for name, kind in NAMES.items()}


def layer_step(kind):
    """Forward + backward of a layer on its size in `SIZES`, or its first example."""

    def make(backend, batch):
        layer, shape = SIZES.get(kind.__name__) or kind.examples()[0]
        xp, noise = backend.xp, Noise(0)
        params = ParamStore(layer.param_shapes(shape), xp).fill(layer.init(shape, noise))
        grads, state = params.like(), layer.init_state(shape, xp)
        x = backend.asarray(draw(noise, (batch, *shape), layer.integer_input))
        dy = backend.asarray(noise.normal("dy", (batch, *layer.output_shape(shape))))
        rng = backend.noise(0)

        def step():
            _, cache = layer.forward(params.tree, x, True, rng, state)
            layer.backward(params.tree, cache, dy, grads.tree)

        step.shape = x.shape
        return step

    return make


def model_step(kind):
    """Loss and gradients of a model with its default sizes on a drawn batch."""

    def make(backend, batch):
        model = kind(backend=backend.name)
        data = {name: backend.asarray(value) for name, value in model.example_batch(backend.noise(0), batch).items()}

        def step():
            model.loss_and_grads(data)

        step.shape = data["x"].shape
        return step

    return make


def draw(noise, shape, values):
    """Normal, or integers below `values` where the layer takes integers."""
    if values is None:
        return noise.normal("x", shape)
    return (noise.uniform("x", shape) * values).astype(np.int64)


def timed(backend, step):
    """step as a function that returns its seconds, the device's work included."""

    def run():
        backend.synchronize()
        started = time.perf_counter()
        step()
        backend.synchronize()
        return time.perf_counter() - started

    return run


def line(name, result):
    """What was timed, on which shape, and for each backend the median and the quartiles."""
    times = "".join(f"{side:>8} {quartiles(s)}" for side, s in result["contenders"].items())
    beside = result.get("ratios", {}).get("cupy")
    return f"{name:24}{'x'.join(map(str, result['x'])):>16}{times}" + (
        f"   NumPy / CuPy {ratio(beside)}" if beside else ""
    )


def quartiles(s):
    median, q1, q3 = (1e3 * s[key] for key in ("median", "q1", "q3"))
    return f"{median:8.3f} ms" + (f" ({q1:.3f} to {q3:.3f})" if s["rounds"] > 1 else " (one round)")
