"""Networks that several models use."""

import math

from ..declared import Option
from ..errors import ConfigError
from ..layers import (
    ACTIVATIONS,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    Reshape,
    Resize2D,
    Sequential,
)
from ..layers.convolution import resolve_padding
from ..options import Choice, Count, Counts

WIDEST = 256  # channels that `strided_channels` gives at most


def dense_encoder(hidden, units, activation, dropout=0.0):
    """x (N, ...) -> (N, units): flattened, then Dense + activation per hidden size, then a linear Dense.

    dropout: its rate after each activation.
    """
    return Sequential(Flatten(), *_hidden(hidden, activation, dropout), Dense(units))


def dense_decoder(hidden, output_shape, activation):
    """z (N, D) -> (N, *output_shape): the mirror of the encoder, its last Dense linear (logits or means)."""
    output = Dense(math.prod(output_shape)), Reshape(output_shape)
    return Sequential(*_hidden(reversed(hidden), activation), *output)


def _hidden(sizes, activation, dropout=0.0):
    act, init = _activation(activation)
    after = [Dropout(dropout)] if dropout else []
    return [layer for size in sizes for layer in (Dense(size, init=init), act(), *after)]


def pooling_encoder(channels, activation):
    """x (N, H, W, C) -> (N, h w c): for each of `channels` conv 3x3 + activation + max-pool 2x2, then flattened."""
    act, init = _activation(activation)
    levels = [layer for c in channels for layer in (Conv2D(c, 3, init=init), act(), MaxPool2D(2, padding="same"))]
    return Sequential(*levels, Flatten())


def resizing_decoder(channels, output_shape, activation):
    """z (N, h w c) -> (N, *output_shape): the mirror of `pooling_encoder`.

    For each of `channels`, the last one first, a nearest resize to what the encoder's level was given, then conv 3x3 +
    activation; at the end a linear conv 3x3 (logits or means).
    """
    act, init = _activation(activation)
    *sizes, smallest = halved(output_shape[:2], len(channels))
    layers = [Reshape((*smallest, channels[-1]))]
    for size, c in zip(reversed(sizes), reversed(channels), strict=True):
        layers += [Resize2D(*size), Conv2D(c, 3, init=init), act()]
    return Sequential(*layers, Conv2D(output_shape[2], 3, init="glorot"))


def strided_encoder(channels, units, outputs, activation, kernels=()):
    """x (N, H, W, C) -> (N, outputs): a strided conv + activation per level, Dense + activation per `units`, Dense.

    The convolutions have stride 2 and sides `kernels`, 4 by default. units: a tuple of sizes.
    """
    act, init = _activation(activation)
    sides = kernels or [4] * len(channels)
    pairs = zip(channels, sides, strict=True)
    levels = [layer for c, side in pairs for layer in (Conv2D(c, side, stride=2, init=init), act())]
    return Sequential(*levels, Flatten(), *_hidden(units, activation), Dense(outputs))


def strided_decoder(channels, units, output_shape, activation):
    """z (N, D) -> (N, *output_shape): the mirror of `strided_encoder`, its last layer linear (logits or means).

    Each convolution is answered by a 4x4 transpose with the padding of one of that size: so sizes come back exactly,
    odd ones too (25 -> 13 -> 7 -> 13 -> 25).
    """
    act, init = _activation(activation)
    *larger, smallest = halved(output_shape[:2], len(channels))
    dense = _hidden((*reversed(units), math.prod(smallest) * channels[-1]), activation)
    layers = [*dense, Reshape((*smallest, channels[-1]))]
    paddings = [resolve_padding("same", size, (4, 4), (2, 2)) for size in larger]
    for c, padding in zip(reversed(channels[:-1]), reversed(paddings[1:]), strict=True):
        layers += [ConvTranspose2D(c, 4, stride=2, padding=padding, init=init), act()]
    return Sequential(*layers, ConvTranspose2D(output_shape[2], 4, stride=2, padding=paddings[0], init="glorot"))


