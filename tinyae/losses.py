"""Losses, each with its gradient: (loss, dinput).

Everywhere: summed over features, averaged over the batch, in nats where they are likelihoods, constants included.
`batch_size` is what to divide by where the rows are a part of a larger batch; by default their number.
"""

import math

from .backend import array_module, primitives
from .errors import ShapeError

LOG_2PI = math.log(2 * math.pi)


def _check(name, prediction, target):
    if prediction.shape != target.shape:
        raise ShapeError(f"{name}: prediction {prediction.shape} and target {target.shape} must have one shape")


def mse(prediction, target, batch_size=None):
    """1/N sum (prediction - target)^2;  d = 2 (prediction - target) / N.   (N, ...) -> ((), (N, ...))."""
    _check("mse", prediction, target)
    scale = 1 / (batch_size or prediction.shape[0])
    difference = prediction - target
    return scale * (difference * difference).sum(), (2 * scale) * difference


def l1(prediction, target, batch_size=None):
    """1/N sum |prediction - target|;  d = sign(prediction - target) / N, 0 where they are equal."""
    _check("l1", prediction, target)
    xp = array_module(prediction)
    scale = 1 / (batch_size or prediction.shape[0])
    difference = prediction - target
    return scale * xp.abs(difference).sum(), scale * xp.sign(difference)


def bce_with_logits(logits, target, batch_size=None):
    """-1/N sum(x log p + (1 - x) log(1 - p)), p = sigmoid(logits), x the target in [0, 1];  d = (p - x) / N.

    The negative log-likelihood of a Bernoulli. From logits, so it is exact for any finite logit.
    """
    _check("bce_with_logits", logits, target)
    scale = 1 / (batch_size or logits.shape[0])
    total, dlogits = primitives.bce_with_logits(logits, target, scale)
    return scale * total, dlogits


def gaussian_nll(mu, target, logvar=0.0, batch_size=None):
    """1/(2N) sum(log 2 pi + logvar + (mu - x)^2 exp(-logvar)).

    logvar: an array of mu's shape, or a number for a fixed variance.
    dmu = (mu - x) exp(-logvar) / N;  dlogvar = (1 - (mu - x)^2 exp(-logvar)) / (2 N).
    Returns (loss, dmu), and with an array (loss, dmu, dlogvar).
    """
    _check("gaussian_nll", mu, target)
    scale = 1 / (batch_size or mu.shape[0])
    difference = mu - target
    if isinstance(logvar, (int, float)):
        precision = math.exp(-logvar)
        constant = mu.size * (LOG_2PI + logvar)
        loss = (0.5 * scale) * (precision * (difference * difference).sum() + constant)
        return loss, (scale * precision) * difference
    _check("gaussian_nll (logvar)", logvar, target)
    weighted = difference * array_module(mu).exp(-logvar)
    squared = difference * weighted
    loss = (0.5 * scale) * (LOG_2PI + logvar + squared).sum()
    return loss, scale * weighted, (0.5 * scale) * (1 - squared)


def laplace_nll(mu, target, log_scale=0.0, batch_size=None):
    """1/N sum(log 2 + log_scale + |mu - x| exp(-log_scale)).

    log_scale: an array of mu's shape, or a number for a fixed scale.
    dmu = sign(mu - x) exp(-log_scale) / N;  dlog_scale = (1 - |mu - x| exp(-log_scale)) / N.
    Returns (loss, dmu), and with an array (loss, dmu, dlog_scale).
    """
    _check("laplace_nll", mu, target)
    xp = array_module(mu)
    scale = 1 / (batch_size or mu.shape[0])
    difference = mu - target
    if isinstance(log_scale, (int, float)):
        precision = math.exp(-log_scale)
        constant = mu.size * (math.log(2) + log_scale)
        loss = scale * (precision * xp.abs(difference).sum() + constant)
        return loss, (scale * precision) * xp.sign(difference)
    _check("laplace_nll (log_scale)", log_scale, target)
    precision = xp.exp(-log_scale)
    distance = xp.abs(difference) * precision
    loss = scale * (math.log(2) + log_scale + distance).sum()
    return loss, scale * xp.sign(difference) * precision, scale * (1 - distance)


def cross_entropy_with_logits(logits, labels, batch_size=None):
    """-1/N sum log softmax(logits)[label];  d = (softmax(logits) - onehot(label)) / N.

    logits (N, ..., K), labels integers (N, ...) in [0, K). The largest logit is subtracted first: all are safe.
    """
    xp = array_module(logits)
    if logits.shape[:-1] != labels.shape or labels.dtype.kind not in "iu":
        raise ShapeError(
            f"cross_entropy_with_logits: logits {logits.shape} need integer labels {logits.shape[:-1]}, "
            f"got {labels.dtype} {labels.shape}"
        )
    scale = 1 / (batch_size or logits.shape[0])
    shifted = xp.ascontiguousarray(logits - logits.max(axis=-1, keepdims=True))  # so that reshape is a view
    place = xp.arange(labels.size), labels.reshape(-1)
    chosen = shifted.reshape(-1, logits.shape[-1])[place]
    dlogits = xp.exp(shifted, out=shifted)  # in place from here on: 256 numbers for each pixel are many
    totals = dlogits.sum(axis=-1, keepdims=True)
    dlogits *= scale / totals
    dlogits.reshape(-1, logits.shape[-1])[place] -= scale
    return scale * (xp.log(totals).sum() - chosen.sum()), dlogits
