"""The two sides of a game between a generator and a discriminator D, from D's logits (N, 1), each with its gradients.

D says how much an example looks like a real one, sigmoid(logit) as a probability (Goodfellow et al. 2014). Summed over
the examples and divided by their number; `batch_size` is that where the rows are a part of a larger batch.
"""

from ..backend import array_module
from ..batch import examples, same_shape
from .pixel import bce_with_logits


def discriminator_loss(real, fake, smoothing=0.0, batch_size=None):
    """The loss of a discriminator, in nats (Goodfellow et al. 2014).

        loss = -1/N sum[(1 - s) log p(real) + s log(1 - p(real))] - 1/N sum log(1 - p(fake)),   p = sigmoid

    Parameters
    ----------
    real, fake : (N, 1) arrays
        Logits of real and of generated examples.
    smoothing : float, default 0
        s, one-sided label smoothing: the target of real examples is 1 - s (Salimans et al. 2016, section 3.4).
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Nats.
    dreal, dfake : (N, 1) arrays
        Its gradients.

    Example
    -------
    >>> import numpy as np
    >>> loss, dreal, dfake = discriminator_loss(np.zeros((1, 1)), np.zeros((1, 1)))
    >>> round(float(loss), 4), dreal.tolist(), dfake.tolist()
    (1.3863, [[-0.5]], [[0.5]])
    """
    xp = array_module(real)
    loss_real, dreal = bce_with_logits(real, xp.full_like(real, 1 - smoothing), batch_size)
    loss_fake, dfake = bce_with_logits(fake, xp.zeros_like(fake), batch_size)
    return loss_real + loss_fake, dreal, dfake


def generator_loss(fake, batch_size=None):
    """The non-saturating loss of a generator, in nats (Goodfellow et al. 2014, section 3).

        loss = -1/N sum log p(fake),   dfake = (p - 1) / N,   p = sigmoid(fake)

    Parameters
    ----------
    fake : (N, 1) array
        Logits of generated examples.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Nats.
    dfake : (N, 1) array
        Its gradient, which is strong where the discriminator rejects everything.

    Example
    -------
    >>> import numpy as np
    >>> loss, dfake = generator_loss(np.zeros((1, 1)))
    >>> round(float(loss), 4), dfake.tolist()
    (0.6931, [[-0.5]])
    """
    return bce_with_logits(fake, array_module(fake).ones_like(fake), batch_size)


def critic_loss(real, fake, batch_size=None):
    """The loss of a Wasserstein critic (Arjovsky et al. 2017).

        loss = 1/N sum fake - 1/N sum real,   dreal = -1/N,   dfake = 1/N

    Parameters
    ----------
    real, fake : (N, 1) arrays
        Values of real and of generated examples.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Minus the estimate of the Wasserstein distance.
    dreal, dfake : (N, 1) arrays
        Its gradients.

    Example
    -------
    >>> import numpy as np
    >>> loss, dreal, dfake = critic_loss(np.ones((1, 1)), np.zeros((1, 1)))
    >>> float(loss), dreal.tolist(), dfake.tolist()
    (-1.0, [[-1.0]], [[1.0]])
    """
    same_shape("critic_loss", real, fake)
    xp, scale = array_module(real), 1 / examples(real, batch_size)
    return scale * (fake.sum() - real.sum()), xp.full_like(real, -scale), xp.full_like(fake, scale)


def critic_generator_loss(fake, batch_size=None):
    """The loss of the generator under a Wasserstein critic (Arjovsky et al. 2017).

        loss = -1/N sum fake,   dfake = -1/N

    Parameters
    ----------
    fake : (N, 1) array
        Values of generated examples.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Minus the mean value.
    dfake : (N, 1) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> loss, dfake = critic_generator_loss(np.ones((2, 1)))
    >>> float(loss), dfake.tolist()
    (-1.0, [[-0.5], [-0.5]])
    """
    scale = 1 / examples(fake, batch_size)
    return -scale * fake.sum(), array_module(fake).full_like(fake, -scale)


def accuracy(real, fake, batch_size=None):
    """The share of real and generated examples that the discriminator classifies correctly.

        accuracy = 1/(2N) (number of real > 0 + number of fake < 0)

    Parameters
    ----------
    real, fake : (N, 1) arrays
        Logits of real and of generated examples.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    accuracy : () array
        In [0, 1].

    Example
    -------
    >>> import numpy as np
    >>> float(accuracy(np.array([[2.0]]), np.array([[1.0]])))
    0.5
    """
    return (0.5 / examples(real, batch_size)) * ((real > 0).sum() + (fake < 0).sum())
