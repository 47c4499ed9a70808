"""Find a model by its name, and convert its options from and to the text of --set and `tinyae models`."""

import math

from ..declared import options_of
from ..errors import ConfigError, suggest
from ..options import Choice
from .arguments import key_value
from .own_networks import network_options, networks_in


def find_model(name):
    """The class of a model by its name. Raises `ConfigError` with a similar name, if there is one."""
    from ..models import NAMES

    if name not in NAMES:
        raise suggest("model", name, NAMES)
    return NAMES[name]


def given_options(model_class, latent_dim, texts):
    """{name: value} of the model's options from --latent-dim, an integer or None, and the texts "KEY=VALUE" of --set.

    Raises `ConfigError` for an option that the model does not have, or a value of the wrong kind.
    """
    defaults = default_options(model_class)
    first = [] if latent_dim is None else [f"latent_dim={latent_dim}"]
    options = {}
    for text in first + texts:
        key, value = key_value(text, "hidden=512,256")
        if key == "networks" and network_options(model_class):
            options |= networks_in(value, model_class)
            continue
        if key not in defaults:
            raise ConfigError(f"{suggest(f'option of {model_class.name}', key, defaults)}{_whose(key)}")
        options[key] = read_value(key, value, defaults[key])
    return options


def _whose(option):
    """The end of a message about an unknown option: the names of models that have it."""
    from ..models import NAMES

    owners = [name for name, model_class in NAMES.items() if option in default_options(model_class)]
    return f"; {' and '.join(owners[:3])} {'have' if owners[1:] else 'has'} it" if owners else ""


def default_options(model_class):
    """{name: default} of the options that --set takes.

    Arguments for a user's own networks, None by default, are left out: they come from --set networks=FILE.py.
    """
    elsewhere = ("input_shape", "seed", "backend", "dtype")
    defaults = {name: option.default for name, option in options_of(model_class).items()}
    return {name: value for name, value in defaults.items() if name not in elsewhere and value is not None}


def meanings(model_class):
    """{name: help text} of the options that --set takes."""
    return {name: options_of(model_class)[name].help for name in default_options(model_class)}


def kinds_of(model_class):
    """{name: description of the values} of the options that --set takes."""
    return {name: _kind_of(options_of(model_class)[name]) for name in default_options(model_class)}


def _kind_of(option):
    if isinstance(option.kind, Choice):
        return ", ".join(option.kind.known)
    if isinstance(option.default, tuple):
        return "integers, separated by commas"
    return READERS[type(option.default)][0]


def read_value(option, text, default):
    """Convert `text` to the type of the default: an integer, a number, a bool, a tuple, or text."""
    if isinstance(default, (tuple, list)):
        return tuple(read_value(option, part, default[0] if default else 0) for part in text.split(",") if part)
    wanted, read = READERS.get(type(default), READERS[str])
    try:
        return read(text.lower() if isinstance(default, bool) else text)
    except (ValueError, KeyError):
        raise ConfigError(f"{option}: expected {wanted}, got {text!r}") from None


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


READERS = {
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    int: ("an integer", int),
    float: ("a number", _finite),
    str: ("a name", str),
}


def as_text(value):
    """Format an option's value as --set takes it."""
    if isinstance(value, tuple):
        return ",".join(map(as_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
