"""The likelihood of data under a variational model: importance-weighted bounds on log p(x); and active units."""

import itertools
import math

import numpy as np

from ..data.examples import as_array
from ..data.labels import as_labels
from ..errors import ConfigError, ShapeError
from ..latent import gaussian
from ..options import MODEL, SEED, Count, options

ACTIVE = 0.01  # the threshold of Burda et al.


class Bound:
    """A lower bound on log p(x) in nats for each of N images, from k samples of q(z|x). Arrays are (N,) float64.

    values          L_k = log 1/k sum_i w_i, with w_i = p(x, z_i) / q(z_i|x) and z_i ~ q(z|x).
                    E L_k <= E L_(k+1) <= log p(x), and L_k -> log p(x).
    elbo            1/k sum_i log w_i, the evidence lower bound from the same samples, at most `values`
    reconstruction  -1/k sum_i log p(x|z_i), a term of -elbo
    kl              -elbo - reconstruction, an estimate of KL(q(z|x) || p(z))
    effective       (sum w)^2 / sum w^2, the effective sample size, from 1 to k
    samples         k

    References
    ----------
    Burda, Grosse & Salakhutdinov 2016, Importance Weighted Autoencoders, equation 8 and theorem 1.
    """

    def __init__(self, values, elbo, reconstruction, effective, samples):
        self.values, self.elbo, self.reconstruction, self.effective = values, elbo, reconstruction, effective
        self.samples = samples

    @property
    def kl(self):
        return -self.elbo - self.reconstruction

    @property
    def mean(self):
        """The mean of `values` over the images."""
        return float(self.values.mean())

    @property
    def standard_error(self):
        """The standard error of the mean, s / sqrt(N), for images that are a sample of all possible ones."""
        return standard_error(self.values)

    @property
    def monte_carlo_error(self):
        """The standard error of the mean for another seed of the samples; None for k = 1.

        By the delta method, Var log w_mean = Var w / (k w_mean^2) = (k / effective - 1) / (k - 1) for each image. Half
        of it is also about the difference between log p(x) and L_k. Both hold if `effective` is well above 1.
        """
        if self.samples == 1:
            return None
        variances = (self.samples / self.effective - 1) / (self.samples - 1)
        return math.sqrt(max(0.0, float(variances.sum()))) / len(variances)


@options(model=MODEL, samples=Count(1, None), seed=SEED)
def importance_weighted(model, x, samples, labels=None, seed=0):
    """A lower bound on log p(x) for each image, by importance sampling with k samples of q(z|x).

    Sample i of image n depends only on (seed, i, n): results do not depend on the size of mini-batches, and a larger k
    keeps the samples of a smaller one. The memory does not grow with N or k.

    Parameters
    ----------
    model : Model
        A variational model.
    x : (N, ...) array
        Images or rows.
    samples : int
        k, the number of samples for each image.
    labels : (N,) array, optional
        Labels, for a model that takes labels.
    seed : int, default 0
        Seed of the noise.

    Returns
    -------
    bound : Bound

    Raises
    ------
    ConfigError
        If the model has no likelihood.

    References
    ----------
    Burda, Grosse & Salakhutdinov 2016, Importance Weighted Autoencoders, equation 8.

    Example
    -------
    >>> from tinyae.models import VAE
    >>> model = VAE(hidden=(8,), input_shape=(4, 4, 1))
    >>> importance_weighted(model, np.zeros((3, 4, 4, 1), np.float32), 10).values.shape
    (3,)
    """
    check_density(model)
    x = model.admit(x)
    batch = model.admit_batch({"x": x} if labels is None else {"x": x, "labels": as_labels(labels, len(x))})
    parts = []
    for first in range(0, len(x), model.chunk):
        part = model.prepare({name: array[first : first + model.chunk] for name, array in batch.items()})
        rows = first, first + len(part["x"]), len(x)
        noises = (model.backend.noise(seed, i).child("importance").rows(*rows) for i in range(samples))
        parts.append(model.backend.to_host(_bound(model, part, samples, noises)))
    return Bound(*np.concatenate(parts, axis=1), samples)


def _bound(model, batch, samples, noises):
    """L_k, the ELBO, its reconstruction term and the effective sample size for each example of a batch, (4, n).

    noises: an iterator with a Noise for each sample.
    """
    xp, count = model.backend.xp, len(batch["x"])
    mu, logvar = model.infer(batch)
    together = max(1, model.chunk // count)  # samples in one pass, more if there are few examples
    most = xp.full(count, -math.inf)  # the largest log w so far; the sums below are of w / exp(most)
    total, squares, logs, seen = (xp.zeros(count) for _ in range(4))
    while part := list(itertools.islice(noises, together)):
        log_w, log_p = _log_weights(model, batch, mu, logvar, part)
        before, most = most, xp.maximum(most, log_w.max(axis=0))
        shrink, w = xp.exp(before - most), xp.exp(log_w - most)
        total = shrink * total + w.sum(axis=0)
        squares = shrink * shrink * squares + (w * w).sum(axis=0)
        logs += log_w.sum(axis=0)
        seen += log_p.sum(axis=0)
    return xp.stack([most + xp.log(total / samples), logs / samples, -seen / samples, total * total / squares])


def _log_weights(model, batch, mu, logvar, noises):
    """log w = log p(x|z) + log p(z) - log q(z|x), and its first term, for a sample from each noise: (draws, n)."""
    xp, draws = model.backend.xp, len(noises)
    epsilon = xp.concatenate([noise.normal("z", mu.shape, mu.dtype) for noise in noises])
    if draws > 1:
        mu, logvar = (xp.tile(a, (draws, 1)) for a in (mu, logvar))
        batch = {name: xp.concatenate([array] * draws) for name, array in batch.items()}
    z, _ = gaussian.sample(mu, logvar, epsilon)
    log_p = model.log_likelihood(batch, z)
    log_w = log_p + model.log_prior(batch, z) - gaussian.log_density(z, mu, logvar)
    return (a.astype("float64").reshape(draws, -1) for a in (log_w, log_p))


@options(model=MODEL)
def active_units(model, x, labels=None):
    """The active dimensions of the code: those whose posterior mean varies with x.

        Var_x mu(x) > 0.01      (Burda et al. 2016, section 5.2)

    Returns (active, variance): booleans (D,), and Var_x mu(x), (D,).
    """
    check_density(model)
    variance = model.posterior(x, **model.label_arguments(labels))[0].var(axis=0, dtype="float64")
    return variance > ACTIVE, variance


def standard_error(values):
    """The standard error s / sqrt(N) of the mean of numbers (N,), with s over N - 1; 0 for N = 1."""
    values = as_array(values, "values")
    if values.ndim != 1 or not values.size:
        raise ShapeError(f"standard_error: expected numbers (N,), got an array of shape {values.shape}")
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


@options(model=MODEL)
def check_density(model):
    """Raise ConfigError for a model without q(z|x) and p(x|z)."""
    if not model.density:
        raise ConfigError(f"{model.name} has no likelihood p(x): use a variational model such as 'vae'")
