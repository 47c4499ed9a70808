"""The masked autoencoder (He et al. 2022, with convolutions): most patches hidden, to be filled in from the rest."""

import math

import numpy as np

from ..backend import array_module
from ..data.examples import as_array
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared
from ..errors import ConfigError, DataError, ShapeError
from ..networks.autoencoder import ACTIVATION, INIT
from ..options import SHARE, Count, Text
from .ae import LOSSES
from .conv_ae import CHANNELS, ConvAE


class MaskedAE(ConvAE):
    """A convolutional autoencoder that fills in the hidden patches of an image (He et al. 2022).

    In every image round(share P) of its P patches are hidden: the first ones in a random order of its own. The encoder
    gets the image with hidden pixels set to 0, and as one more channel the mask, 1 where a pixel is hidden. So the
    network learns what replaces a hidden pixel. The loss counts hidden pixels alone.

    `fill` paints the pixels that its argument marks as hidden. `encode` and `reconstruct` hide nothing. Since no loss
    asks for the pixels that are shown, a reconstruction is coarser than what `fill` paints.

    Example
    -------
    >>> import numpy as np
    >>> MaskedAE(input_shape=(8, 8, 1)).reconstruct(np.zeros((2, 8, 8, 1))).shape
    (2, 8, 8, 1)
    """

    name = "masked-ae"
    pictures = ("restorations",)
    losses = LOSSES  # the input has the mask as one more channel

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, channels=CHANNELS.of((32, 32, 32)),
        patch=Option(0, Count(0), "The side of a patch in pixels, a divisor of height and width; 0 takes their "
                     "common divisor nearest to a seventh of the shorter side (4 at 28 and 32 pixels, 8 at 64)."),
        share=Option(0.75, SHARE, "The share of the patches that are hidden, between 0 and 1."),
        activation=ACTIVATION,
        loss=Option("bce", Text(), 'The error of the hidden pixels, summed: "bce" (cross-entropy, for values in [0, '
                    '1]), "mse" (squared error) or "l1" (absolute error).'),
        init=INIT, seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        super().__init__(input_shape, channels, activation, loss, init, "none", seed, backend, dtype)
        height, width, _ = self.input_shape
        self.patch = patch_size(height, width, patch)
        del self.config["patch"], self.config["share"]
        self.config |= dict(patch=self.patch, share=share)  # last, as in older checkpoints
        self.rows, self.columns = height // self.patch, width // self.patch
        patches = self.rows * self.columns
        self.hidden = round(share * patches)
        if not 0 < self.hidden < patches:
            raise ConfigError(
                f"share: {share} of the {patches} patches of {self.patch} x {self.patch} pixels hides "
                f"{self.hidden}: some have to be hidden and some shown"
            )

    @property
    def encoder_shape(self):
        *size, channels = self.input_shape
        return *size, channels + 1

    @classmethod
    def examples(cls):
        first = cls(input_shape=(4, 4, 1), channels=(2, 2), patch=2)
        small = dict(input_shape=(6, 4, 2), channels=(2,), patch=2, share=0.5, activation="tanh")
        return [first, cls(**small, loss="mse"), cls(**small | {"patch": 1}, loss="l1")]

    def step(self, net, x):                                               # x (N, H, W, C)
        order, rank = self.orders(len(x), net.noise)                      # (N, P) each, of P patches
        shown = self.shown(x, self.pixels(rank < self.hidden))            # (N, H, W, C), hidden patches replaced
        z, c_enc = net.encoder.forward(shown)                             # (N, h, w, c)
        y, c_dec = net.decoder.forward(z)                                 # (N, H, W, C)
        hidden, target = self.gather(y, order), self.gather(x, order)     # the hidden patches alone
        loss, dhidden = self.loss_function(hidden, target, net.count)     # (), as hidden

        if net.needs_grads:
            dy = self.scatter(dhidden, rank)                              # (N, H, W, C), as hidden = gather(y)
            dz = net.decoder.backward(c_dec, dy)                          # (N, h, w, c), as y = decoder(z)
            net.encoder.add_grads(c_enc, dz)                              # as z = encoder(shown)
        return {"loss": loss, "reconstruction": loss}

    def orders(self, n, rng):
        """A random order of the patches for each of n images, and each patch's rank in it: (n, P) both.

        The patches of rank below `self.hidden` are hidden. The noise "mask", uniform (n, P), sets the order.
        """
        u = rng.uniform("mask", (n, self.rows * self.columns), "float32")
        xp = array_module(u)
        order = xp.argsort(u, axis=1, kind="stable")
        return order, xp.argsort(order, axis=1, kind="stable")

    def pixels(self, patches):
        """A value per patch (N, P) -> per pixel (N, H, W, 1), in the model's dtype."""
        maps = patches.reshape(-1, self.rows, self.columns, 1).astype(self.dtype)
        return maps.repeat(self.patch, axis=1).repeat(self.patch, axis=2)

    def shown(self, x, mask):
        """What the encoder is given, (N, H, W, C + 1): x without the pixels where `mask` (N, H, W, 1) is 1, and it."""
        return array_module(x).concatenate((x * (1 - mask), mask), axis=3)

    def gather(self, x, order):
        """The hidden patches of images (N, H, W, C), in their random order: (N, self.hidden, patch^2 C)."""
        p = self.patch
        x = x.reshape(len(x), self.rows, p, self.columns, p, -1).transpose(0, 1, 3, 2, 4, 5)
        patches = x.reshape(len(x), self.rows * self.columns, -1)
        return array_module(x).take_along_axis(patches, order[:, : self.hidden, None], axis=1)

    def scatter(self, dhidden, rank):
        """gather's transpose: each hidden patch back at its place in an image, zeros elsewhere."""
        p, xp = self.patch, array_module(dhidden)
        patches = xp.take_along_axis(dhidden, xp.minimum(rank, self.hidden - 1)[:, :, None], axis=1)
        patches = patches * (rank < self.hidden)[:, :, None].astype(dhidden.dtype)
        dx = patches.reshape(len(rank), self.rows, self.columns, p, p, -1).transpose(0, 1, 3, 2, 4, 5)
        return dx.reshape(len(rank), *self.input_shape)

    def fill(self, x, hidden):
        """Images x (N, H, W, C) with the pixels where `hidden` (N, H, W) is true replaced by the model's, as NumPy."""
        x = self.backend.to_host(self._inputs(self.admit(x)))
        hidden = np.asarray(as_array(hidden, "hidden"))
        if hidden.dtype.kind == "f" and not ((hidden == 0) | (hidden == 1)).all():
            raise DataError(f"{self.name}: a pixel is hidden or not, and hidden has other floats than 0 and 1")
        hidden = hidden.astype(bool)
        if hidden.shape != x.shape[:3]:
            raise ShapeError(f"{self.name}: expected hidden of shape {x.shape[:3]}, got {hidden.shape}")
        mask = hidden[..., None].astype(self.dtype)
        seen = self.in_chunks(lambda part: self._decode(self._codes(self.backend.asarray(part))), self.shown(x, mask))
        return np.where(mask, seen, x)

    def demonstration(self, x, seed=0):
        """{"masked": ..., "filled": ..., "original": ...}: (N, H, W, C) each, as NumPy arrays, for a picture.

        Hidden pixels are grey in "masked".
        """
        x = self.backend.to_host(self._inputs(self.admit(x)))
        _, rank = self.orders(len(x), self.backend.noise(seed))
        mask = self.backend.to_host(self.pixels(rank < self.hidden))
        return {"masked": np.where(mask, self.dtype.type(0.5), x), "filled": self.fill(x, mask[..., 0]), "original": x}

    def _encode(self, x):
        return self._codes(self.shown(x, array_module(x).zeros_like(x[..., :1])))

    def _codes(self, shown):
        return self.apply("encoder", shown)


def patch_size(height, width, patch=0):
    """A patch's side in pixels: `patch`, checked, or for 0 the common divisor nearest to min(height, width) / 7."""
    common = math.gcd(height, width)
    if patch == 0:
        divisors = [d for d in range(1, common + 1) if common % d == 0 and d * d < height * width] or [1]
        return min(divisors, key=lambda d: (abs(d - min(height, width) / 7), d))
    if common % patch:
        raise ConfigError(f"patch: {patch} does not divide {height} x {width} pixels: give a divisor of {common}")
    return patch