# Published networks for 64 x 64 pixels: channels and kernels of the encoder's levels, and the dense layers' units.
PUBLISHED = {
    "burgess": ((32, 32, 32, 32), (4, 4, 4, 4), (256, 256)),  # Burgess et al. 2018
    "locatello": ((32, 32, 64, 64), (4, 4, 2, 2), (256,)),  # Locatello et al. 2019
}
VAE_NETWORKS = ("dense", "conv", *PUBLISHED)


def encoder_and_decoder(network, hidden, input_shape, outputs, output_shape, activation):
    """The two networks, x (N, *input_shape) -> (N, outputs) and z (N, D) -> (N, *output_shape), by their kind's name.

    "dense": with layers of sizes `hidden`. "conv": as in `conv-vae`. "burgess", "locatello": published ones, for
    images of any size.
    """
    if network == "dense":
        return dense_encoder(hidden, outputs, activation), dense_decoder(hidden, output_shape, activation)
    kinds = {"conv": (strided_channels(image_shape(input_shape)), (), (256,))} | PUBLISHED
    channels, kernels, units = kinds[network]
    encoder = strided_encoder(channels, units, outputs, activation, kernels)
    return encoder, strided_decoder(channels, units, output_shape, activation)


def strided_channels(shape):
    """32, 64, 128, ... (at most 256) for an image (H, W, C): a level for each halving down to 7 pixels or fewer.

    28 -> 14 -> 7 has two; 32 has three, down to 4; 64 has four. There is at least one.
    """
    side, channels = -(-max(shape[:2]) // 2), [32]
    while side > 7:
        side, channels = -(-side // 2), [*channels, min(2 * channels[-1], WIDEST)]
    return tuple(channels)


# {name: initialisers of weights and biases}: each network's own, or a framework's
INITS = {"own": None, "glorot": ("glorot", "zeros"), "pytorch": ("uniform", "uniform")}

# Options of many models.
LATENT_DIM = Option(
    2, Count(), "The dimension of a code, D.",
)
HIDDEN = Option(
    (256,), Counts(), "Units of the encoder's hidden layers, from the first on. The decoder mirrors them. Without "
    "any (hidden= on the command line, () in a program) encoder and decoder are linear.",
)  # fmt: skip
ACTIVATION = Option(
    "relu", Choice(ACTIVATIONS), "The activation function after each hidden layer.",
)
STRIDED_CHANNELS = Option(
    (), Counts(), "Channels of the encoder's convolutions 4x4 of stride 2, each of which halves the image (an odd "
    "side rounds up). The decoder mirrors them. Without any (the default) they are 32, 64, 128, 256, 256, ..., as "
    "many as bring the image to 7 pixels or fewer: two at 28 pixels, three at 32, four at 64.",
)  # fmt: skip
INIT = Option(
    "own", Choice(INITS), 'The initial weights: "own" (He\'s before ReLU, otherwise Glorot\'s), "glorot" as in Keras '
    'and TensorFlow, or "pytorch" as in PyTorch, biases included.',
)  # fmt: skip


def begin_as(layer, init):
    """Let all layers of weights in a network begin as in a framework, by a name of INITS.

    "glorot": Keras and TensorFlow, Glorot's weights and biases of 0. "pytorch": U(-a, a), a = 1 / sqrt(fan in), both.
    """
    if init == "own":
        return
    if hasattr(layer, "init_name"):
        layer.init_name, layer.bias_init = INITS[init]
    for part in vars(layer).values():
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, (tuple, list)) else (part,)
        for inner in parts:
            if isinstance(inner, Layer):
                begin_as(inner, init)


def halved(size, times):
    """[(H, W), (ceil(H/2), ceil(W/2)), ...]: the image's size and that after each of `times` halvings."""
    return [tuple(-(-n // 2**i) for n in size) for i in range(times + 1)]


def _activation(name):
    """(the activation's class, the initialiser of the weights before it)."""
    name = Choice(ACTIVATIONS).check("activation", name)
    return ACTIVATIONS[name], "he" if name in ("relu", "leaky-relu", "elu") else "glorot"


def image_shape(shape):
    """(H, W, C) of a model that takes images; ConfigError otherwise."""
    if len(shape) != 3:
        raise ConfigError(f"input_shape: a convolutional model takes images (H, W, C), got {shape}")
    return shape
