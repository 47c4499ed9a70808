"""The networks of a generative adversarial network: what draws images from noise, what tells them from real ones."""

import math

from ..layers import (
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
)
from ..layers.convolution import resolve_padding
from .autoencoder import halved

SLOPE = 0.2  # LeakyReLU's, below 0 (Radford et al. 2016)


def dense_generator(hidden, output_shape, bounded):
    """z (N, D) -> (N, *output_shape): Dense + LeakyReLU for each of `hidden`, the last one first; Dense, sigmoid."""
    layers = [layer for units in reversed(hidden) for layer in (Dense(units, init="he"), LeakyReLU(SLOPE))]
    return Sequential(*layers, Dense(math.prod(output_shape)), Reshape(output_shape), *_output(bounded))


def dense_discriminator(hidden, dropout):
    """x (N, ...) -> logits (N, 1): flattened, then Dense + LeakyReLU + dropout for each of `hidden`, and Dense."""
    layers = [layer for units in hidden for layer in (Dense(units, init="he"), *_leaky(dropout))]
    return Sequential(Flatten(), *layers, Dense(1))


def conv_generator(channels, output_shape, bounded):
    """z (N, D) -> (N, *output_shape): Dense to the smallest map, then a transposed conv 4x4 of stride 2 per level.

    All but the last are followed by BatchNorm and ReLU, and so have no bias. The channels are the discriminator's,
    whose mirror this is; sizes come back exactly, odd ones too (as in `networks.strided_decoder`).
    """
    *larger, smallest = halved(output_shape[:2], len(channels))
    paddings = [resolve_padding("same", size, (4, 4), (2, 2)) for size in larger]
    layers = [Dense(math.prod(smallest) * channels[-1], bias=False, init="he"), Reshape((*smallest, channels[-1]))]
    for c, padding in zip(reversed(channels[:-1]), reversed(paddings[1:]), strict=True):
        layers += [BatchNorm(), ReLU(), ConvTranspose2D(c, 4, stride=2, padding=padding, bias=False, init="he")]
    last = ConvTranspose2D(output_shape[2], 4, stride=2, padding=paddings[0], init="glorot")
    return Sequential(*layers, BatchNorm(), ReLU(), last, *_output(bounded))


def conv_discriminator(channels, dropout):
    """x (N, H, W, C) -> logits (N, 1): conv 4x4 of stride 2 + LeakyReLU + dropout for each of `channels`, then Dense.

    Without BatchNorm: an example's logit, and so its gradient, depends on this example alone.
    """
    layers = [layer for c in channels for layer in (Conv2D(c, 4, stride=2, init="he"), *_leaky(dropout))]
    return Sequential(*layers, Flatten(), Dense(1))


def _leaky(dropout):
    return (LeakyReLU(SLOPE), Dropout(dropout)) if dropout else (LeakyReLU(SLOPE),)


def _output(bounded):
    return (Sigmoid(),) if bounded else ()
