"""Options that several layers take, checked: ConfigError, naming the layer, for what cannot be."""

from ..errors import ConfigError, suggest
from .initialisers import INITIALISERS


def _is_count(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def whole(layer, name, value, least=1):
    """`value` if it is a whole number of at least `least`; ConfigError, naming the layer, otherwise."""
    if not _is_count(value, least):
        raise ConfigError(f"{type(layer).__name__}: {name} must be a whole number of at least {least}, got {value!r}")
    return value


def pair(layer, name, value, least=1):
    """(rows, columns) from a whole number or two of them, each at least `least`; ConfigError otherwise."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(_is_count(v, least) for v in values):
        numbers = f"a whole number of at least {least}, or two of them"
        raise ConfigError(f"{type(layer).__name__}: {name} must be {numbers}, got {value!r}")
    return values


def initialiser(name):
    """`name` if it is an initialiser's; ConfigError with the nearest one otherwise."""
    if name not in INITIALISERS:
        raise suggest("initialiser", name, INITIALISERS)
    return name
