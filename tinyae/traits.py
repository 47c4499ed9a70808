"""What a model declares about itself: small objects that the training loop, the commands and the pictures read."""

from .data.examples import as_array, bounds
from .errors import ShapeError

# The code of an example: `model.code`.


class Vector:
    """A code is a vector of `model.latent_dim` numbers.

    encoded: whether examples have codes; without an encoder, samples of the prior are the only codes. gaussian: whether
    the encoder gives a Gaussian distribution of codes, `model.posterior`.
    """

    discrete = False

    def __init__(self, encoded=True, gaussian=False):
        self.encoded, self.gaussian = encoded, gaussian

    def admit(self, model, z):
        """z as an array (N, latent_dim). Raises ShapeError for another shape, DataError for values not finite."""
        z = as_array(z, "z")
        if z.ndim != 2 or z.shape[1] != model.latent_dim:
            raise ShapeError(f"{model.name}: expected codes of shape (N, {model.latent_dim}), got {z.shape}")
        bounds(z, "the codes")
        return z


class IntegerMap:
    """A code is a map of integers in [0, count), of a shape without the batch axis."""

    discrete, encoded, gaussian = True, True, False

    def __init__(self, shape, count):
        self.shape, self.count = shape, count

    def admit(self, model, z):
        """z as a NumPy array (N, *shape) of codes. Raises ShapeError for anything else."""
        z = model.backend.to_host(as_array(z, "z"))
        if z.shape[1:] != self.shape or z.dtype.kind not in "iu":
            expected = f"integer codes of shape (N, {', '.join(map(str, self.shape))})"
            raise ShapeError(f"{model.name}: expected {expected}, got {z.dtype} {z.shape}")
        if z.size and not 0 <= z.min() <= z.max() < self.count:
            raise ShapeError(f"{model.name}: codes are 0 to {self.count - 1}, got {z.min()} to {z.max()}")
        return z


class NoCode:
    """Examples have no codes: the model is a distribution of the examples themselves."""

    discrete = encoded = gaussian = False


# The distribution of codes from which new examples are sampled: `model.prior`.


class Prior:
    """A prior other than N(0, I); `model.draw_prior` samples codes from it."""

    exists, standard, autoregressive = True, False, False

    def class_means(self, model):
        """The prior's mean of each class, (classes, latent_dim), or None."""
        return None


class NoPrior(Prior):
    """The model doesn't sample new examples."""

    exists = False


class StandardNormal(Prior):
    """The prior is N(0, I), whatever the label."""

    standard = True


class ClassMeans(Prior):
    """The prior of class y is N(means[y], I), with learned means."""

    def class_means(self, model):
        return model.class_means


class Autoregressive(Prior):
    """Examples are modelled and sampled pixel by pixel, each given those before it."""

    autoregressive = True


# What a batch is: `model.input` and `model.labels`.


class Floats:
    """Examples are images or rows of floats. bounded: what needs values in [0, 1], as in "its output", or None."""

    integers = False

    def __init__(self, bounded=None):
        self.bounded = bounded


class Integers:
    """Examples are maps of codes: integers."""

    integers, bounded = True, None


class Labels:
    """A batch has labels (N,), integers from `least` (-1 where an unknown class is allowed) to `model.classes` - 1.

    without: what to do where the data have none. networks: whether encoder and decoder take the label as an input.
    styles: whether a code without its label is a style: `model.style`, `model.styled`.
    """

    def __init__(self, least=0, without="train vae", networks=False, styles=False):
        self.least, self.without, self.networks, self.styles = least, without, networks, styles


# How a training treats the model: `model.selection`, `model.cut` and `model.monitors`.


class Best:
    """The best epoch is the one with the lowest `term`, compared from training step `after` on.

    Until then the loss still changes its meaning, as when a weight rises.
    """

    last = False

    def __init__(self, term="loss", after=0):
        self.term, self.after = term, after


class Last:
    """The best epoch is the last: the loss of an adversary measures how good its opponent is."""

    last, term, after = True, "loss", 0


DENSE = 64  # examples; fewer in a part cost dense products more than threads gain


class Parts:
    """The loss of a batch is the sum of its examples' losses, so threads may share a batch in parts of `least` or more.

    A network with a state, such as BatchNorm's statistics, couples the batch, unless the state is constant.
    """

    whole = False

    def __init__(self, least=DENSE, constant_state=False):
        self.least, self.constant_state = least, constant_state


class Whole(Parts):
    """The loss couples the examples of a batch, so that a batch is never cut into parts."""

    whole = True


class Monitored:
    """A monitor by its name in `training.monitors`, with facts for it."""

    def __init__(self, name, **facts):
        self.name, self.facts = name, facts
