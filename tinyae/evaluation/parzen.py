"""Parzen-window log-likelihood: how dense a model's samples are around the data, for models without a p(x) too.

Every sample carries a Gaussian, and the bandwidth is the one that suits held-out validation images best (Breuleux,
Bengio & Vincent 2011; the protocol of Goodfellow et al. 2014). With 784 dimensions and ten thousand samples it says
little about the true density (Theis, van den Oord & Bethge 2016, section 3.2): read it beside published numbers alone.
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
    """{"log_likelihood", "standard_error", "bandwidth", "at_the_edge"} of the test images, in nats, means per image.

    samples (M, ...), validation (V, ...), test (N, ...): images of one size, uint8 or floats in [0, 1]. The bandwidth
    is that of `bandwidths` with the highest mean on the validation images; at_the_edge: whether it is their least or
    largest, so that a better one may lie outside. standard_error: of the mean over the test images.
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
    """(len(bandwidths), N): for each bandwidth s and each row of x, of D values in all,

    log 1/M sum_m N(x | sample_m, s^2 I) = log sum_m exp(-|x - sample_m|^2 / (2 s^2)) - log M - D/2 log(2 pi s^2)
    """
    samples, x = (as_rows(a, "float64") for a in (samples, x))
    if samples.shape[1] != x.shape[1]:
        raise ShapeError(f"parzen: samples of {samples.shape[1]} values, but data of {x.shape[1]}")
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
