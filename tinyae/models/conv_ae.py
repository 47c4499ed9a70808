"""The convolutional autoencoder: max-pooling down to a small map, nearest resizing back up."""

import math

from ..layers import ACTIVATIONS
from ..networks.autoencoder import INIT, halved, image_shape, pooling_encoder, resizing_decoder
from ..options import Choice, Counts, Source, Sources, Text, options
from .ae import AE, LOSSES
from .model import COMMON


class ConvAE(AE):
    """An AE, its training step with it, whose networks are convolutional; for images (H, W, C) of any size.

    The code is the last map, flattened: latent_dim follows from the image. The default takes 28 x 28 x 1 through 14, 7
    to 4 x 4 x 8 = 128 numbers with 4,385 parameters.

    source="udacity" is Convolutional_Autoencoder_Solution of udacity/deep-learning, whole. Its loss is the mean over
    the pixels, 1/784 of ours.

    Parameters
    ----------
    channels: channels of the encoder's levels. A level is conv 3x3 + activation + 2x2 max-pool and halves the image (an
        odd side rounds up); the decoder resizes back through the same sizes.
    activation: the function after each convolution: "relu", "leaky-relu", "elu", "gelu", "silu", "sigmoid", "tanh" or
        "softplus".
    init: how weights begin: "own" (He's before ReLU, else Glorot's), or as in Keras and TensorFlow ("glorot", as in the
        source) or PyTorch ("pytorch", biases too).
    source: "none", or "udacity", which stands for init=glorot and training by optimizer=keras-adam with epsilon=1e-8 in
        batches of 200. Explicit options take precedence.
    """

    name = "conv-ae"
    part = 32  # convolution is as fast on few images
    sources = {
        "udacity": Source(dict(init="glorot"), dict(optimizer="keras-adam", epsilon=1e-8, batch_size=200), mean=True)
    }

    @options(
        channels=Counts(1), activation=Choice(ACTIVATIONS), loss=Text(), init=INIT, source=Sources(sources), **COMMON
    )
    def __init__(
        self, input_shape=(28, 28, 1), channels=(16, 8, 8), activation="relu", loss="bce", init="own", source="none",
        seed=0, backend="numpy", dtype="float32",
    ):  # fmt: skip
        self.input_shape = image_shape(input_shape)
        self.use_loss(loss)
        self.latent_dim = math.prod(halved(self.input_shape[:2], len(channels))[-1]) * channels[-1]
        config = dict(
            input_shape=self.input_shape, channels=channels, activation=activation, loss=loss, init=init, source=source
        )
        encoder = pooling_encoder(channels, activation), self.encoder_shape
        decoder = resizing_decoder(channels, self.input_shape, activation), (self.latent_dim,)
        self.build({"encoder": encoder, "decoder": decoder}, config, seed, backend, dtype, init)

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
