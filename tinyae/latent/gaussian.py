"""The diagonal Gaussian between encoder and decoder: N(mu, exp(logvar)), `logvar` the log variance.

Arrays are (N, D). Each KL is summed over the D dimensions and averaged over the batch, in nats, and comes with its
gradients. `batch_size` is what to divide by where the rows are a part of a larger batch; by default their number.
"""

import math

from ..backend import array_module
from ..batch import examples, same_shape
from ..losses import LOG_2PI


def sample(mu, logvar, noise):
    """z = mu + sigma noise, sigma = exp(logvar / 2): the reparameterisation (Kingma & Welling 2014, section 2.4).

    noise: standard normal, (N, D), of its own for each number of z; or (N, K, D) beside (N, 1, D), for K draws of each
    code. Returns (z, cache).
    """
    same_shape("sample", mu, logvar)
    sigma = array_module(mu).exp(0.5 * logvar)
    scaled = sigma * noise
    same_shape("sample: every number of z takes a noise of its own", scaled, noise)
    return mu + scaled, scaled


def sample_backward(cache, dz):
    """dmu = dz;  dlogvar = dz noise sigma / 2, as d sigma / d logvar = sigma / 2. Returns (dmu, dlogvar)."""
    same_shape("sample_backward", cache, dz)
    return dz, 0.5 * dz * cache


def kl_standard(mu, logvar, batch_size=None):
    """KL(N(mu, exp(logvar)) || N(0, I)) = 1/2 sum(mu^2 + exp(logvar) - 1 - logvar)   (Kingma & Welling 2014).

    Their appendix B.  dmu = mu / N;  dlogvar = (exp(logvar) - 1) / (2 N). Returns (kl, dmu, dlogvar).
    """
    return kl_to_mean(mu, logvar, 0.0, batch_size)[:3]


def kl_to_mean(mu, logvar, prior_mu, batch_size=None):
    """KL(N(mu, exp(logvar)) || N(prior_mu, I)) = 1/2 sum((mu - prior_mu)^2 + exp(logvar) - 1 - logvar).

    dprior_mu = -dmu = (prior_mu - mu) / N. Returns (kl, dmu, dlogvar, dprior_mu).
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
    """The KL of `kl_to_mean` by example and dimension, (N, D): independent dimensions add up."""
    offset = mu - prior_mu
    return 0.5 * (offset * offset + array_module(mu).expm1(logvar) - logvar)


def kl_between(mu, logvar, prior_mu, prior_logvar, batch_size=None):
    """KL between two diagonal Gaussians, q = N(mu, exp(logvar)) and p = N(prior_mu, exp(prior_logvar)):

        1/2 sum(r + (mu - prior_mu)^2 w - 1 - log r),   w = exp(-prior_logvar),   r = exp(logvar - prior_logvar)

    dmu = w (mu - prior_mu) / N = -dprior_mu;  dlogvar = (r - 1) / (2 N);
    dprior_logvar = (1 - r - (mu - prior_mu)^2 w) / (2 N).
    Returns (kl, dmu, dlogvar, dprior_mu, dprior_logvar).
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
    """log N(z | mu, exp(logvar)) in nats, summed over the last axis: (N, D) -> (N,).

    mu, logvar: arrays, or numbers for all of z.
    """
    precision = math.exp(-logvar) if isinstance(logvar, (int, float)) else array_module(z).exp(-logvar)
    return -0.5 * (LOG_2PI + logvar + (z - mu) ** 2 * precision).sum(axis=-1)
