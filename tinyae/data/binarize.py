"""Black-and-white images from grey ones: a pixel is white with the probability that its grey value says.

The custom for likelihoods of MNIST (Salakhutdinov & Murray 2008). `static` draws them once, the same for every run;
`dynamic` anew every time (Burda et al. 2016, section 5). Ours are not the files of Larochelle & Murray (2011), which
are one such draw: numbers on either differ by what the draw decides.
"""

from ..backend import Noise, array_module
from ..errors import ConfigError, DataError, suggest
from ..wording import flag, number
from .drawn import Drawn
from .examples import to_float

KINDS = ("static", "dynamic")
BLOCK = 4096  # examples drawn at a time


def check_pixels(kind, x):
    """Refuse an unknown kind, and examples that are no probabilities."""
    if kind not in KINDS:
        raise suggest("way to binarize", kind, KINDS)
    if isinstance(x, Drawn):
        raise ConfigError(f"{flag('binarize')}: data drawn as they are needed cannot be binarized: leave it out")
    if x.dtype.kind == "f" and not (x.min() >= 0 and x.max() <= 1):
        raise DataError(
            f"the data have values from {number(x.min())} to {number(x.max())}, but {flag('binarize')} needs [0, 1]: "
            "rescale them"
        )


def static(x, part):
    """(N, ...) uint8 or floats in [0, 1] -> uint8, 0 or 255, on the host; a function of x and of the part's name."""
    noise, out = Noise(0).child("binarize"), array_module(x).empty(x.shape, "uint8")
    for first in range(0, len(x), BLOCK):
        rows = slice(first, min(first + BLOCK, len(x)))
        drawn = dynamic(x[rows], noise.rows(rows.start, rows.stop, len(x)), part)
        out[rows] = 255 * drawn.astype("uint8")
    return out


def dynamic(x, rng, name="binarize"):
    """(N, ...) uint8 or floats in [0, 1] -> float32 zeros and ones, where x is; the noise is that of `name`."""
    return rng.bernoulli(name, x.shape, to_float(x))
