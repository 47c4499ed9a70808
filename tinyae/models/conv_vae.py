"""The variational autoencoder (Kingma & Welling 2014) with strided convolutions, for images of any size."""

from ..layers import ACTIVATIONS
from ..losses.likelihood import OPTIONS as LIKELIHOOD
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import image_shape, strided_channels, strided_decoder, strided_encoder
from ..options import Choice, Count, Counts, options
from .model import COMMON
from .vae import VAE


class ConvVAE(VAE):
    """A VAE, its training step with it, whose networks are convolutional; for images (H, W, C) of any size.

    The encoder ends in Dense(units) and the two heads; the decoder mirrors all of it with transposed convolutions. The
    default has 1,691,369 parameters.

    Parameters
    ----------
    channels: channels of the encoder's levels. A level is conv 4x4 stride 2 + activation and halves the image (an odd
        side rounds up). None of them (the default) takes 32, 64, 128, 256, 256, ... down to 7 pixels or fewer: two
        levels at 28 pixels, three at 32, four at 64.
    units: units of the dense layer between the convolutions and the code.
    """

    name = "conv-vae"
    part = 32  # convolution is as fast on few images

    @options(
        latent_dim=Count(), channels=Counts(), units=Count(), activation=Choice(ACTIVATIONS), **LIKELIHOOD, **COMMON
    )
    def __init__(
        self, input_shape=(28, 28, 1), latent_dim=20, channels=(), units=256, activation="relu",
        likelihood="bernoulli", sigma=1.0, seed=0, backend="numpy", dtype="float32",
    ):  # fmt: skip
        self.input_shape, self.latent_dim = image_shape(input_shape), latent_dim
        channels = channels or strided_channels(self.input_shape)
        self.likelihood = likelihood_of(likelihood, sigma)
        config = dict(
            input_shape=self.input_shape, latent_dim=latent_dim, channels=channels, units=units,
            activation=activation, likelihood=likelihood, sigma=sigma,
        )  # fmt: skip
        encoder = strided_encoder(channels, (units,), 2 * latent_dim, activation), self.input_shape
        output = strided_decoder(channels, (units,), self.likelihood.output_shape(self.input_shape), activation)
        decoder = self.likelihood.decoder(output), (latent_dim,)
        self.build({"encoder": encoder, "decoder": decoder}, config, seed, backend, dtype)

    @classmethod
    def examples(cls):
        first = cls(input_shape=(4, 4, 1), latent_dim=2, channels=(2, 3), units=4)
        odd = dict(input_shape=(5, 3, 2), latent_dim=2, channels=(2,), units=3, activation="tanh")
        return [first, cls(**odd, likelihood="gaussian", sigma=0.5), cls(**odd, likelihood="laplace")]
