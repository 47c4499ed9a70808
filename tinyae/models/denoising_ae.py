"""The denoising autoencoder (Vincent et al. 2008): noise on the image, the clean image as the target."""

from ..backend import array_module
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..errors import ConfigError
from ..networks.autoencoder import ACTIVATION, INIT
from ..options import WEIGHT, Choice
from ..traits import Floats
from .ae import LOSS
from .conv_ae import CHANNELS, ConvAE


def gaussian(x, rng, level):
    """x + level N(0, 1) per value, clipped to [0, 1]."""
    return array_module(x).clip(x + level * rng.normal("noise", x.shape, x.dtype), 0, 1)


def salt_and_pepper(x, rng, level):
    """A share `level` of the values replaced, half of them by 1 and half by 0."""
    u = rng.uniform("noise", x.shape, "float32")
    kept, salt = (u >= level / 2) & (u <= 1 - level / 2), u > 1 - level / 2
    return x * kept.astype(x.dtype) + salt.astype(x.dtype)


def dropout(x, rng, level):
    """A share `level` of the values set to 0."""
    return x * rng.bernoulli("noise", x.shape, 1 - level, x.dtype)


NOISES = {"gaussian": gaussian, "salt-and-pepper": salt_and_pepper, "dropout": dropout}


class DenoisingAE(ConvAE):
    """A convolutional autoencoder that restores corrupted images (Vincent et al. 2008).

        y = decoder(encoder(corrupted(x))),   loss = reconstruction error of y, compared with x

    The corruption is sampled anew in every step, and for the loss in evaluation too. `encode` and `reconstruct` add
    none: they take an image as it is, and return it restored. The default has 30,689 parameters. It is the second
    network of ConvAE's source, with the same options.

    Example
    -------
    >>> import numpy as np
    >>> DenoisingAE(input_shape=(8, 8, 1)).reconstruct(np.zeros((2, 8, 8, 1))).shape
    (2, 8, 8, 1)
    """

    name = "denoising-ae"
    pictures = ("restorations",)

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, channels=CHANNELS.of((32, 32, 16)),
        noise=Option("gaussian", Choice(NOISES), 'How images are corrupted: "gaussian" (noise is added, then values '
                     'are clipped to [0, 1]), "salt-and-pepper" (values become 0 or 1) or "dropout" (values become '
                     "0)."),
        level=Option(0.5, WEIGHT, "The standard deviation of Gaussian noise, in units of the full range; for the "
                     "other kinds of noise the share of corrupted values, from 0 to 1."),
        activation=ACTIVATION, loss=LOSS, init=INIT, source=published(ConvAE.sources),
        seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        if noise != "gaussian" and level > 1:
            raise ConfigError(f"level: {noise} noise takes a share in [0, 1], got {level}")
        self.noise, self.level = noise, level
        self.input = Floats(None if noise == "dropout" else f"{noise} noise")
        super().__init__(input_shape, channels, activation, loss, init, source, seed, backend, dtype)
        self.config |= {name: self.config.pop(name) for name in ("noise", "level")}  # last, as in older checkpoints

    @classmethod
    def examples(cls):
        small = dict(input_shape=(4, 3, 2), channels=(2, 2), activation="tanh")
        first = cls(input_shape=(4, 4, 1), channels=(2, 2))
        return [first] + [cls(**small, noise=noise, level=0.4, loss="mse") for noise in NOISES]

    def corrupted(self, x, noise):
        return NOISES[self.noise](x, noise, self.level)

    def demonstration(self, x, seed=0):
        """{"noisy": ..., "restored": ..., "clean": ...}: (N, H, W, C) each, as NumPy arrays, for a picture."""
        x = self._inputs(self.admit(x))
        noisy = self.corrupted(x, self.backend.noise(seed))
        to_host = self.backend.to_host
        return {"noisy": to_host(noisy), "restored": self.reconstruct(noisy), "clean": to_host(x)}
