"""A Gaussian mixture as the prior: p(y) = 1/K, p(z|y) = N(means_y, I), with the class y inferred from z by q(y|z).

For q(z, y|x) = q(z|x) q(y|z) the KL to the prior falls into two parts (Jiang et al. 2017, "Variational deep embedding",
section 3.2, with q(y|z) a network of its own):

    E_q(z|x)[ sum_y q(y|z) (log q(z|x) - log p(z|y)) ]   kl_to_mixture, at one draw of z
  + E_q(z|x)[ KL(q(y|z) || 1/K) ]                        kl_to_uniform

q(y|z) = softmax(logits), logits (N, K). Means over the batch, nats, and `batch_size` as in `gaussian`.
"""

import math

from ..backend import array_module
from ..batch import examples, same_shape
from ..errors import ShapeError


def softmax(logits):
    """The softmax over the last axis, and its logarithm.

        q = exp(l) / sum exp(l),   computed with the largest logit subtracted, so that no exponential overflows

    Parameters
    ----------
    logits : (..., K) array
        Scores.

    Returns
    -------
    q, log_q : (..., K) arrays
        Probabilities and their logarithms.

    Example
    -------
    >>> import numpy as np
    >>> softmax(np.array([[0.0, 0.0]]))[0].tolist()
    [[0.5, 0.5]]
    """
    xp = array_module(logits)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_q = shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))
    return xp.exp(log_q), log_q


def softmax_backward(q, dq):
    """The gradient of `softmax` by its logits.

        dlogits = q (dq - sum_y q_y dq_y),   as dq_y / dlogits_k = q_y (1[y = k] - q_k)

    Parameters
    ----------
    q, dq : (..., K) arrays
        Probabilities, and their gradient.

    Returns
    -------
    dlogits : (..., K) array
        The gradient of the logits.

    Example
    -------
    >>> import numpy as np
    >>> softmax_backward(np.array([0.5, 0.5]), np.array([1.0, 0.0])).tolist()
    [0.25, -0.25]
    """
    same_shape("softmax_backward", q, dq)
    return q * (dq - (q * dq).sum(axis=-1, keepdims=True))


def kl_to_mixture(z, logvar, logits, means, batch_size=None):
    """The expected KL divergence of a code from its cluster in a Gaussian mixture, in nats.

        kl = 1/N sum_n ( sum_y q_ny e_ny - 1/2 sum_d (1 + logvar_nd) ),   e_ny = 1/2 |z_n - means_y|^2

    The expectation of log q(z|x) is exact instead of taken from the sample: -1/2 sum(1 + logvar), and log(2 pi), which
    cancels with the one of p(z|y). So with one class the mean over z is `gaussian.kl_to_mean`.

    As sum_y q_ny = 1:   dz = (z - q means) / N;   dmeans_y = sum_n q_ny (means_y - z_n) / N;   dq = e / N; dlogvar = -1
    / (2N).

    Parameters
    ----------
    z : (N, D) array
        A sample of N(mu, exp(logvar)).
    logvar : (N, D) array
        The log variance of q(z|x).
    logits : (N, K) array
        The logits of q(y|z).
    means : (K, D) array
        The means of the clusters.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    kl : () array
        Nats.
    dz, dlogvar, dlogits, dmeans : arrays
        Its gradients. dlogvar is the direct part; the other part flows through z.

    Example
    -------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> float(kl_to_mixture(one, 0 * one, one, one)[0])
    -0.5
    """
    same_shape("kl_to_mixture", z, logvar)
    if logits.shape != (len(z), len(means)) or means.shape[1:] != z.shape[1:]:
        raise ShapeError(f"kl_to_mixture: z {z.shape} and means {means.shape} do not go with logits {logits.shape}")
    xp = array_module(z)
    scale = 1 / examples(z, batch_size)
    q, _ = softmax(logits)
    offset = z[:, None, :] - means
    distance = 0.5 * (offset * offset).sum(axis=2)
    kl = scale * ((q * distance).sum() - 0.5 * (1 + logvar).sum())
    dz = scale * (z - q @ means)
    dmeans = scale * (q.sum(axis=0)[:, None] * means - q.T @ z)
    return kl, dz, xp.full_like(logvar, -0.5 * scale), softmax_backward(q, scale * distance), dmeans


def kl_to_uniform(logits, batch_size=None):
    """The KL divergence of class probabilities from the uniform distribution, in nats.

        kl = 1/N sum_n (log K + sum_y q_ny log q_ny),   dq = (log q + 1) / N,   q = softmax(logits)

    Parameters
    ----------
    logits : (N, K) array
        Scores of K classes.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    kl : () array
        Nats.
    dlogits : (N, K) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> kl, dlogits = kl_to_uniform(np.zeros((1, 2)))
    >>> abs(float(kl)), dlogits.tolist()
    (0.0, [[0.0, 0.0]])
    """
    scale = 1 / examples(logits, batch_size)
    q, log_q = softmax(logits)
    kl = scale * (q * (log_q + math.log(logits.shape[-1]))).sum()
    return kl, softmax_backward(q, scale * log_q)  # the 1 falls out, as sum_y q_y (1 - 1) = 0
