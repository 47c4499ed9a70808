"""What `python -m benchmarks convolution` measures: layers and models, with data and weights for every contender."""

import math

import numpy as np

from tinyae.backend import Noise
from tinyae.layers import ConvTranspose2D
from tinyae.models import VQVAE, ConvAE, ConvVAE

LR = 1e-3


class LayerCase:
    """A convolution, or its transpose, of a batch of square images; the padding halves or doubles them exactly."""

    phases, runs, tolerance = ("forward", "backward"), 5, 1e-4

    def __init__(self, batch, side, channels, filters, kernel=3, stride=1, transposed=False):
        self.batch, self.side, self.channels, self.filters = batch, side, channels, filters
        self.kernel, self.stride, self.transposed = kernel, stride, transposed

    def arrays(self):
        """x (N, H, W, C), the weight by tinyae's layout, bias and dy, drawn."""
        rng = np.random.default_rng(0)
        out = self.side * self.stride if self.transposed else self.side // self.stride
        ends = (self.filters, self.channels) if self.transposed else (self.channels, self.filters)
        shapes = (self.batch, self.side, self.side, self.channels), (self.kernel, self.kernel, *ends)
        shapes += (self.filters,), (self.batch, out, out, self.filters)
        return [rng.standard_normal(shape, np.float32) for shape in shapes]

    def flops(self, phase):
        """Of the plain formula, two for each multiply-add; backward are dx and dw."""
        positions = self.batch * (self.side if self.transposed else self.side // self.stride) ** 2
        return 2 * positions * self.kernel**2 * self.channels * self.filters * (1 if phase == "forward" else 2)


LAYERS = {
    "28x28x32-32,3x3": LayerCase(128, 28, 32, 32),
    "14x14x32-64,3x3": LayerCase(128, 14, 32, 64),
    "32x32x128-128,3x3": LayerCase(16, 32, 128, 128),
    "64x64x64-64,3x3": LayerCase(16, 64, 64, 64),
    "28x28x1-32,4x4s2": LayerCase(128, 28, 1, 32, 4, 2),
    "14x14x32-64,4x4s2": LayerCase(128, 14, 32, 64, 4, 2),
    "7x7x64-32,4x4s2,transposed": LayerCase(128, 7, 64, 32, 4, 2, True),
    "14x14x32-1,4x4s2,transposed": LayerCase(128, 14, 32, 1, 4, 2, True),
}


class ModelCase:
    """A model of tinyae, from its own seed and where training begins (its weights are everyone's), and its batches.

    tolerance: the relative difference within which contenders have to agree before anything is timed.
    """

    phases = ("step",)

    def __init__(self, kind, batch, runs=5, tolerance=1e-4, **options):
        self.kind, self.size, self.runs, self.tolerance, self.options = kind, batch, runs, tolerance, options

    def build(self):
        model = self.kind(**self.options)
        model.begin({"x": self.batch(0)[0]}, Noise(0))
        return model

    def batch(self, step):
        """(x (N, H, W, C) in [0, 1], noise (N, 20), which a VAE uses) of a step."""
        rng = np.random.default_rng((4, step))
        x = rng.random((self.size, *self.options["input_shape"]), np.float32)
        return x, rng.standard_normal((self.size, 20), np.float32)

    def flops(self, phase):
        """Of a step's plain formulas: forward, dx and dw cost the same, but of the data no dx is asked.

        A codebook's product multiplies all vectors with all codes; nothing flows back through it.
        """
        model, total = self.kind(**self.options), 0
        for network, layer, shape in networks(model):
            each = [product_flops(*leaf) for leaf in leaves(layer, shape)]
            total += (1 if network == "codebook" else 3) * sum(each) - (each[0] if network == "encoder" else 0)
        return total * self.size


def networks(model):
    """(name, network, its input shape) of the encoder, the codebook where there is one, and the decoder."""
    yield "encoder", model.networks["encoder"], model.input_shape
    if "codebook" in model.networks:
        yield "codebook", model.codebook, model.map_shape
        yield "decoder", model.networks["decoder"], model.map_shape
    else:
        yield "decoder", model.networks["decoder"], getattr(model, "code_shape", None) or (model.latent_dim,)


def leaves(layer, shape):
    """(layer, its input shape) of all layers that hold no others, in order."""
    if not hasattr(layer, "layers"):
        yield layer, shape
        return
    for inner in layer.layers:
        yield from leaves(inner, shape)
        shape = inner.output_shape(shape)


def product_flops(layer, shape):
    """Of an example's products with the layer's weight, forward: two for each multiply-add."""
    weight = layer.param_shapes(shape).get("weight", (0,))
    positions = shape if isinstance(layer, ConvTranspose2D) else layer.output_shape(shape)
    return 2 * math.prod(positions[:-1]) * math.prod(weight)


# Dead codes are not restarted: neither the published training nor the peers restart them.
MODELS = {
    "conv-vae-28": ModelCase(ConvVAE, 128, input_shape=(28, 28, 1), channels=(32, 64)),
    "conv-vae-64": ModelCase(ConvVAE, 64, input_shape=(64, 64, 3), channels=(32, 64, 128, 256)),
    "conv-ae-28": ModelCase(ConvAE, 200, input_shape=(28, 28, 1), channels=(16, 8, 8)),
    "vq-vae-28": ModelCase(VQVAE, 128, input_shape=(28, 28, 1), restart=False),
    "vq-vae-32": ModelCase(VQVAE, 32, 2, input_shape=(32, 32, 3), restart=False),
    "vq-vae-128": ModelCase(VQVAE, 8, 2, input_shape=(128, 128, 3), restart=False),
}
CASES = LAYERS | MODELS
