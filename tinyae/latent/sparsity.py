"""Penalties that keep a code sparse, as functions of what comes before the code's activation: h (N, D).

Each returns (loss, dh).
"""

from ..backend import array_module
from ..batch import examples
from ..layers.activations import sigmoid


def l1_of_code(h, batch_size=None):
    """1/N sum |z| of the code z = relu(h);  dh = 1[h > 0] / N.

    batch_size: what to divide by where the rows are a part of a larger batch.
    """
    scale = 1 / examples(h, batch_size)
    return scale * array_module(h).maximum(h, 0).sum(), scale * (h > 0).astype(h.dtype)


def kl_to_rate(h, rate):
    """sum_j KL(Bernoulli(rate) || Bernoulli(a_j)), a_j = 1/N sum_n s_nj the mean activation of unit j, s = sigmoid(h)

    (Ng 2011, CS294A notes, section 3). In nats, for the whole batch: its mean enters, so the loss of a batch is not
    that of its parts. As ds/dh = s sigmoid(-h):    dh = s sigmoid(-h) ((1 - rate) / (1 - a) - rate / a) / N.
    """
    count = examples(h)
    on, off = sigmoid(h), sigmoid(-h)
    active, idle = on.mean(axis=0), off.mean(axis=0)
    dh = on * off * (((1 - rate) / idle - rate / active) / count)
    return kl_of_activity(active, idle, rate), dh


def kl_of_activity(active, idle, rate):
    """sum_j rate log(rate / active_j) + (1 - rate) log((1 - rate) / idle_j) of mean activations (D,).

    idle is 1 - active, as the mean of sigmoid(-h): so a unit that is nearly always on loses no digits.
    """
    log = array_module(active).log
    return -(rate * log(active / rate) + (1 - rate) * log(idle / (1 - rate))).sum()
