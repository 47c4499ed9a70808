"""How likely a variational model finds data: importance-weighted bounds on log p(x), and which dimensions it uses."""

import itertools
import math

import numpy as np

from ..data.examples import as_array
from ..data.labels import as_labels
from ..errors import ConfigError, ShapeError
from ..latent import gaussian
from ..options import MODEL, SEED, Count, options

ACTIVE = 0.01  # Burda et al.'s threshold


class Bound:
    """An estimate of log p(x) for each of N images from `samples` draws each, in nats; all arrays are (N,) float64.

    values: L_k = log 1/k sum_i w_i, with w_i = p(x, z_i) / q(z_i|x) and z_i ~ q(z|x). E L_k <= E L_(k+1) <= log p(x),
      and L_k -> log p(x)   (Burda, Grosse & Salakhutdinov 2016, equation 8 and theorem 1).
    elbo: 1/k sum_i log w_i, the evidence lower bound, from the same draws; never above `values`. Its terms:
      reconstruction, -1/k sum_i log p(x|z_i), and kl, the rest, an estimate of KL(q(z|x) || p(z)).
    effective: (sum w)^2 / sum w^2, how many equally heavy draws would say as much, from 1 to k.
    """

    def __init__(self, values, elbo, reconstruction, effective, samples):
        self.values, self.elbo, self.reconstruction, self.effective = values, elbo, reconstruction, effective
        self.samples = samples

    @property
    def kl(self):
        return -self.elbo - self.reconstruction

    @property
    def mean(self):
        """Of `values`, over the images."""
        return float(self.values.mean())

    @property
    def standard_error(self):
        """Of the mean, since the images are a sample of all there could be: s / sqrt(N)."""
        return standard_error(self.values)

    @property
    def monte_carlo_error(self):
        """Of the mean, since the draws are a sample: what another seed would change. None from a single draw.

        By the delta method Var log w_mean = Var w / (k w_mean^2) = (k / effective - 1) / (k - 1) for an image; half of
        that is also about how far L_k stays below log p(x). Both hold where `effective` is well above 1.
        """
        if self.samples == 1:
            return None
        variances = (self.samples / self.effective - 1) / (self.samples - 1)
        return math.sqrt(max(0.0, float(variances.sum()))) / len(variances)


@options(model=MODEL, samples=Count(1, None), seed=SEED)
def importance_weighted(model, x, samples, labels=None, seed=0):
    """The `Bound` on log p(x) of each image from `samples` draws of q(z|x), in memory that depends on neither number.

    x (N, ...), labels (N,) where the model needs them. Draw i of image n is noise of (seed, i, n) alone: the same for
    any size of the parts in which this is computed, and a larger `samples` goes on where a smaller one ends.
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
    """(4, n): L_k, the ELBO, its reconstruction and the effective number of draws for each example of a batch.

    noises: an iterator of one Noise per draw.
    """
    xp, count = model.backend.xp, len(batch["x"])
    mu, logvar = model.infer(batch)
    together = max(1, model.chunk // count)  # draws in one pass, where there are few examples
    most = xp.full(count, -math.inf)  # the largest log w so far; sums are those of w / exp(most)
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
    """log w = log p(x|z) + log p(z) - log q(z|x), and its first term, for a draw of each noise: (draws, n) float64."""
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
    """(active, variance): which dimensions vary with x, (D,) booleans, and Var_x of mu(x), (D,).

    A dimension is active where Var_x E_q[z] > 0.01 (Burda et al. 2016, section 5.2); the others carry next to nothing.
    """
    check_density(model)
    variance = model.posterior(x, **model.label_arguments(labels))[0].var(axis=0, dtype="float64")
    return variance > ACTIVE, variance


def standard_error(values):
    """s / sqrt(N) of the mean of N numbers (N,), s with N - 1; 0 of a single one. Raises `ShapeError`."""
    values = as_array(values, "values")
    if values.ndim != 1 or not values.size:
        raise ShapeError(f"standard_error: expected numbers (N,), got an array of shape {values.shape}")
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


@options(model=MODEL)
def check_density(model):
    """Refuse a model without q(z|x) and p(x|z)."""
    if not model.density:
        raise ConfigError(f"{model.name} has no likelihood p(x): use a variational model such as 'vae'")
