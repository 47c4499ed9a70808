"""Losses, each with its gradient: (loss, dinput).

Everywhere: summed over features, averaged over the batch, in nats where they are likelihoods, constants included.
`batch_size` is what to divide by where the rows are a part of a larger batch; by default their number.
"""

import math
import numbers

from ..backend import array_module, operations
from ..backend.indices import one_hot, within
from ..batch import examples, same_shape
from ..errors import ConfigError, ShapeError

LOG_2PI = math.log(2 * math.pi)


def mse(prediction, target, batch_size=None):
    """The squared error, summed over features and averaged over the batch.

        loss = 1/N sum (prediction - target)^2,   dprediction = 2 (prediction - target) / N

    Parameters
    ----------
    prediction, target : (N, ...) arrays
        Any units.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        The error in squared units.
    dprediction : (N, ...) array
        Its gradient.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Example
    -------
    >>> import numpy as np
    >>> loss, d = mse(np.array([[1.0, 2.0]]), np.array([[0.0, 2.0]]))
    >>> float(loss), d.tolist()
    (1.0, [[2.0, 0.0]])
    """
    same_shape("mse", prediction, target)
    scale = 1 / examples(prediction, batch_size)
    difference = prediction - target
    return scale * (difference * difference).sum(), (2 * scale) * difference


def l1(prediction, target, batch_size=None):
    """The absolute error, summed over features and averaged over the batch.

        loss = 1/N sum |prediction - target|,   dprediction = sign(prediction - target) / N, 0 where they are equal

    Parameters
    ----------
    prediction, target : (N, ...) arrays
        Any units.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        The error.
    dprediction : (N, ...) array
        Its gradient.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Example
    -------
    >>> import numpy as np
    >>> loss, d = l1(np.array([[1.0, 2.0]]), np.array([[0.0, 2.0]]))
    >>> float(loss), d.tolist()
    (1.0, [[1.0, 0.0]])
    """
    same_shape("l1", prediction, target)
    xp = array_module(prediction)
    scale = 1 / examples(prediction, batch_size)
    difference = prediction - target
    return scale * xp.abs(difference).sum(), scale * xp.sign(difference)


def bce_with_logits(logits, target, batch_size=None):
    """The cross-entropy of Bernoulli distributions given by logits, in nats.

        loss = -1/N sum(x log p + (1 - x) log(1 - p)),   p = sigmoid(logits),   dlogits = (p - x) / N

    Computed from logits, the loss is exact for any logit, to a few roundings of itself, and the gradient to a rounding
    of 1; at an infinite logit both are the limits.

    Parameters
    ----------
    logits : (N, ...) array
        The log odds of each value.
    target : (N, ...) array
        x, in [0, 1].
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Nats.
    dlogits : (N, ...) array
        Its gradient.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Example
    -------
    >>> import numpy as np
    >>> loss, d = bce_with_logits(np.array([[0.0]]), np.array([[1.0]]))
    >>> round(float(loss), 4), d.tolist()
    (0.6931, [[-0.5]])
    """
    same_shape("bce_with_logits", logits, target)
    scale = 1 / examples(logits, batch_size)
    total, dlogits = operations.bce_with_logits(logits, target, scale)
    return scale * total, dlogits


def gaussian_nll(mu, target, logvar=0.0, batch_size=None):
    """The negative log-likelihood of a Gaussian, in nats.

        loss = 1/(2N) sum(log 2 pi + logvar + (mu - x)^2 exp(-logvar))

    Parameters
    ----------
    mu, target : (N, ...) arrays
        The mean, and x.
    logvar : (N, ...) array or float, default 0
        The log variance; a number for a fixed one.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Nats.
    dmu : (N, ...) array
        (mu - x) exp(-logvar) / N.
    dlogvar : (N, ...) array
        (1 - (mu - x)^2 exp(-logvar)) / (2N), if logvar is an array.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Example
    -------
    >>> import numpy as np
    >>> loss, dmu = gaussian_nll(np.array([[1.0]]), np.array([[0.0]]))
    >>> round(float(loss), 4), dmu.tolist()
    (1.4189, [[1.0]])
    """
    same_shape("gaussian_nll", mu, target)
    scale = 1 / examples(mu, batch_size)
    difference = mu - target
    if isinstance(logvar, numbers.Real):
        logvar = float(logvar)
        precision = math.exp(-logvar)
        constant = mu.size * (LOG_2PI + logvar)
        loss = (0.5 * scale) * (precision * (difference * difference).sum() + constant)
        return loss, (scale * precision) * difference
    same_shape("gaussian_nll (logvar)", logvar, target)
    weighted = difference * array_module(mu).exp(-logvar)
    squared = difference * weighted
    loss = (0.5 * scale) * (LOG_2PI + logvar + squared).sum()
    return loss, scale * weighted, (0.5 * scale) * (1 - squared)


