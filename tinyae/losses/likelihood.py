"""What the decoder's output means: a distribution of x. One protocol for all variational models:

    output_shape(shape)      what a decoder's network puts out for an x of `shape`, both without the batch axis
    decoder(network)         the decoder: that network, and behind it what the likelihood learns
    nll(out, x, batch_size)  -> (nats, dout): -log p(x | out) summed over features, averaged over the batch
    log_prob(out, x)         -> (N,): log p(x | out) of each example, in nats; nll is minus its mean
    mean(out)                -> (N, *shape): x's expectation, what pictures show
    bits_per_dimension(nats, dimensions)

Constants are included everywhere, so that numbers compare with papers.
"""

import math

from ..backend import array_module
from ..declared import Option
from ..layers import ConstantChannel, Sequential
from ..layers.activations import sigmoid, softplus
from ..options import Choice, Number, options
from . import pixel
from .pixel import LOG_2PI

LEVELS = 256  # an 8-bit value has so many


class Likelihood:
    """The common case: a number of the decoder's for each of x, and nothing to learn."""

    bins = 1  # into how many the unit interval is cut where p is a density; 1 where it is a probability

    def output_shape(self, shape):
        return tuple(shape)

    def decoder(self, network):
        return network

    def bits_per_dimension(self, nats, dimensions):
        """nats / (D ln 2), of one example of D = `dimensions` values.

        A density of x in [0, 1] is turned into a probability of one of 256 levels by the width of a level: + log2(256).
        That bounds the likelihood of the levels only for x with uniform noise of that width added (Theis et al. 2016,
        section 3.1); without, a density may grow on the levels without limit. Nor is the cross-entropy of greys under
        a Bernoulli, which knows 0 and 1 alone, a likelihood of greys (Loaiza-Ganem & Cunningham 2019).
        """
        return (nats / dimensions + math.log(self.bins)) / math.log(2)


class Bernoulli(Likelihood):
    """x in [0, 1] per pixel; out is logits. The cross-entropy, where x lies between 0 and 1."""

    def nll(self, out, x, batch_size=None):
        return pixel.bce_with_logits(out, x, batch_size)

    def log_prob(self, out, x):
        return _per_example(out * x - softplus(out))

    def mean(self, out):
        return sigmoid(out)


class Gaussian(Likelihood):
    """N(out, sigma^2) per feature with a fixed sigma; for x of any range."""

    bins = LEVELS

    def __init__(self, sigma=1.0):
        self.logvar = 2 * math.log(sigma)

    def nll(self, out, x, batch_size=None):
        return pixel.gaussian_nll(out, x, self.logvar, batch_size)

    def log_prob(self, out, x):
        return _per_example(-0.5 * (LOG_2PI + self.logvar + (out - x) ** 2 * math.exp(-self.logvar)))

    def mean(self, out):
        return out


class LearnedGaussian(Likelihood):
    """N(mu, sigma^2) per feature, one sigma for all of them, learned: the sigma-VAE (Rybkin et al. 2021, section 3.1).

    Trained to the end, sigma^2 is the mean squared error, so it weighs reconstruction against KL by itself; a variance
    for each pixel would run to its bound wherever the data are constant. out (N, ..., C + 1) is mu and, as the last
    channel, s:   logvar = floor + softplus(s - floor),   dlogvar/ds = sigmoid(s - floor),   their soft bound. It keeps
    sigma above exp(-6) = 0.0025, half a level of 256. `sigma` is where it starts.
    """

    bins = LEVELS
    FLOOR = -12.0

    def __init__(self, sigma=1.0):
        self.start = 2 * math.log(sigma)

    def decoder(self, network):
        layers = network.layers if type(network) is Sequential else (network,)  # a Residual is one layer
        return Sequential(*layers, ConstantChannel(self.start))

    def nll(self, out, x, batch_size=None):
        xp = array_module(out)
        mu, s = out[..., :-1], out[..., -1:]
        logvar = xp.broadcast_to(self.logvar(s), mu.shape)
        loss, dmu, dlogvar = pixel.gaussian_nll(mu, x, logvar, batch_size)
        ds = dlogvar.sum(axis=-1, keepdims=True) * sigmoid(s - self.FLOOR)
        return loss, xp.concatenate((dmu, ds), axis=-1)

    def log_prob(self, out, x):
        mu, logvar = out[..., :-1], self.logvar(out[..., -1:])
        return _per_example(-0.5 * (LOG_2PI + logvar + (mu - x) ** 2 * array_module(out).exp(-logvar)))

    def mean(self, out):
        return out[..., :-1]

    def logvar(self, s):
        return self.FLOOR + softplus(s - self.FLOOR)


