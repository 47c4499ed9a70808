"""`tinyae gradcheck FILE.py:CLASS`: check a layer or a model of the user's own."""

import inspect

from ..errors import ConfigError, suggest
from ..gradcheck import gradcheck
from ..layers import Layer
from ..models import Model
from .arguments import constructor_argument
from .own_networks import import_file, run_file


def check_own(path, name, shape, settings, seed):
    """-> ("layer" or "model", reports) of a class in a Python file.

    shape: the input shape, or None for the class's `examples`, or a model's own shape. settings: texts "KEY=VALUE",
    arguments of the constructor. Raises ConfigError in one line, whatever the file does.
    """
    own = own_class(path, name)
    arguments = dict(map(constructor_argument, settings))
    if issubclass(own, Model):
        if shape is not None:
            arguments["input_shape"] = shape
        model = run_file(path, own, **arguments)
        return "model", [run_file(path, gradcheck, model, seed=seed)]
    if shape is not None:
        cases = [(run_file(path, own, **arguments), shape)]
    elif "examples" in vars(own) and not arguments:
        cases = run_file(path, own.examples)
    else:
        raise ConfigError(f"{path}:{name} needs the shape of an input, without the batch axis: --shape 5,5,3")
    return "layer", [run_file(path, gradcheck, layer, given, seed=seed) for layer, given in cases]


def own_class(path, name):
    """The Layer or Model subclass of this name that a Python file defines."""
    module = import_file(path)
    known = {
        key: value for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, (Layer, Model)) and value.__module__ == module.__name__
    }  # fmt: skip
    if not known:
        raise ConfigError(f"{path} defines no subclass of tinyae.layers.Layer or tinyae.models.Model")
    if name not in known:
        raise suggest(f"class of {path}", name, known)
    return known[name]
