"""What `python -m benchmarks convolution` measures: layers and models, with data and weights for every contender."""

import math

import numpy as np

LR = 1e-3


class LayerCase:
    """A convolution, or its transpose, of a batch of square images; the padding halves or doubles them exactly."""

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

    def flops(self):
        positions = self.batch * (self.side if self.transposed else self.side // self.stride) ** 2
        return 2 * positions * self.kernel**2 * self.channels * self.filters


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
MODELS = {  # (class in tinyae.models, its arguments, batch)
    "conv-vae-28": ("ConvVAE", {"input_shape": (28, 28, 1), "channels": (32, 64)}, 128),
    "conv-vae-64": ("ConvVAE", {"input_shape": (64, 64, 3), "channels": (32, 64, 128, 256)}, 64),
    "conv-ae-28": ("ConvAE", {"input_shape": (28, 28, 1), "channels": (16, 8, 8)}, 200),
}


def build(case):
    """The model of tinyae, from its own seed: its weights are everyone's."""
    from tinyae import models

    kind, options, _ = MODELS[case]
    return getattr(models, kind)(**options)


def batch(case, step):
    """(x (N, H, W, C) in [0, 1], noise (N, 20)) of a step."""
    _, options, count = MODELS[case]
    rng = np.random.default_rng((4, step))
    return rng.random((count, *options["input_shape"]), np.float32), rng.standard_normal((count, 20), np.float32)


def layers(model):
    """[(network, name in it, layer, its input shape)] in order."""
    shape, found = model.input_shape, []
    for network in ("encoder", "decoder"):
        for i, layer in enumerate(model.networks[network].layers):
            found.append((network, i, layer, shape))
            shape = layer.output_shape(shape)
        shape = (model.latent_dim,)
    return found


def model_flops(case):
    """Of a training step's plain formulas: forward, dx and dw cost the same, but of the data no dx is asked."""
    model, total = build(case), 0
    for network, i, layer, shape in layers(model):
        weight = layer.param_shapes(shape).get("weight")
        if weight:
            transposed = type(layer).__name__ == "ConvTranspose2D"
            positions = math.prod((shape if transposed else layer.output_shape(shape))[:-1])
            total += 2 * positions * math.prod(weight) * (2 if (network, i) == ("encoder", 0) else 3)
    return total * MODELS[case][2]