class Laplace(Likelihood):
    """Laplace(out, scale) per feature with a fixed scale; for x of any range."""

    bins = LEVELS

    def __init__(self, scale=1.0):
        self.log_scale = math.log(scale)

    def nll(self, out, x, batch_size=None):
        return pixel.laplace_nll(out, x, self.log_scale, batch_size)

    def log_prob(self, out, x):
        distance = array_module(out).abs(out - x) * math.exp(-self.log_scale)
        return _per_example(-(math.log(2) + self.log_scale + distance))

    def mean(self, out):
        return out


class Categorical(Likelihood):
    """x in [0, 1] as one of 256 levels, round(255 x), per value; out (N, ..., 256 C) is 256 logits for each of them.

    A probability of 8-bit values, without an assumption about its form (van den Oord et al. 2016, section 2).
    """

    def output_shape(self, shape):
        *size, channels = shape
        return *size, LEVELS * channels

    def nll(self, out, x, batch_size=None):
        loss, dlogits = pixel.cross_entropy_with_logits(self.logits(out), levels(x), batch_size)
        return loss, dlogits.reshape(out.shape)

    def log_prob(self, out, x):
        xp, logits = array_module(out), self.logits(out)
        logits = logits - logits.max(axis=-1, keepdims=True)
        chosen = xp.take_along_axis(logits, levels(x)[..., None], axis=-1)[..., 0]
        return _per_example(chosen - xp.log(xp.exp(logits).sum(axis=-1)))

    def mean(self, out):
        xp, logits = array_module(out), self.logits(out)
        weights = xp.exp(logits - logits.max(axis=-1, keepdims=True))
        values = xp.arange(LEVELS).astype(out.dtype) / (LEVELS - 1)
        return weights @ values / weights.sum(axis=-1)

    def logits(self, out):
        """(N, ..., 256 C) -> (N, ..., C, 256)."""
        return out.reshape(*out.shape[:-1], -1, LEVELS)


def levels(x):
    """x in [0, 1] -> the nearest of the 256 levels 0, 1/255, ..., 1, as integers 0..255."""
    return array_module(x).rint((LEVELS - 1) * x).astype("int64")


def _per_example(values):
    """(N, ...) -> (N,): summed over everything but the batch."""
    return values.reshape(len(values), -1).sum(axis=1)


LIKELIHOODS = {
    "bernoulli": lambda sigma: Bernoulli(), "gaussian": Gaussian, "learned-gaussian": LearnedGaussian,
    "laplace": Laplace, "categorical": lambda sigma: Categorical(),
}  # fmt: skip
LIKELIHOOD = Option(
    "bernoulli", Choice(LIKELIHOODS, "likelihood"), 'The distribution p(x|z) of a pixel or a column: "bernoulli" '
    '(values in [0, 1]), "gaussian" or "laplace" with the fixed width `sigma` (values of any range), '
    '"learned-gaussian" (its width is learned, from `sigma` on) or "categorical" (256 levels of [0, 1]).',
)  # fmt: skip
SIGMA = Option(
    1.0, Number(least=1e-6, most=1e6), "The standard deviation of a Gaussian (the initial one where it is learned) "
    'or the scale of a Laplace distribution, in units of the data. "bernoulli" and "categorical" ignore it.',
)  # fmt: skip


@options(name=LIKELIHOOD.kind, sigma=SIGMA.kind)
def likelihood(name, sigma):
    """The likelihood by name; `sigma` is the Gaussian's standard deviation (where learned, its start) or the Laplace's
    scale."""
    return LIKELIHOODS[name](sigma)
