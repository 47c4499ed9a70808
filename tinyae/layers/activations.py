"""Activations: y = f(x) element by element, so dx = dy f'(x). Each keeps what makes its derivative cheapest."""

import math

from ..backend import array_module
from ..backend.operations import relu, relu_gradient
from ..backend.special import normal_cdf
from ..options import RATE, WEIGHT, Choice, Number, Optional, of_layer
from .base import Layer


def sigmoid(x):
    """1 / (1 + exp(-x)), without an exponential of a positive number: exp(min(x, 0)) / (1 + exp(-|x|))."""
    xp = array_module(x)
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


def softplus(x):
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), stable at both ends."""
    xp = array_module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


class _Activation(Layer):
    @classmethod
    def examples(cls):
        return [(cls(), (7,)), (cls(), (2, 3, 2))]


class ReLU(_Activation):
    """The rectified linear unit.

        y = max(x, 0),   dx = dy where y > 0, else 0 (also at x = 0)

    Example
    -------
    >>> import numpy as np
    >>> y, cache = ReLU().forward({}, np.array([[-1.0, 2.0]]))
    >>> y.tolist(), ReLU().backward({}, cache, np.ones((1, 2))).tolist()
    ([[0.0, 2.0]], [[0.0, 1.0]])
    """

    def forward(self, params, x, train=False, rng=None, state=None):
        y = relu(x)  # max(x, 0)
        return y, y

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, cache.shape)
        return relu_gradient(cache, dy)  # dy * (y > 0)


class LeakyReLU(_Activation):
    """A rectified linear unit with a small slope below 0 (Maas et al. 2013).

        y = x where x > 0, else slope x,   dx = dy or slope dy

    Parameters
    ----------
    slope : float, default 0.01
        The slope for x below 0, at least 0 and below 1.

    Example
    -------
    >>> import numpy as np
    >>> LeakyReLU(0.1).forward({}, np.array([[-1.0, 2.0]]))[0].tolist()
    [[-0.1, 2.0]]
    """

    @of_layer(slope=Number(least=0, below=1))
    def __init__(self, slope=0.01):
        self.slope = slope

    @classmethod
    def examples(cls):
        return [(cls(0.2), (7,)), (cls(), (2, 3, 2))]

    def forward(self, params, x, train=False, rng=None, state=None):
        return array_module(x).maximum(x, self.slope * x), x

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, cache.shape)
        positive = (cache > 0).astype(dy.dtype)
        return dy * (positive * (1 - self.slope) + self.slope)


class ELU(_Activation):
    """The exponential linear unit (Clevert et al. 2016).

        y = x where x > 0, else alpha (exp(x) - 1),   dx = dy or dy (y + alpha)

    Parameters
    ----------
    alpha : float, default 1
        The limit of -y for large negative x.

    Example
    -------
    >>> import numpy as np
    >>> ELU().forward({}, np.array([[-1.0, 2.0]]))[0].round(4).tolist()
    [[-0.6321, 2.0]]
    """

    @of_layer(alpha=WEIGHT)
    def __init__(self, alpha=1.0):
        self.alpha = alpha

    @classmethod
    def examples(cls):
        return [(cls(), (7,)), (cls(0.5), (2, 3, 2))]

    def forward(self, params, x, train=False, rng=None, state=None):
        xp = array_module(x)
        y = xp.maximum(x, 0) + self.alpha * xp.expm1(xp.minimum(x, 0))
        return y, y

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, cache.shape)
        return dy * array_module(dy).where(cache > 0, 1, cache + self.alpha)


class CELU(_Activation):
    """The exponential linear unit whose slope at 0 is 1 from both sides for any alpha (Barron 2017).

        y = x where x > 0, else alpha (exp(x / alpha) - 1),   dx = dy or dy (y / alpha + 1)

    Parameters
    ----------
    alpha : float, default 1
        The limit of -y for large negative x.

    Example
    -------
    >>> import numpy as np
    >>> CELU(2.0).forward({}, np.array([[-1.0, 2.0]]))[0].round(4).tolist()
    [[-0.7869, 2.0]]
    """

    @of_layer(alpha=RATE)
    def __init__(self, alpha=1.0):
        self.alpha = alpha

    @classmethod
    def examples(cls):
        return [(cls(0.5), (2, 3, 2))]

    def forward(self, params, x, train=False, rng=None, state=None):
        xp = array_module(x)
        y = xp.maximum(x, 0) + self.alpha * xp.expm1(xp.minimum(x, 0) / self.alpha)
        return y, y

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, cache.shape)
        return dy * (array_module(dy).minimum(cache, 0) / self.alpha + 1)


class GELU(_Activation):
    """The Gaussian error linear unit (Hendrycks & Gimpel 2016, section 2).

        y = x Phi(x),   dy/dx = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)          Phi: the normal cumulative distribution
        y = x (1 + t) / 2,   dy/dx = (1 + t) / 2 + x (1 - t^2) u' / 2          t = tanh(u), "tanh"

    Parameters
    ----------
    approximate : "tanh" or "none", default "tanh"
        "none" computes Phi; "tanh" is the paper's approximation with u = sqrt(2/pi) (x + 0.044715 x^3), within
        5e-4.

    Example
    -------
    >>> import numpy as np
    >>> GELU("none").forward({}, np.array([[-1.0, 2.0]]))[0].round(4).tolist()
    [[-0.1587, 1.9545]]
    """

    C = math.sqrt(2 / math.pi)

    @of_layer(approximate=Choice(("tanh", "none")))
    def __init__(self, approximate="tanh"):
        self.approximate = approximate

    @classmethod
    def examples(cls):
        return [(cls(), (7,)), (cls(approximate="none"), (2, 3, 2))]

    def forward(self, params, x, train=False, rng=None, state=None):
        if self.approximate == "none":
            below = normal_cdf(x)
            return x * below, (x, below)
        t = array_module(x).tanh(self.C * (x + 0.044715 * x * x * x))
        return 0.5 * x * (1 + t), (x, t)

    def backward(self, params, cache, dy, grads=None):
        x, t = cache
        self.check_gradient(dy, x.shape)
        if self.approximate == "none":
            below, density = t, (0.5 * self.C) * array_module(x).exp(-0.5 * x * x)
            return dy * (below + x * density)
        du = self.C * (1 + 3 * 0.044715 * x * x)
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * du)


class SiLU(_Activation):
    """The sigmoid linear unit, also called swish (Elfwing et al. 2018).

        y = x s, s = sigmoid(x),   dx = dy (s + y (1 - s))

    Example
    -------
    >>> import numpy as np
    >>> SiLU().forward({}, np.array([[-1.0, 2.0]]))[0].round(4).tolist()
    [[-0.2689, 1.7616]]
    """

    def forward(self, params, x, train=False, rng=None, state=None):
        s = sigmoid(x)
        return x * s, (x, s)

    def backward(self, params, cache, dy, grads=None):
        x, s = cache
        self.check_gradient(dy, x.shape)
        return dy * (s + x * s * (1 - s))


class Sigmoid(_Activation):
    """The logistic function.

        y = 1 / (1 + exp(-x)),   dx = dy y (1 - y)

    Example
    -------
    >>> import numpy as np
    >>> Sigmoid().forward({}, np.array([[0.0, 2.0]]))[0].round(4).tolist()
    [[0.5, 0.8808]]
    """

    def forward(self, params, x, train=False, rng=None, state=None):
        y = sigmoid(x)
        return y, y

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, cache.shape)
        return dy * cache * (1 - cache)


class Tanh(_Activation):
    """The hyperbolic tangent.

        y = tanh(x),   dx = dy (1 - y^2)

    Example
    -------
    >>> import numpy as np
    >>> Tanh().forward({}, np.array([[0.0, 2.0]]))[0].round(4).tolist()
    [[0.0, 0.964]]
    """

    def forward(self, params, x, train=False, rng=None, state=None):
        y = array_module(x).tanh(x)
        return y, y

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, cache.shape)
        return dy * (1 - cache * cache)


class Softplus(_Activation):
    """A smooth form of the rectified linear unit.

        y = log(1 + exp(beta x)) / beta,   dx = dy sigmoid(beta x)

    Parameters
    ----------
    beta : float, default 1
        The sharpness: the larger beta, the closer y is to max(x, 0).
    threshold : float or None, default None
        Where beta x is above it, y = x and dx = dy, as in PyTorch, whose default is 20. None: nowhere.

    Example
    -------
    >>> import numpy as np
    >>> Softplus().forward({}, np.array([[0.0, 2.0]]))[0].round(4).tolist()
    [[0.6931, 2.1269]]
    """

    @of_layer(beta=RATE, threshold=Optional(Number()))
    def __init__(self, beta=1.0, threshold=None):
        self.beta, self.threshold = beta, threshold

    @classmethod
    def examples(cls):
        return [(cls(), (7,)), (cls(0.5, threshold=0.1), (2, 3, 2))]

    def forward(self, params, x, train=False, rng=None, state=None):
        y = softplus(self.beta * x) / self.beta
        return y if self.threshold is None else array_module(x).where(self._linear(x), x, y), x

    def _linear(self, x):
        return self.beta * x > self.threshold

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, cache.shape)
        slope = sigmoid(self.beta * cache)
        return dy * (slope if self.threshold is None else array_module(dy).where(self._linear(cache), 1, slope))


ACTIVATIONS = {
    "relu": ReLU,
    "leaky-relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softplus": Softplus,
}
