"""Penalties that keep a code sparse, as functions of what comes before the code's activation: h (N, D).

Each returns (loss, dh).
"""

from ..backend import array_module
from ..batch import examples
from ..layers.activations import sigmoid


def l1_of_code(h, batch_size=None):
    """The sum of a code after a rectified linear unit: the L1 penalty (Olshausen & Field 1996).

        loss = 1/N sum |z|,   z = relu(h),   dh = 1[h > 0] / N

    Parameters
    ----------
    h : (N, D) array
        The code before the rectified linear unit.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        The penalty.
    dh : (N, D) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> loss, dh = l1_of_code(np.array([[2.0, -1.0]]))
    >>> float(loss), dh.tolist()
    (2.0, [[1.0, 0.0]])
    """
    scale = 1 / examples(h, batch_size)
    return scale * array_module(h).maximum(h, 0).sum(), scale * (h > 0).astype(h.dtype)


def kl_to_rate(h, rate):
    """The KL divergence of mean activations from a target rate, in nats (Ng 2011, section 3).

        loss = sum_j KL(Bernoulli(rate) || Bernoulli(a_j)),   a_j = 1/N sum_n s_nj,   s = sigmoid(h)

    The mean over the batch enters, so the loss of a batch is not the sum of its parts' losses. As ds/dh = s
    sigmoid(-h): dh = s sigmoid(-h) ((1 - rate) / (1 - a) - rate / a) / N.

    Parameters
    ----------
    h : (N, D) array
        The code before the sigmoid.
    rate : float
        The target of each mean activation, between 0 and 1.

    Returns
    -------
    loss : () array
        Nats, of the whole batch.
    dh : (N, D) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> loss, dh = kl_to_rate(np.zeros((4, 1)), 0.5)
    >>> abs(round(float(loss), 6)), bool(abs(dh).max() < 1e-12)
    (0.0, True)
    """
    count = examples(h)
    on, off = sigmoid(h), sigmoid(-h)
    active, idle = on.mean(axis=0), off.mean(axis=0)
    dh = on * off * (((1 - rate) / idle - rate / active) / count)
    return kl_of_activity(active, idle, rate), dh


def kl_of_activity(active, idle, rate):
    """The penalty of `kl_to_rate` from mean activations.

        sum_j rate log(rate / active_j) + (1 - rate) log((1 - rate) / idle_j)

    Parameters
    ----------
    active, idle : (D,) arrays
        The mean of sigmoid(h), and of sigmoid(-h), which keeps its digits for a unit that is nearly always active.
    rate : float
        The target, between 0 and 1.

    Returns
    -------
    loss : () array
        Nats.

    Example
    -------
    >>> import numpy as np
    >>> abs(round(float(kl_of_activity(np.array([0.5]), np.array([0.5]), 0.5)), 6))
    0.0
    """
    log = array_module(active).log
    return -(rate * log(active / rate) + (1 - rate) * log(idle / (1 - rate))).sum()