def laplace_nll(mu, target, log_scale=0.0, batch_size=None):
    """The negative log-likelihood of a Laplace distribution, in nats.

        loss = 1/N sum(log 2 + log_scale + |mu - x| exp(-log_scale))

    Parameters
    ----------
    mu, target : (N, ...) arrays
        The location, and x.
    log_scale : (N, ...) array or float, default 0
        The logarithm of the scale; a number for a fixed one.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Nats.
    dmu : (N, ...) array
        sign(mu - x) exp(-log_scale) / N.
    dlog_scale : (N, ...) array
        (1 - |mu - x| exp(-log_scale)) / N, if log_scale is an array.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Example
    -------
    >>> import numpy as np
    >>> loss, dmu = laplace_nll(np.array([[1.0]]), np.array([[0.0]]))
    >>> round(float(loss), 4), dmu.tolist()
    (1.6931, [[1.0]])
    """
    same_shape("laplace_nll", mu, target)
    xp = array_module(mu)
    scale = 1 / examples(mu, batch_size)
    difference = mu - target
    if isinstance(log_scale, numbers.Real):
        log_scale = float(log_scale)
        precision = math.exp(-log_scale)
        constant = mu.size * (math.log(2) + log_scale)
        loss = scale * (precision * xp.abs(difference).sum() + constant)
        return loss, (scale * precision) * xp.sign(difference)
    same_shape("laplace_nll (log_scale)", log_scale, target)
    precision = xp.exp(-log_scale)
    distance = xp.abs(difference) * precision
    loss = scale * (math.log(2) + log_scale + distance).sum()
    return loss, scale * xp.sign(difference) * precision, scale * (1 - distance)


def cross_entropy_with_logits(
    logits, labels, batch_size=None, class_weights=None, ignore_index=None, label_smoothing=0.0
):
    """The cross-entropy of a softmax with labels, in nats.

        loss = 1/N sum_n sum_k q_nk (-log p_nk),   p = softmax(logits),   dlogits = (p sum_k q_k - q) / N

    N is the number of examples whatever the weights and the ignored labels; PyTorch divides by the sum of the weights,
    and its reduction="sum" over N is this. With the largest logit m, log p_k = (l_k - m) - log(1 + sum of the others'
    exp(l_j - m)) keeps all digits.

    Parameters
    ----------
    logits : (N, ..., K) array
        The scores of K classes.
    labels : (N, ...) integers in [0, K), or (N, ..., K) probabilities
        q, as integers its one-hot form.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.
    class_weights : (K,) array, optional
        w, by which q_k is multiplied.
    ignore_index : int, optional
        The label of places that do not count.
    label_smoothing : float, default 0
        s in [0, 1]: q becomes (1 - s) q + s / K before weights (Szegedy et al. 2016, section 7).

    Returns
    -------
    loss : () array
        Nats.
    dlogits : (N, ..., K) array
        Its gradient.

    Raises
    ------
    ShapeError
        For shapes that do not fit.
    DataError
        For a label outside [0, K); on a device its loss is NaN.

    Example
    -------
    >>> import numpy as np
    >>> loss, d = cross_entropy_with_logits(np.zeros((1, 2)), np.array([1]))
    >>> round(float(loss), 4), d.tolist()
    (0.6931, [[0.5, -0.5]])
    """
    name, xp = "cross_entropy_with_logits", array_module(logits)
    if logits.ndim < 2 or not logits.shape[-1]:
        raise ShapeError(f"{name}: expected logits (N, ..., K) of one class at least, got {logits.shape}")
    classes = logits.shape[-1]
    hard = labels.dtype.kind in "iu"
    if labels.shape != (logits.shape[:-1] if hard else logits.shape) or labels.dtype.kind not in "iuf":
        raise ShapeError(
            f"{name}: logits {logits.shape} need integer labels {logits.shape[:-1]} or probabilities {logits.shape}, "
            f"got {labels.dtype} {labels.shape}"
        )
    if not hard and ignore_index is not None:
        raise ConfigError(f"{name}: ignore_index goes with integer labels, and these are probabilities")
    if not 0 <= label_smoothing <= 1:
        raise ConfigError(f"{name}: label_smoothing must be in [0, 1], got {label_smoothing}")
    scale = 1 / examples(logits, batch_size)
    if class_weights is not None:
        class_weights = xp.asarray(class_weights, dtype=logits.dtype)
        if class_weights.shape != (classes,):
            raise ShapeError(f"{name}: {classes} classes need as many class_weights, got {class_weights.shape}")

    # (M, K) numbers of which the largest in a row is 0, contiguous, so that a reshape is a view.
    shifted = xp.ascontiguousarray(logits - logits.max(axis=-1, keepdims=True)).reshape(-1, classes)
    mass = None
    if hard:
        labels, mass = _counted(name, labels.reshape(-1), shifted, ignore_index)
    if hard and not label_smoothing:
        if class_weights is not None:
            mass = class_weights[labels] if mass is None else mass * class_weights[labels]
        loss, dlogits = _of_labels(shifted, labels, mass, scale)
    else:
        q = one_hot(labels, classes, logits.dtype, name) if hard else labels.reshape(shifted.shape)
        q = (1 - label_smoothing) * q + label_smoothing / classes
        q = q if class_weights is None else q * class_weights
        loss, dlogits = _of_shares(shifted, q if mass is None else q * mass[:, None], scale)
    return loss, dlogits.reshape(logits.shape)


