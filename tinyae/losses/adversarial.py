"""The two sides of a game between a generator and a discriminator D, from D's logits (N, 1), each with its gradients.

D says how much an example looks like a real one, sigmoid(logit) as a probability (Goodfellow et al. 2014). Summed over
the examples and divided by their number; `batch_size` is that where the rows are a part of a larger batch.
"""

from ..backend import array_module
from ..batch import examples, same_shape
from .pixel import bce_with_logits


def discriminator_loss(real, fake, smoothing=0.0, batch_size=None):
    """-1/N sum [(1 - s) log p(real) + s log(1 - p(real))] - 1/N sum log(1 - p(fake)), in nats.

    s: one-sided label smoothing, the target of real ones is 1 - s (Salimans et al. 2016, section 3.4).
    Returns (loss, dreal, dfake).
    """
    xp = array_module(real)
    loss_real, dreal = bce_with_logits(real, xp.full_like(real, 1 - smoothing), batch_size)
    loss_fake, dfake = bce_with_logits(fake, xp.zeros_like(fake), batch_size)
    return loss_real + loss_fake, dreal, dfake


def generator_loss(fake, batch_size=None):
    """-1/N sum log p(fake): non-saturating, strong where D is not fooled at all (Goodfellow et al. 2014, section 3).

    Returns (loss, dfake).
    """
    return bce_with_logits(fake, array_module(fake).ones_like(fake), batch_size)


def critic_loss(real, fake, batch_size=None):
    """1/N sum fake - 1/N sum real: less the Wasserstein distance, as far as the critic sees it (Arjovsky et al. 2017).

    Returns (loss, dreal, dfake).
    """
    same_shape("critic_loss", real, fake)
    xp, scale = array_module(real), 1 / examples(real, batch_size)
    return scale * (fake.sum() - real.sum()), xp.full_like(real, -scale), xp.full_like(fake, scale)


def critic_generator_loss(fake, batch_size=None):
    """-1/N sum fake. Returns (loss, dfake)."""
    scale = 1 / examples(fake, batch_size)
    return -scale * fake.sum(), array_module(fake).full_like(fake, -scale)


def accuracy(real, fake, batch_size=None):
    """The share of examples of both kinds that D tells right: 1/2N [number of real > 0 + number of fake < 0]."""
    return (0.5 / examples(real, batch_size)) * ((real > 0).sum() + (fake < 0).sum())
