"""A model's class and its options as text: what --set, --latent-dim and `tinyae models` are about."""

import inspect
import math

from ..errors import ConfigError, suggest


def find_model(name):
    from ..models import NAMES

    if name not in NAMES:
        raise suggest("model", name, NAMES)
    return NAMES[name]


def given_options(model_class, arguments):
    """The model's options that the command line gives, from --latent-dim and --set."""
    defaults = default_options(model_class)
    texts = [] if arguments.latent_dim is None else [f"latent_dim={arguments.latent_dim}"]
    options = {}
    for text in texts + arguments.set:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: expected KEY=VALUE, e.g. hidden=512,256")
        if key not in defaults:
            raise suggest(f"option of {model_class.name}", key, defaults)
        options[key] = read_value(key, value, defaults[key])
    return options


def default_options(model_class):
    """{name: default} of the options for --set; the other arguments of a model come from elsewhere."""
    elsewhere = ("input_shape", "seed", "backend", "dtype")
    parameters = inspect.signature(model_class).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in elsewhere}


def read_value(option, text, default):
    """`text` read as what the default is: a whole number, a number, true or false, several by commas, or text."""
    if isinstance(default, (tuple, list)):
        return tuple(read_value(option, part, default[0] if default else 0) for part in text.split(",") if part)
    wanted, read = READERS.get(type(default), READERS[str])
    try:
        return read(text)
    except (ValueError, KeyError):
        raise ConfigError(f"{option}: expected {wanted}, got {text!r}") from None


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


READERS = {
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    int: ("a whole number", int),
    float: ("a number", _finite),
    str: ("a name", str),
}


def as_text(value):
    """An option's value as --set takes it."""
    return ",".join(map(as_text, value)) if isinstance(value, tuple) else str(value)
