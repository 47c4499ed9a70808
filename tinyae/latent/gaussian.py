"""The diagonal Gaussian between encoder and decoder: N(mu, exp(logvar)), `logvar` the log variance.

Arrays are (N, D). Each KL is summed over the D dimensions and averaged over the batch, in nats, and comes with its
gradients. `batch_size` is what to divide by where the rows are a part of a larger batch; by default their number.
"""

import math

from ..backend import array_module
from ..batch import examples, same_shape
from ..losses import LOG_2PI


def sample(mu, logvar, noise):
    """Samples codes by the reparameterisation (Kingma & Welling 2014, section 2.4).

        z = mu + sigma noise,   sigma = exp(logvar / 2)

    Parameters
    ----------
    mu, logvar : (N, D) arrays
        Mean and log variance; (N, 1, D) for K samples of each code.
    noise : (N, D) or (N, K, D) array
        Standard normal, a number for each number of z.

    Returns
    -------
    z : array
        The samples, in the shape of the noise.
    cache : tuple
        The argument of `sample_backward`.

    Example
    -------
    >>> import numpy as np
    >>> z, cache = sample(np.array([[1.0]]), np.array([[0.0]]), np.array([[2.0]]))
    >>> z.tolist(), [d.tolist() for d in sample_backward(cache, np.array([[1.0]]))]
    ([[3.0]], [[[1.0]], [[1.0]]])
    """
    same_shape("sample", mu, logvar)
    sigma = array_module(mu).exp(0.5 * logvar)
    scaled = sigma * noise
    same_shape("sample: every number of z takes a noise of its own", scaled, noise)
    return mu + scaled, scaled


def sample_backward(cache, dz):
    """The gradients of `sample`.

        dmu = dz,   dlogvar = dz noise sigma / 2,   as d sigma / d logvar = sigma / 2

    Parameters
    ----------
    cache : tuple
        As `sample` returns it.
    dz : array
        The gradient of z.

    Returns
    -------
    dmu, dlogvar : arrays
        In the shape of z.

    Example
    -------
    >>> import numpy as np
    >>> _, cache = sample(np.array([[1.0]]), np.array([[0.0]]), np.array([[2.0]]))
    >>> sample_backward(cache, np.array([[3.0]]))[1].tolist()
    [[3.0]]
    """
    same_shape("sample_backward", cache, dz)
    return dz, 0.5 * dz * cache


def kl_standard(mu, logvar, batch_size=None):
    """The KL divergence of a diagonal Gaussian from N(0, I), in nats (Kingma & Welling 2014, appendix B).

        kl = 1/(2N) sum(mu^2 + exp(logvar) - 1 - logvar),   dmu = mu / N,   dlogvar = (exp(logvar) - 1) / (2N)

    Parameters
    ----------
    mu, logvar : (N, D) arrays
        Mean and log variance of q.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    kl : () array
        Nats.
    dmu, dlogvar : (N, D) arrays
        Its gradients.

    Example
    -------
    >>> import numpy as np
    >>> kl, dmu, dlogvar = kl_standard(np.array([[1.0]]), np.array([[0.0]]))
    >>> float(kl), dmu.tolist(), dlogvar.tolist()
    (0.5, [[1.0]], [[0.0]])
    """
    return kl_to_mean(mu, logvar, 0.0, batch_size)[:3]


