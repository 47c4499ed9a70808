"""The problem every contender solves: one training step of a dense VAE 784-400-20 on batches of 128.

Bernoulli likelihood from logits, ReLU, Adam at 1e-3, float32; images are bytes in memory, and gathering a batch and
scaling it to [0, 1] belong to the step, as does drawing the noise.
"""

import math

import numpy as np

PIXELS, HIDDEN, LATENT, BATCH, LR = 784, 400, 20, 128, 1e-3
IMAGES = 60_000
SHAPES = {
    "encoder.1.weight": (PIXELS, HIDDEN), "encoder.1.bias": (HIDDEN,),
    "encoder.3.weight": (HIDDEN, 2 * LATENT), "encoder.3.bias": (2 * LATENT,),
    "decoder.0.weight": (LATENT, HIDDEN), "decoder.0.bias": (HIDDEN,),
    "decoder.2.weight": (HIDDEN, PIXELS), "decoder.2.bias": (PIXELS,),
}  # fmt: skip


def images(seed=0):
    """(60000, 784) uint8, the same bytes for every contender."""
    return np.random.default_rng(seed).integers(0, 256, (IMAGES, PIXELS), np.uint8)


def weights(seed=1):
    """{name: array}: starting parameters, by tinyae's names; matrices are (in, out)."""
    rng = np.random.default_rng(seed)
    scales = {name: math.sqrt(2 / shape[0]) if len(shape) == 2 else 0.01 for name, shape in SHAPES.items()}
    return {name: (scales[name] * rng.standard_normal(shape)).astype("f4") for name, shape in SHAPES.items()}


def rows(step):
    """(128,) int64: the images of a step."""
    return np.random.default_rng((2, step)).integers(0, IMAGES, BATCH)


def noise(step):
    """(128, 20) float32: the noise of a step, where all contenders must see the same."""
    return np.random.default_rng((3, step)).standard_normal((BATCH, LATENT), np.float32)


def products():
    """(m, k, n) of every matrix product in a step; the first layer needs no gradient by its input."""
    found = []
    for name, shape in SHAPES.items():
        if name.endswith("weight"):
            fan_in, fan_out = shape
            found += [(BATCH, fan_in, fan_out), (fan_in, BATCH, fan_out)]
            found += [(BATCH, fan_out, fan_in)] if name != "encoder.1.weight" else []
    return found


def flops():
    """Floating-point operations of a step's matrix products: two for each multiply-add."""
    return sum(2 * m * k * n for m, k, n in products())
