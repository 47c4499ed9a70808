"""The convolutional autoencoder: max-pooling down to a small map, nearest resizing back up."""

import math

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..networks.autoencoder import ACTIVATION, INIT, halved, image_shape, pooling_encoder, resizing_decoder
from ..options import Counts, Source
from ..traits import Parts
from .ae import AE, LOSS, LOSSES

CHANNELS = Option(
    (16, 8, 8), Counts(1), "Channels of the encoder's levels. A level is a convolution 3x3, the activation and a "
    "max-pooling 2x2, which halves the image (an odd side rounds up). The decoder resizes back through the same "
    "sizes.",
)  # fmt: skip


class ConvAE(AE):
    """An autoencoder with convolutions for images (H, W, C) of any size; the training step is the one of AE.

    The code is the last map, flattened, so latent_dim follows from the image. The default takes 28 x 28 x 1 through 14
    and 7 to 4 x 4 x 8 = 128 numbers, with 4,385 parameters.

    source="udacity" is the complete Convolutional_Autoencoder_Solution of udacity/deep-learning. Its loss is the mean
    over the pixels, 1/784 of ours.

    Example
    -------
    >>> import numpy as np
    >>> ConvAE(input_shape=(28, 28, 1)).encode(np.zeros((2, 28, 28, 1))).shape
    (2, 128)
    """

    name = "conv-ae"
    cut = Parts(32)  # convolution is as fast on few images
    sources = {
        "udacity": Source(dict(init="glorot"), dict(optimizer="keras-adam", epsilon=1e-8, batch_size=200), mean=True)
    }

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, channels=CHANNELS, activation=ACTIVATION, loss=LOSS, init=INIT,
        source=published(sources), seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        self.input_shape = self.config["input_shape"] = image_shape(input_shape)
        self.use_loss(loss)
        self.latent_dim = math.prod(halved(self.input_shape[:2], len(channels))[-1]) * channels[-1]
        encoder = pooling_encoder(channels, activation), self.encoder_shape
        decoder = resizing_decoder(channels, self.input_shape, activation), (self.latent_dim,)
        self.build({"encoder": encoder, "decoder": decoder})

    @property
    def encoder_shape(self):
        """(H, W, C) of what the encoder is given."""
        return self.input_shape

    @classmethod
    def examples(cls):
        first = cls(input_shape=(4, 4, 1), channels=(2, 2))
        small = dict(channels=(3,), activation="tanh")
        similar = cls(input_shape=(11, 11, 2), **small, loss="ssim")
        return [first, similar] + [cls(input_shape=(3, 5, 2), **small, loss=loss) for loss in (*LOSSES, "edges")]