def kl_to_mean(mu, logvar, prior_mu, batch_size=None):
    """The KL divergence of a diagonal Gaussian from N(prior_mu, I), in nats.

        kl = 1/(2N) sum((mu - prior_mu)^2 + exp(logvar) - 1 - logvar),   dmu = -dprior_mu = (mu - prior_mu) / N

    Parameters
    ----------
    mu, logvar : (N, D) arrays
        Mean and log variance of q.
    prior_mu : (N, D) array
        The mean of the prior.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    kl : () array
        Nats.
    dmu, dlogvar, dprior_mu : (N, D) arrays
        Its gradients.

    Example
    -------
    >>> import numpy as np
    >>> kl, dmu, _, dprior = kl_to_mean(np.array([[1.0]]), np.array([[0.0]]), np.array([[3.0]]))
    >>> float(kl), dmu.tolist(), dprior.tolist()
    (2.0, [[-2.0]], [[2.0]])
    """
    same_shape("kl_to_mean", mu, logvar, *([] if isinstance(prior_mu, (int, float)) else [prior_mu]))
    scale = 1 / examples(mu, batch_size)
    # expm1: exp(logvar) - 1 without cancellation near the prior, where both the KL and its gradient vanish.
    growth = array_module(mu).expm1(logvar)
    offset = mu - prior_mu
    kl = (0.5 * scale) * (offset * offset + growth - logvar).sum()
    dmu = scale * offset
    return kl, dmu, (0.5 * scale) * growth, -dmu


def kl_elements(mu, logvar, prior_mu=0.0):
    """The KL divergence of `kl_to_mean` by example and dimension: independent dimensions add up.

        kl = 1/2 ((mu - prior_mu)^2 + exp(logvar) - 1 - logvar)

    Parameters
    ----------
    mu, logvar : (N, D) arrays
        Mean and log variance of q.
    prior_mu : (N, D) array or float, default 0
        The mean of the prior.

    Returns
    -------
    kl : (N, D) array
        Nats.

    Example
    -------
    >>> import numpy as np
    >>> kl_elements(np.array([[1.0, 0.0]]), np.zeros((1, 2))).tolist()
    [[0.5, 0.0]]
    """
    offset = mu - prior_mu
    return 0.5 * (offset * offset + array_module(mu).expm1(logvar) - logvar)


def kl_between(mu, logvar, prior_mu, prior_logvar, batch_size=None):
    """The KL divergence between two diagonal Gaussians, in nats.

        kl = 1/(2N) sum(r + (mu - prior_mu)^2 w - 1 - log r),   w = exp(-prior_logvar),   r = exp(logvar - prior_logvar)

    dmu = w (mu - prior_mu) / N = -dprior_mu;  dlogvar = (r - 1) / (2N); dprior_logvar = (1 - r - (mu - prior_mu)^2 w) /
    (2N).

    Parameters
    ----------
    mu, logvar : (N, D) arrays
        Mean and log variance of q.
    prior_mu, prior_logvar : (N, D) arrays
        Mean and log variance of p.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    kl : () array
        Nats.
    dmu, dlogvar, dprior_mu, dprior_logvar : (N, D) arrays
        Its gradients.

    Example
    -------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> float(kl_between(one, one, one, one)[0])
    0.0
    """
    same_shape("kl_between", mu, logvar, prior_mu, prior_logvar)
    xp = array_module(mu)
    scale = 1 / examples(mu, batch_size)
    log_ratio = logvar - prior_logvar
    growth = xp.expm1(log_ratio)
    offset = mu - prior_mu
    weighted = offset * xp.exp(-prior_logvar)
    squared = offset * weighted
    kl = (0.5 * scale) * (growth - log_ratio + squared).sum()
    dmu = scale * weighted
    return kl, dmu, (0.5 * scale) * growth, -dmu, (-0.5 * scale) * (growth + squared)


def log_density(z, mu, logvar):
    """The log density of a diagonal Gaussian, in nats.

        log N(z | mu, exp(logvar)) = -1/2 sum(log 2 pi + logvar + (z - mu)^2 exp(-logvar))

    Parameters
    ----------
    z : (N, D) array
        Points.
    mu, logvar : (N, D) arrays or floats
        Mean and log variance.

    Returns
    -------
    log_density : (N,) array
        Nats, summed over the last axis.

    Example
    -------
    >>> import numpy as np
    >>> log_density(np.zeros((1, 2)), 0.0, 0.0).round(4).tolist()
    [-1.8379]
    """
    precision = math.exp(-logvar) if isinstance(logvar, (int, float)) else array_module(z).exp(-logvar)
    return -0.5 * (LOG_2PI + logvar + (z - mu) ** 2 * precision).sum(axis=-1)
