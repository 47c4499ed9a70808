"""Initial weights: functions of (rng, name, shape, dtype) by name, which read the fan sizes off the shape.

weight: the shape of the layer's weight, for a bias whose bound depends on the weight's fan in.
"""

import math


def fans(shape):
    """(fan in, fan out) of a weight whose last two axes are (in, out) and whose other axes are a kernel's."""
    if len(shape) < 2:
        return shape[0], shape[0]
    receptive = math.prod(shape[:-2])
    return receptive * shape[-2], receptive * shape[-1]


def symmetric_uniform(rng, name, shape, dtype, bound):
    return (rng.uniform(name, shape, dtype) * 2 - 1) * bound


def glorot(rng, name, shape, dtype, weight=None):
    """U(-a, a), a = sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, equation 16)."""
    return symmetric_uniform(rng, name, shape, dtype, math.sqrt(6 / sum(fans(shape))))


def he(rng, name, shape, dtype, weight=None):
    """N(0, 2 / fan_in) (He et al. 2015, equation 10)."""
    return rng.normal(name, shape, dtype) * math.sqrt(2 / fans(shape)[0])


def uniform(rng, name, shape, dtype, weight=None):
    """U(-a, a), a = 1 / sqrt(fan_in) (LeCun et al. 1998)."""
    return symmetric_uniform(rng, name, shape, dtype, 1 / math.sqrt(fans(weight or shape)[0]))


def normal(rng, name, shape, dtype, weight=None):
    """N(0, 1)."""
    return rng.normal(name, shape, dtype)


def zeros(rng, name, shape, dtype, weight=None):
    return rng.xp.zeros(shape, dtype=dtype)


def ones(rng, name, shape, dtype, weight=None):
    return rng.xp.ones(shape, dtype=dtype)


INITIALISERS = {"glorot": glorot, "he": he, "uniform": uniform, "normal": normal, "zeros": zeros, "ones": ones}
