"""What images cost as maps of codes, and what of them is lost."""

import math

import numpy as np

from ..latent.quantize import perplexity
from ..options import MODEL, Having, Number, options
from .quality import RECONSTRUCTING, pairs

BITS = 8  # of a channel of an image as it is


@options(model=Having("a model of maps of codes, such as tinyae.models.VQVAE()", "usage", "code_shape"))
def usage(model, x):
    """{"perplexity": [...], "codes_used": [...]}, by codebook, over images x, and what their codes cost in bits.

    bits_per_pixel: with log2 K bits for each code. entropy_bits_per_pixel: with as many as its share calls for,
    log2 of the perplexity on average, which no code of single codes goes below. compression, entropy_compression: by
    what factor these are fewer than the images' own, 8 for each channel of a pixel.
    """
    counts = model.usage(x)
    found, used = perplexity(counts), (counts > 0).sum(axis=1)
    places = math.prod(model.code_shape[:2])
    fixed, entropy = places * len(counts) * math.log2(model.code_count), places * float(np.log2(found).sum())
    told = {"perplexity": found.tolist(), "codes_used": used.tolist()}
    return told | rate(model, fixed) | {f"entropy_{name}": value for name, value in rate(model, entropy).items()}


@options(model=MODEL, bits=Number(least=0))
def rate(model, bits):
    """{"bits_per_pixel": ..., "compression": ...} of an image of `model`, a vq-vae, that costs so many bits."""
    height, width, channels = model.input_shape
    spent = bits / (height * width)
    return {"bits_per_pixel": spent, "compression": BITS * channels / spent if spent else math.inf}


@options(model=RECONSTRUCTING)
def error_over_variance(model, x):
    """The mean squared error of reconstructions over the variance of x, all its values together: what share of the
    variance is lost."""
    squared = total = squares = count = 0.0
    for target, y in pairs(model, x):
        squared += float(((y - target) ** 2).sum())
        total += float(target.sum())
        squares += float((target**2).sum())
        count += target.size
    variance = squares / count - (total / count) ** 2
    return squared / count / variance if variance > 0 else math.nan
