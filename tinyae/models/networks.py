"""Networks that several models use."""

import math

from ..errors import ConfigError, suggest
from ..layers import ACTIVATIONS, Dense, Flatten, Reshape, Sequential


def dense_encoder(hidden, units, activation):
    """x (N, ...) -> (N, units): flattened, then Dense + activation per hidden size, then a linear Dense."""
    return Sequential(Flatten(), *_hidden(hidden, activation), Dense(units))


def dense_decoder(hidden, output_shape, activation):
    """z (N, D) -> (N, *output_shape): the mirror of the encoder, its last Dense linear (logits or means)."""
    output = Dense(math.prod(output_shape)), Reshape(output_shape)
    return Sequential(*_hidden(reversed(hidden), activation), *output)


def _hidden(sizes, activation):
    if activation not in ACTIVATIONS:
        raise suggest("activation", activation, ACTIVATIONS)
    init = "he" if activation in ("relu", "leaky-relu", "elu") else "glorot"
    return [layer for size in sizes for layer in (Dense(size, init=init), ACTIVATIONS[activation]())]


def sizes(name, value):
    """A tuple of positive whole numbers from one of them or a sequence; ConfigError otherwise."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if any(not isinstance(v, int) or isinstance(v, bool) or v < 1 for v in values):
        raise ConfigError(f"{name}: expected positive whole numbers, got {value!r}")
    return values


def size(name, value):
    """One positive whole number; ConfigError otherwise."""
    values = sizes(name, value)
    if isinstance(value, (tuple, list)):
        raise ConfigError(f"{name}: expected one positive whole number, got {value!r}")
    return values[0]
