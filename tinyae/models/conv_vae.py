"""The variational autoencoder (Kingma & Welling 2014) with strided convolutions, for images of any size."""

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared
from ..losses.likelihood import LIKELIHOOD, SIGMA
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import (
    ACTIVATION,
    LATENT_DIM,
    STRIDED_CHANNELS,
    image_shape,
    strided_channels,
    strided_decoder,
    strided_encoder,
)  # fmt: skip
from ..options import Count
from ..traits import Parts
from .vae import VAE


class ConvVAE(VAE):
    """A variational autoencoder with strided convolutions for images (H, W, C) of any size.

    The training step is the one of VAE. The encoder ends in Dense(units) and the two heads; the decoder mirrors all of
    it with transposed convolutions. The default has 1,691,369 parameters.

    Example
    -------
    >>> import numpy as np
    >>> ConvVAE(input_shape=(8, 8, 1), latent_dim=2, channels=(4, 8)).encode(np.zeros((2, 8, 8, 1))).shape
    (2, 2)
    """

    name = "conv-vae"
    cut = Parts(32)  # convolution is as fast on few images

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM.of(20), channels=STRIDED_CHANNELS,
        units=Option(256, Count(), "Units of the dense layer between the convolutions and the code."),
        activation=ACTIVATION, likelihood=LIKELIHOOD, sigma=SIGMA, seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        self.input_shape, self.latent_dim = image_shape(input_shape), latent_dim
        channels = channels or strided_channels(self.input_shape)
        self.config |= dict(input_shape=self.input_shape, channels=channels)
        self.likelihood = likelihood_of(likelihood, sigma)
        encoder = strided_encoder(channels, (units,), 2 * latent_dim, activation), self.input_shape
        output = strided_decoder(channels, (units,), self.likelihood.output_shape(self.input_shape), activation)
        decoder = self.likelihood.decoder(output), (latent_dim,)
        self.build({"encoder": encoder, "decoder": decoder})

    @classmethod
    def examples(cls):
        first = cls(input_shape=(4, 4, 1), latent_dim=2, channels=(2, 3), units=4)
        odd = dict(input_shape=(5, 3, 2), latent_dim=2, channels=(2,), units=3, activation="tanh")
        return [first, cls(**odd, likelihood="gaussian", sigma=0.5), cls(**odd, likelihood="laplace")]
