"""The Parzen-window log-likelihood of data, a kernel density estimate from samples of any model.

Each sample is the centre of a Gaussian, whose bandwidth gives held-out validation images the highest likelihood
(Breuleux, Bengio & Vincent 2011; the protocol of Goodfellow et al. 2014). With 784 dimensions and ten thousand samples
it is far from the true log-likelihood (Theis, van den Oord & Bethge 2016, section 3.2). It only serves to compare with
published numbers.
"""

import math

import numpy as np

from ..data.examples import as_rows
from ..errors import ShapeError
from ..options import RATE, Sequence, options
from .likelihood import standard_error

BANDWIDTHS = tuple(np.geomspace(0.05, 1, 20).tolist())
WIDTHS = Sequence(RATE, "one or more numbers above 0", fewest=1)
BLOCK_VALUES = 2**22  # distances in memory at a time


@options(bandwidths=WIDTHS)
def parzen(samples, validation, test, bandwidths=BANDWIDTHS):
    """The mean Parzen-window log-likelihood of test images, in nats per image.

    Parameters
    ----------
    samples : (M, ...) array
        Samples of the model. All images are uint8 or floats in [0, 1], of the same size.
    validation : (V, ...) array
        Images that select the bandwidth.
    test : (N, ...) array
        Images to evaluate.
    bandwidths : sequence of float
        Standard deviations of the Gaussian to select from.

    Returns
    -------
    figures : dict
        "log_likelihood" and its "standard_error" over the test images, in nats; "bandwidth"; and "at_the_edge", whether
        the bandwidth is the smallest or largest one, so that a better one may be outside the range.

    Raises
    ------
    ShapeError
        If the images have different sizes.
    """
    on_validation = log_densities(samples, validation, bandwidths).mean(axis=1)
    best = int(on_validation.argmax())
    (values,) = log_densities(samples, test, bandwidths[best : best + 1])
    return {
        "log_likelihood": float(values.mean()), "standard_error": standard_error(values),
        "bandwidth": float(bandwidths[best]), "at_the_edge": best in (0, len(bandwidths) - 1),
    }  # fmt: skip


@options(bandwidths=WIDTHS)
def log_densities(samples, x, bandwidths):
    """The log-densities of examples x (N, ...) for each bandwidth: an array (len(bandwidths), N) in nats.

        log 1/M sum_m N(x | sample_m, s^2 I) = log sum_m exp(-|x - sample_m|^2 / (2 s^2)) - log M - D/2 log(2 pi s^2)

    with D values in an example, the bandwidth s, and M samples.
    """
    samples, x = (as_rows(a, "float64") for a in (samples, x))
    if samples.shape[1] != x.shape[1]:
        raise ShapeError(f"parzen: samples have {samples.shape[1]} values, but the data have {x.shape[1]}")
    centre = samples.mean(axis=0)
    samples, x = samples - centre, x - centre
    lengths, constant = (samples * samples).sum(axis=1), math.log(len(samples))
    out = np.empty((len(bandwidths), len(x)))
    block = max(1, BLOCK_VALUES // len(samples))
    for first in range(0, len(x), block):
        part = x[first : first + block]
        squared = (part * part).sum(axis=1, keepdims=True) - 2 * part @ samples.T + lengths
        least = squared.min(axis=1, keepdims=True)
        for row, s in zip(out, bandwidths, strict=True):
            logs = np.log(np.exp((least - squared) / (2 * s * s)).sum(axis=1)) - least[:, 0] / (2 * s * s)
            row[first : first + block] = logs - constant - 0.5 * x.shape[1] * math.log(2 * math.pi * s * s)
    return out
