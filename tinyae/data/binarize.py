"""Binarizes grey images: a pixel becomes white with a probability equal to its grey value.

Likelihoods of MNIST are usually measured on such images (Salakhutdinov & Murray 2008). `static` samples them once, the
same for every run. `dynamic` samples new ones in every step (Burda et al. 2016, section 5). The static images here
differ from the files of Larochelle & Murray (2011), another sample of the same distribution, so likelihoods on the
two differ slightly.
"""

from ..backend import Noise, array_module
from ..errors import ConfigError, DataError, suggest
from ..wording import flag, number
from .drawn import Drawn
from .examples import to_float

KINDS = ("static", "dynamic")
BLOCK = 4096  # examples binarized at a time


def check_pixels(kind, x):
    """Refuse an unknown kind of binarization, and examples outside [0, 1], which are not probabilities."""
    if kind not in KINDS:
        raise suggest("way to binarize", kind, KINDS)
    if isinstance(x, Drawn):
        raise ConfigError(f"{flag('binarize')}: data that are generated on demand cannot be binarized: leave it out")
    if x.dtype.kind == "f" and not (x.min() >= 0 and x.max() <= 1):
        raise DataError(
            f"the data have values from {number(x.min())} to {number(x.max())}, but {flag('binarize')} needs [0, 1]: "
            "rescale them"
        )


def static(x, part):
    """Sample binary images once: the result depends only on x and on the name of the split.

    x: (N, ...) uint8 or floats in [0, 1]. Returns (N, ...) uint8, 0 or 255, on the host.
    """
    noise, out = Noise(0).child("binarize"), array_module(x).empty(x.shape, "uint8")
    for first in range(0, len(x), BLOCK):
        rows = slice(first, min(first + BLOCK, len(x)))
        drawn = dynamic(x[rows], noise.rows(rows.start, rows.stop, len(x)), part)
        out[rows] = 255 * drawn.astype("uint8")
    return out


def dynamic(x, rng, name="binarize"):
    """Sample new binary images with the noise called `name` of `rng`.

    x: (N, ...) uint8 or floats in [0, 1]. Returns (N, ...) float32, 0 or 1, on the device of x.
    """
    return rng.bernoulli(name, x.shape, to_float(x))
