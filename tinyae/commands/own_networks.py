"""Load networks and layers from a user's own Python file, which runs only if it is named on the command line."""

import importlib.util
import inspect
import os
import sys
import traceback

from ..errors import ConfigError, TinyaeError
from ..layers import Layer


def network_options(model_class):
    """The names of the networks that a user can replace in a model."""
    return [name for name, p in inspect.signature(model_class).parameters.items() if p.default is None]


def networks_in(path, model_class):
    """{name: config} of the networks that a Python file defines for a model, as layers or as functions that return one.

    A function or a class is called without arguments. Whatever the file raises becomes a ConfigError of one line.
    """
    module, known = import_file(path), network_options(model_class)
    found = {name: getattr(module, name) for name in known if hasattr(module, name)}
    if not found:
        raise ConfigError(f"{path} defines no network of {model_class.name}: it takes {', '.join(known)}")
    return {name: _layer(path, name, value).config for name, value in found.items()}


def _layer(path, name, value):
    if not isinstance(value, Layer) and callable(value):
        value = run_file(path, value)
    if not isinstance(value, Layer):
        wanted = "a layer, such as Sequential(...), or a function that returns one"
        raise ConfigError(f"{path}: {name} must be {wanted}, got {type(value).__name__}")
    return value


def import_file(path):
    """Import a Python file as a module with the file's name. Checkpoints refer to its classes by that name."""
    name, extension = os.path.splitext(os.path.basename(path))
    if extension != ".py" or not name.isidentifier():
        raise ConfigError(f"expected a Python file whose name can be imported, such as my_networks.py, got {path}")
    if not os.path.isfile(path):
        raise ConfigError(f"no file {path}")
    there = sys.modules.get(name) or importlib.util.find_spec(name)
    origin = getattr(there, "__file__", None) or getattr(there, "origin", None)
    if there is not None and not (origin and os.path.exists(origin) and os.path.samefile(origin, path)):
        raise ConfigError(f"{path} has the same name as another module, {name}: rename the file")
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        run_file(path, spec.loader.exec_module, module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def run_file(path, function, *arguments, **named):
    """Call a function of a user's file. Any exception becomes a ConfigError that names the line."""
    try:
        return function(*arguments, **named)
    except TinyaeError as error:
        reason, problem = error, str(error)
    except Exception as error:
        reason, problem = error, f"{type(error).__name__}: {error}"
    frames, path_there = traceback.extract_tb(reason.__traceback__), os.path.abspath(path)
    lines = [frame.lineno for frame in frames if frame.filename == path_there]
    where = f", line {lines[-1]}" if lines else ""
    raise ConfigError(f"{path}{where}: {problem}") from None
