"""What the decoder's output means: a distribution of x, with its negative log-likelihood and its mean.

    nll(out, x, batch_size) -> (nats, dout)          summed over features, averaged over the batch, constants included
    mean(out)               -> x's expectation, what pictures show
"""

import math

from .. import losses
from ..errors import ConfigError, suggest
from ..layers.activations import sigmoid


class Bernoulli:
    """x in [0, 1] per pixel; out is logits. The cross-entropy, where x lies between 0 and 1."""

    def nll(self, out, x, batch_size=None):
        return losses.bce_with_logits(out, x, batch_size)

    def mean(self, out):
        return sigmoid(out)


class Gaussian:
    """N(out, sigma^2) per feature with a fixed sigma; for x of any range."""

    def __init__(self, sigma=1.0):
        self.logvar = 2 * math.log(sigma)

    def nll(self, out, x, batch_size=None):
        return losses.gaussian_nll(out, x, self.logvar, batch_size)

    def mean(self, out):
        return out


class Laplace:
    """Laplace(out, scale) per feature with a fixed scale; for x of any range."""

    def __init__(self, scale=1.0):
        self.log_scale = math.log(scale)

    def nll(self, out, x, batch_size=None):
        return losses.laplace_nll(out, x, self.log_scale, batch_size)

    def mean(self, out):
        return out


def likelihood(name, sigma):
    """The likelihood by name; `sigma` is the Gaussian's standard deviation or the Laplace's scale."""
    if not isinstance(sigma, (int, float)) or not 1e-6 <= sigma <= 1e6:
        raise ConfigError(f"sigma must be above 0, from 1e-6 to 1e6, got {sigma}")
    kinds = {"bernoulli": Bernoulli, "gaussian": lambda: Gaussian(sigma), "laplace": lambda: Laplace(sigma)}
    if name not in kinds:
        raise suggest("likelihood", name, kinds)
    return kinds[name]()
