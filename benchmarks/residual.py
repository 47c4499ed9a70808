"""The residual encoder and decoder of the VQ-VAE for 128x128 images, without its codebook (`bojone/vae`)."""

from tinyae.layers import BatchNorm, Conv2D, ConvTranspose2D, ReLU, Residual, Sequential, Tanh
from tinyae.models.ae import AE


class ResidualAE(AE):
    """(128, 128, 3) -> (32, 32, 128) -> (128, 128, 3) under squared error; BatchNorm in both networks.

    Encoder: conv 4x4 stride 2, BatchNorm, ReLU, conv 4x4 stride 2, BatchNorm, three residual blocks with BatchNorm
    between them. Decoder: BatchNorm and a residual block three times, then two transposed convolutions back, BatchNorm
    and ReLU between them, tanh at the end. A block adds ReLU, conv 3x3, BatchNorm, ReLU, conv 1x1 to its input.
    """

    name = "residual-ae"

    def __init__(self, input_shape=(128, 128, 3), width=128, blocks=3, seed=0, backend="numpy", dtype="float32"):
        self.use_loss("mse")
        height, columns, channels = self.input_shape = input_shape
        self.code_shape = height // 4, columns // 4, width
        config = dict(input_shape=input_shape, width=width, blocks=blocks, loss="mse")

        def block():
            return Residual(ReLU(), Conv2D(width, 3), BatchNorm(), ReLU(), Conv2D(width, 1))

        def halve():
            return Conv2D(width, 4, stride=2), BatchNorm()

        between = [layer for _ in range(blocks - 1) for layer in (block(), BatchNorm())]
        encoder = Sequential(*halve(), ReLU(), *halve(), *between, block())
        blocks = [layer for _ in range(blocks) for layer in (BatchNorm(), block())]
        double = ConvTranspose2D(width, 4, stride=2), BatchNorm(), ReLU()
        decoder = Sequential(*blocks, *double, ConvTranspose2D(channels, 4, stride=2), Tanh())
        networks = {"encoder": (encoder, self.input_shape), "decoder": (decoder, self.code_shape)}
        self.build(networks, config, seed, backend, dtype)
