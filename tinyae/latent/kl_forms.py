"""Forms of the KL to N(0, I) other than its plain sum, for `beta-vae`; arrays as in `gaussian`, (N, D).

They are not sums over examples: they look at the mean over the rows that they are given, so a batch may not be cut.
Rows that are a part of a larger batch all the same are weighted by their share of it.
"""

from ..backend import array_module
from ..batch import examples, same_shape
from . import gaussian


def kl_free_bits(mu, logvar, floor, batch_size=None):
    """sum_j max(floor, KL_j),   KL_j = 1/N sum_n KL(q(z_j|x_n) || N(0, 1))   (Kingma et al. 2016).

    The gradient is the KL's in dimensions above the floor, and zero in those below: they have that much for free.
    floor: nats per dimension. Returns (loss, dmu, dlogvar).
    """
    same_shape("kl_free_bits", mu, logvar)
    xp = array_module(mu)
    batch_size = examples(mu, batch_size)
    each = gaussian.kl_elements(mu, logvar).sum(axis=0) / examples(mu)
    _, dmu, dlogvar = gaussian.kl_standard(mu, logvar, batch_size)
    above = (each > floor).astype(mu.dtype)
    return (len(mu) / batch_size) * xp.maximum(each, floor).sum(), above * dmu, above * dlogvar


def kl_to_capacity(mu, logvar, capacity, batch_size=None):
    """|KL - C|,   KL the mean over the rows, C nats   (Burgess et al. 2018, equation 8, without its factor gamma).

    The gradient is the KL's above C, and minus it below. Returns (loss, dmu, dlogvar).
    """
    xp = array_module(mu)
    share = len(mu) / examples(mu, batch_size)
    kl, dmu, dlogvar = gaussian.kl_standard(mu, logvar)
    sign = share * xp.sign(kl - capacity)
    return share * xp.abs(kl - capacity), sign * dmu, sign * dlogvar


def rise(kind, step, steps, cycles=4):
    """The share in [0, 1] of its final value that a weight has at a training step (counted from 0) of `steps` of rise.

    "linear": step / steps (the warm-up of Bowman et al. 2016). "cyclical": `cycles` times from 0, each time up to
    1 in the first half of a cycle and at 1 in the second (Fu et al. 2019, with their R = 0.5). After `steps`, 1.
    """
    if step >= steps:
        return 1.0
    if kind == "linear":
        return step / steps
    within = step * cycles / steps % 1
    return min(1.0, 2 * within)
