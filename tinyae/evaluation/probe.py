"""The linear probe: a linear classifier of codes, whose accuracy measures how well codes separate classes."""

import warnings

import numpy as np

from ..data.examples import as_points
from ..data.labels import as_labels, check_classes
from ..errors import ConfigError, DataError, ShapeError
from ..latent.mixture import softmax
from ..options import Count, options

DECAY = 1e-4
TOLERANCE = 1e-6  # `fit` has converged if no component of the gradient is larger
STEPS, PRODUCTS = 100, 200  # largest numbers of Newton steps, and of Hessian products in a step


class LinearProbe:
    """Multinomial logistic regression on codes.

        p(class | z) = softmax(z W + b)      z the codes, scaled to mean 0 and variance 1

    `fit` minimises the mean cross-entropy plus DECAY / 2 |W|^2 by Newton's method. That is a convex problem without any
    randomness, so the result depends only on codes and labels. A class without examples has probability 0. If a
    component of the gradient is still above TOLERANCE after STEPS steps, `converged` is False and a RuntimeWarning is
    given.

    Parameters
    ----------
    classes : int
        The number of classes.

    Example
    -------
    >>> probe = LinearProbe(2).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    >>> probe.predict([[0.4], [2.9]]).tolist(), probe.score([[0.4], [2.9]], [0, 0])
    ([0, 1], 0.5)
    """

    converged = True
    mean = None  # the mean of the codes that `fit` was given

    @options(classes=Count())
    def __init__(self, classes):
        self.classes = classes

    def fit(self, codes, labels):
        """Fit codes (N, D) to labels, integers (N,) in [0, classes); returns self."""
        z, labels = self._prepare(codes, labels)
        self.seen, labels = np.unique(labels, return_inverse=True)
        z = np.append(z, np.ones((len(z), 1)), axis=1)  # (N, D + 1), so the last row of the weights is b
        self.weights, self.converged = minimise(z, labels, len(self.seen))
        if not self.converged:
            warnings.warn(f"the linear probe did not converge in {STEPS} steps", RuntimeWarning, stacklevel=2)
        return self

    def logits(self, codes):
        """The logits, log p(class | z) up to a constant in each row: (N, D) -> (N, classes)."""
        z = self._scaled(as_points(codes, "the codes"))
        logits = np.full((len(z), self.classes), -np.inf)
        logits[:, self.seen] = z @ self.weights[:-1] + self.weights[-1]
        return logits

    def predict(self, codes):
        """The most probable class of each code: (N, D) -> (N,)."""
        return self.logits(codes).argmax(axis=1)

    def score(self, codes, labels):
        """The accuracy: the share of codes (N, D) whose predicted class is the label (N,)."""
        predicted = self.predict(codes)
        return float((predicted == self._known(labels, len(predicted))).mean())

    def _prepare(self, codes, labels):
        """(scaled codes, labels) as arrays. Raises an error for data that a probe cannot be fitted to."""
        if labels is None:
            raise DataError("a probe needs labels, and there are none: give labelled data")
        codes, labels = as_points(codes, "the codes"), as_labels(labels, who="a probe")
        if labels.shape != codes.shape[:1]:
            raise ShapeError(f"a probe needs codes (N, D) and labels (N,), got {codes.shape} and {labels.shape}")
        labels = self._known(labels, len(codes))
        if len(np.unique(labels)) < 2:
            raise DataError("a probe needs examples of at least two classes")
        self.mean, deviation = codes.mean(axis=0), codes.std(axis=0)
        self.scale = 1 / np.where(deviation > 0, deviation, 1)  # a constant dimension becomes 0
        return self._scaled(codes), labels

    def _known(self, labels, count):
        labels = as_labels(labels, count, "a probe")
        check_classes(labels, self.classes, "a probe")
        return labels

    def _scaled(self, codes):
        if self.mean is None:
            raise ConfigError(f"{type(self).__name__} is not fitted: call fit(codes, labels) first")
        if codes.shape[1:] != self.mean.shape:
            raise ShapeError(f"the probe was fitted to codes (N, {len(self.mean)}), got {codes.shape}")
        return (codes - self.mean) * self.scale


def minimise(z, labels, classes):
    """Minimise the mean cross-entropy of softmax(z W) plus the penalty, which omits the last row of W.

    Returns (W (D, C), whether it has converged). The method is truncated Newton from W = 0 (Nocedal & Wright 2006,
    algorithm 7.1). With p = softmax(z W), y one-hot and N rows z, the gradient and the Hessian's product with V are

        G = z^T (p - y) / N + DECAY W           H V = z^T (p (u - sum_c p u)) / N + DECAY V,   u = z V      (D, C)
    """
    n, decay = len(z), np.full((z.shape[1], 1), DECAY)
    decay[-1] = 0
    one_hot = (labels[:, None] == np.arange(classes)).astype(z.dtype)

    def objective(w):
        p, log_p = softmax(z @ w)
        return 0.5 * (decay * w * w).sum() - (one_hot * log_p).sum() / n, p

    w = np.zeros((z.shape[1], classes))
    value, p = objective(w)
    for _ in range(STEPS):
        gradient = z.T @ (p - one_hot) / n + decay * w
        if abs(gradient).max() <= TOLERANCE:
            return w, True

        def hessian(v, p=p):
            u = z @ v
            return z.T @ (p * (u - (p * u).sum(axis=1, keepdims=True))) / n + decay * v

        step, slope = newton_step(hessian, gradient)
        length, after = 1.0, objective(w + step)
        while after[0] > value + 1e-4 * length * slope and length > 1e-10:  # Armijo's rule
            length /= 2
            after = objective(w + length * step)
        w, (value, p) = w + length * step, after
    return w, False


def newton_step(hessian, gradient):
    """(step s, slope g.s) from H s = -g, solved by conjugate gradients.

    They stop at a residual of min(1/2, sqrt |g|) |g|, with which Newton's method converges superlinearly.
    """
    step, residual = np.zeros_like(gradient), -gradient
    direction, squares = residual, (residual * residual).sum()
    norm = np.sqrt(squares)
    enough = (min(0.5, np.sqrt(norm)) * norm) ** 2
    for _ in range(PRODUCTS):
        product = hessian(direction)
        curvature = (direction * product).sum()
        if curvature <= 0:  # the direction adds the same to the logits of all classes
            break
        rate = squares / curvature
        step, residual = step + rate * direction, residual - rate * product
        before, squares = squares, (residual * residual).sum()
        if squares <= enough:
            break
        direction = residual + squares / before * direction
    step = step if step.any() else -gradient
    return step, (step * gradient).sum()
