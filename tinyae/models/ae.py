"""The dense autoencoder: x -> code -> x, trained to reconstruct."""

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared
from ..errors import ConfigError
from ..layers.activations import sigmoid
from ..losses import bce_with_logits, l1, mse
from ..losses.image import WINDOW, edge_weighted_mse, ssim_loss
from ..losses.likelihood import Bernoulli, Gaussian
from ..networks.autoencoder import ACTIVATION, HIDDEN, LATENT_DIM, dense_decoder, dense_encoder
from ..networks.own import own
from ..options import Choice, Text
from .model import Model


def ssim_with_logits(logits, target, batch_size=None):
    """`ssim_loss` of y = sigmoid(logits);   d = dy y (1 - y).

    Without a range for y, -x would be nearly as similar to x as x is: both factors of S change their sign.
    """
    y = sigmoid(logits)
    loss, dy = ssim_loss(y, target, batch_size)
    return loss, dy * y * (1 - y)


LOSSES = {"bce": bce_with_logits, "mse": mse, "l1": l1}
IMAGE_LOSSES = {"edges": edge_weighted_mse, "ssim": ssim_with_logits}  # they see more than a pixel
UNITS = {
    "bce": "nats", "mse": "squared error", "l1": "absolute error", "edges": "squared error, edges weighted",
    "ssim": "1 - SSIM, summed over windows",
}  # fmt: skip

LOSS = Option(
    "bce", Text(), 'The reconstruction error, summed over pixels: "bce" (cross-entropy, for values in [0, 1]), "mse" '
    '(squared error) or "l1" (absolute error); for images also "edges" (squared error with more weight on edges) or '
    '"ssim" (one minus the structural similarity).',
)  # fmt: skip


class AE(Model):
    """An autoencoder with dense networks (Hinton & Salakhutdinov 2006).

        z = encoder(x),   y = decoder(z),   loss = reconstruction error of y

    Example
    -------
    >>> import numpy as np
    >>> model = AE(input_shape=(4,), hidden=(3,), latent_dim=2)
    >>> model.encode(np.zeros((5, 4))).shape, model.reconstruct(np.zeros((5, 4))).shape
    ((5, 2), (5, 4))
    """

    name = "ae"
    terms = ("loss", "reconstruction")
    losses = LOSSES | IMAGE_LOSSES

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM.of(32), hidden=HIDDEN, activation=ACTIVATION, loss=LOSS,
        seed=SEED, backend=BACKEND, dtype=DTYPE,
        encoder=own("Your own encoder, a layer from x to z (latent_dim,)."),
        decoder=own('Your own decoder, a layer from z to y, which is logits for "bce" and "ssim".'),
    ):  # fmt: skip
        self.input_shape, self.latent_dim = input_shape, latent_dim
        self.use_loss(loss)
        x, z = self.input_shape, (latent_dim,)
        encoder, decoder = self.fitting("encoder", encoder, x, z), self.fitting("decoder", decoder, z, x)
        networks = {
            "encoder": (encoder or dense_encoder(hidden, latent_dim, activation), x),
            "decoder": (decoder or dense_decoder(hidden, x, activation), z),
        }
        self.build(networks)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=2, hidden=(5,))
        linear = cls(input_shape=(4,), latent_dim=2, hidden=(), loss="mse")
        similar = cls(input_shape=(11, 12, 1), latent_dim=2, hidden=(3,), loss="ssim", activation="tanh")
        return [cls(**small, loss=loss) for loss in (*LOSSES, "edges")] + [linear, similar]

    def use_loss(self, name):
        """Set the loss by its name, and with it how the decoder's output becomes an image."""
        name = Choice(self.losses).check("loss", name)
        least = WINDOW if name == "ssim" else 1
        if name in IMAGE_LOSSES and (len(self.input_shape) != 3 or min(self.input_shape[:2]) < least):
            raise ConfigError(f"loss={name} is for images of {least} pixels a side or more, not {self.input_shape}")
        self.loss_function, self.unit = self.losses[name], UNITS[name]
        self.mean = (Bernoulli() if name in ("bce", "ssim") else Gaussian()).mean

    def step(self, net, x):                                               # x (N, H, W, C)
        z, c_enc = net.encoder.forward(self.corrupted(x, net.noise))      # (N, D)
        y, c_dec = net.decoder.forward(z)                                 # (N, H, W, C)
        loss, dy = self.loss_function(y, x, net.count)                    # (), (N, H, W, C)

        if net.needs_grads:
            dz = net.decoder.backward(c_dec, dy)                          # (N, D), as y = decoder(z)
            net.encoder.add_grads(c_enc, dz)                              # as z = encoder(x)
        return {"loss": loss, "reconstruction": loss}

    def corrupted(self, x, noise):
        """The encoder's input for x: x itself here, x with noise in a denoising autoencoder."""
        return x

    def _encode(self, x):
        return self.apply("encoder", x)

    def _decode(self, z):
        return self.mean(self.apply("decoder", z))
