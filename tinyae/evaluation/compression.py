"""The size in bits of images that are stored as maps of codes, and the error of their reconstructions."""

import math

import numpy as np

from ..latent.quantize import perplexity
from ..options import MODEL, Having, Number, options
from .quality import RECONSTRUCTING, pairs

BITS = 8  # per channel of a pixel of the original image


@options(model=Having("a model of maps of codes, such as tinyae.models.VQVAE()", "usage", "code_shape"))
def usage(model, x):
    """Codebook usage over images, and the number of bits that their codes need.

    Parameters
    ----------
    model : Model
        A vq-vae.
    x : (N, H, W, C) array
        Images.

    Returns
    -------
    figures : dict
        "perplexity" and "codes_used", a list with a number for each codebook. "bits_per_pixel" with log2 K bits for
        each code. "entropy_bits_per_pixel" with an ideal entropy code for single codes, which needs log2 of the
        perplexity on average. "compression" and "entropy_compression", the ratios of the images' 8 bits per channel to
        these.
    """
    counts = model.usage(x)
    found, used = perplexity(counts), (counts > 0).sum(axis=1)
    places = math.prod(model.code_shape[:2])
    fixed, entropy = places * len(counts) * math.log2(model.code_count), places * float(np.log2(found).sum())
    told = {"perplexity": found.tolist(), "codes_used": used.tolist()}
    return told | rate(model, fixed) | {f"entropy_{name}": value for name, value in rate(model, entropy).items()}


@options(model=MODEL, bits=Number(least=0))
def rate(model, bits):
    """{"bits_per_pixel": ..., "compression": ...} of an image that needs `bits` bits. model: its vq-vae."""
    height, width, channels = model.input_shape
    spent = bits / (height * width)
    return {"bits_per_pixel": spent, "compression": BITS * channels / spent if spent else math.inf}


@options(model=RECONSTRUCTING)
def error_over_variance(model, x):
    """The mean squared error of reconstructions divided by the variance of all values of x."""
    squared = total = squares = count = 0.0
    for target, y in pairs(model, x):
        squared += float(((y - target) ** 2).sum())
        total += float(target.sum())
        squares += float((target**2).sum())
        count += target.size
    variance = squares / count - (total / count) ** 2
    return squared / count / variance if variance > 0 else math.nan