def _counted(name, labels, shifted, ignore_index):
    """Labels (M,) that are classes all, and how much each counts, or None where each counts 1.

    What is ignored counts 0, and the most probable class stands in its place. What is no class counts NaN.
    """
    xp, mass = array_module(labels), None
    kept = None if ignore_index is None else labels != ignore_index
    labels, known = within(labels if kept is None else xp.where(kept, labels, 0), shifted.shape[1], name)
    if kept is not None:
        labels, mass = xp.where(kept, labels, shifted.argmax(axis=1)), kept.astype(shifted.dtype)
    if known is not None:
        mass = xp.where(known, xp.ones(labels.shape, shifted.dtype) if mass is None else mass, xp.nan)
    return labels, mass


def _of_labels(shifted, labels, mass, scale):
    """The loss where q is `mass` (M,), or 1, at the label. In place: 256 numbers for each pixel are many.

    Where the label is likely, -log p = log(1 + others / own), which keeps the digits that log(own + others) loses.
    """
    xp, place = array_module(shifted), (array_module(shifted).arange(len(shifted)), labels)
    chosen = shifted[place]
    p = xp.exp(shifted, out=shifted)
    totals, own = p.sum(axis=1), p[place]
    p[place] = 0
    others = p.sum(axis=1)
    p[place] = own
    nats = xp.where(own > others, xp.log1p(others / xp.maximum(own, others)), xp.log(totals) - chosen)
    if mass is None:
        p *= (scale / totals)[:, None]
        p[place] -= scale
        return scale * nats.sum(), p
    p *= (scale * mass / totals)[:, None]
    p[place] -= scale * mass
    return scale * (mass * nats).sum(), p


def _of_shares(shifted, q, scale):
    """The loss of any q (M, K): sum_k q_k (log totals - shifted_k). In the totals the largest logit's 1 is apart."""
    xp, place = array_module(shifted), (array_module(shifted).arange(len(shifted)), shifted.argmax(axis=1))
    mass, found = q.sum(axis=1), (q * shifted).sum()
    p = xp.exp(shifted, out=shifted)
    totals = p.sum(axis=1)
    p[place] = 0
    log_totals = xp.log1p(p.sum(axis=1))
    p[place] = 1
    p *= (scale * mass / totals)[:, None]
    p -= scale * q
    return scale * ((mass * log_totals).sum() - found), p
