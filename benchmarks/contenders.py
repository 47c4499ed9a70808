"""Who takes part: a training step by name. A framework is imported only in the process that runs it."""

import importlib.util

OPTIONS = {
    "tinyae": ("tinyae", {}),
    "torch": ("torch", {}),
    "torch-fused": ("torch", {"fused": True}),
    "torch-compile": ("torch", {"fused": True, "compiled": True}),
    "jax": ("jax", {}),
}


def missing(name):
    """Whether the framework behind `name` is not installed."""
    return importlib.util.find_spec(OPTIONS[name][0]) is None


def make(name, data, weights):
    """The contender's step: step(rows, noise=None) -> loss, and step.wait()."""
    framework, options = OPTIONS[name]
    return importlib.import_module(f".step_{framework}", __package__).Step(data, weights, **options)
