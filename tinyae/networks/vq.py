"""The published encoders and decoders of VQ-VAEs: x (N, H, W, C) <-> z (N, H / 4, W / 4, D).

Two levels of stride 2 each; sides that 4 does not divide round up on the way in and come back exactly on the way out.
"""

from collections import namedtuple
from functools import partial

from ..layers import BatchNorm, Conv2D, ConvTranspose2D, ReLU, Residual, Sequential, Tanh
from ..layers.convolution import resolve_padding
from .autoencoder import halved


def code_size(shape):
    """(h, w) of the map of codes of an image (H, W, C)."""
    return halved(shape[:2], 2)[-1]


def doubling(channels, kernel, size, init="he"):
    """The transposed convolution of stride 2 back to `size`, the image's before its halving."""
    padding = resolve_padding("same", size, (kernel, kernel), (2, 2))
    return ConvTranspose2D(channels, kernel, stride=2, padding=padding, init=init)


def small(shape, units):
    """For 28 x 28 (the Keras example): conv 3x3 stride 2 of 32 and 64, conv 1x1 of D; its mirror.

    19,856 and 28,033 parameters for one channel and D = 16.
    """
    first, second, _ = halved(shape[:2], 2)
    encoder = Sequential(Conv2D(32, 3, stride=2), ReLU(), Conv2D(64, 3, stride=2), ReLU(), Conv2D(units, 1))
    up = doubling(64, 3, second), ReLU(), doubling(32, 3, first), ReLU()
    return encoder, Sequential(*up, ConvTranspose2D(shape[2], 3, init="glorot"))


def paper(shape, units, blocks=2):
    """For 32 x 32 (van den Oord et al. 2017, section 4.1): two convolutions 4x4 of stride 2 and two residual blocks
    (ReLU, conv 3x3, ReLU, conv 1x1), D wide; its mirror, with a linear end.
    """
    first, second, _ = halved(shape[:2], 2)

    def residuals():
        return [Residual(ReLU(), Conv2D(units, 3), ReLU(), Conv2D(units, 1)) for _ in range(blocks)]

    encoder = Sequential(Conv2D(units, 4, stride=2), ReLU(), Conv2D(units, 4, stride=2), *residuals())
    up = doubling(units, 4, second), ReLU(), doubling(shape[2], 4, first, "glorot")
    return encoder, Sequential(*residuals(), *up)


def residual(shape, units, blocks=3, momentum=0.9, epsilon=1e-5):
    """For 128 x 128 (`bojone/vae`, vq_vae_keras.py): convolutions 4x4 of stride 2 and residual blocks, D wide, with
    BatchNorm after each and before each of the decoder's blocks; tanh at the end, so images are in [-1, 1].

    A block adds ReLU, conv 3x3, BatchNorm, ReLU, conv 1x1 to its input. With the statistics of BatchNorm 764,416
    and 764,291 numbers for three channels and D = 128.
    """
    first, second, _ = halved(shape[:2], 2)

    def norm():
        return BatchNorm(momentum, epsilon)

    def block():
        return Residual(ReLU(), Conv2D(units, 3), norm(), ReLU(), Conv2D(units, 1))

    def halve():
        return Conv2D(units, 4, stride=2), norm()

    between = [layer for _ in range(blocks - 1) for layer in (block(), norm())]
    encoder = Sequential(*halve(), ReLU(), *halve(), *between, block())
    inner = [layer for _ in range(blocks) for layer in (norm(), block())]
    up = doubling(units, 4, second), norm(), ReLU(), doubling(shape[2], 4, first, "glorot"), Tanh()
    return encoder, Sequential(*inner, *up)


# By name: encoder and decoder, D, K; images are seen as scale x + shift; source: all else as its code has it (`VQVAE`).
Network = namedtuple("Network", "make units codes scale shift source", defaults=(1, 0, False))
VQ_NETWORKS = {
    "small": Network(small, 16, 128),
    "paper": Network(paper, 256, 512),
    "residual": Network(residual, 128, 64, 2, -1),
    "keras": Network(small, 16, 128, 1, -0.5, True),
    "bojone": Network(partial(residual, momentum=0.99, epsilon=1e-3), 128, 64, 2, -1, True),
}


def network_for(shape):
    """The name of the network published for images of about this size."""
    side = max(shape[:2])
    return "small" if side <= 28 else "paper" if side <= 64 else "residual"
