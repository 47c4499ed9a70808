"""The priors that an adversarial autoencoder can sample from, by name.

An adversary needs nothing but samples of its prior, so a prior may have any shape.

    z = PRIORS[name](dim, classes, scale).sample(noise, n, dtype, labels)

Each is cut into `classes` regions of one probability, and a code with a label y is sampled in region y (Makhzani et al.
2015, section 2.3); without labels, or with one of -1, in any of them. All are cut along one number that is uniform on
(0, 1) whatever the label, the share u of the prior that lies before a code: in region y it is (y + u) / classes.
"""

import math

from ..backend import array_module
from ..declared import Option
from ..errors import ConfigError
from ..options import RATE, Choice
from ..traits import Prior
from .gaussian import log_density


class NamedPrior(Prior):
    """A prior of `dim` dimensions, cut into regions for `classes` labels (0 for none), whose samples are scaled."""

    least, most = 1, math.inf  # dimensions
    in_regions = 1  # the fewest dimensions that regions need

    def __init__(self, dim, classes=0, scale=1.0):
        if not self.least <= dim <= self.most:
            raise ConfigError(
                f"prior {self.name} has {self.least} dimensions, latent_dim is {dim}: give latent_dim={self.least}, or "
                "another prior"
            )
        if classes and dim < self.in_regions:
            raise ConfigError(
                f"prior {self.name} has regions for labels from {self.in_regions} dimensions on, latent_dim is {dim}: "
                f"give latent_dim={self.in_regions}, or another prior"
            )
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
            raise ConfigError(f"scale of a prior: expected a positive number, got {scale!r}")
        self.dim, self.classes, self.scale = dim, classes, scale

    @property
    def standard(self):
        """Whether this is N(0, I), whatever the label."""
        return self.name == "gaussian" and self.scale == 1 and not self.classes

    def sample(self, noise, n, dtype="float32", labels=None):
        """n codes (n, dim). labels: None, or (n,) integers on the device, each in [0, classes) or -1 for none."""
        return self.scale * self.draw(noise, n, dtype, labels)

    def draw(self, noise, n, dtype, labels):
        """`sample` at scale 1."""
        raise NotImplementedError

    def region(self, u, labels):
        """u (n,) moved into the labels' regions: (y + u) / classes where there is a label y."""
        if labels is None:
            return u
        return array_module(u).where(labels < 0, u, (labels.astype(u.dtype) + u) / self.classes)


class GaussianPrior(NamedPrior):
    """N(0, scale^2 I). Regions: sectors of the first two dimensions."""

    name, in_regions = "gaussian", 2

    def draw(self, noise, n, dtype, labels):
        z = noise.normal("z", (n, self.dim), dtype)
        if labels is None:
            return z
        xp = array_module(z)
        radius, turns = xp.hypot(z[:, 0], z[:, 1]), xp.arctan2(z[:, 1], z[:, 0]) / (2 * math.pi)
        return xp.concatenate((polar(radius, self.region(turns % 1, labels)), z[:, 2:]), axis=1)

    def log_density(self, z):
        """log p(z) in nats, (N, dim) -> (N,)."""
        return log_density(z, 0.0, 2 * math.log(self.scale))


class UniformPrior(NamedPrior):
    """U(-2, 2) in each dimension, times the scale. Regions: stripes across the first dimension."""

    name = "uniform"

    def draw(self, noise, n, dtype, labels):
        u = noise.uniform("z", (n, self.dim), dtype)
        first = self.region(u[:, 0], labels)[:, None]
        return 4 * array_module(u).concatenate((first, u[:, 1:]), axis=1) - 2


class RingPrior(NamedPrior):
    """A GaussianPrior for each class, or ten, their means on a circle of radius 2.8, longer outwards (standard
    deviation 1) than along the circle (0.2): petals, as in figure 4 of Makhzani et al. 2015. Regions: the petals.
    """

    name, least, most = "ring", 2, 2

    def draw(self, noise, n, dtype, labels):
        u, z = noise.uniform("share", (n,), dtype), noise.normal("z", (n, 2), dtype)
        xp = array_module(z)
        count = self.classes or 10
        petal = xp.floor(u * count)
        if labels is not None:
            petal = xp.where(labels < 0, petal, labels.astype(u.dtype))
        along, across = 2.8 + z[:, 0], 0.2 * z[:, 1]
        axis, normal = polar(1.0, petal / count), polar(1.0, petal / count + 0.25)
        return along[:, None] * axis + across[:, None] * normal


class SwissRollPrior(NamedPrior):
    """Two turns of a spiral out to radius 3, all of its length alike, with N(0, 0.1^2 I) around it.

    Its radius grows with its angle, so the length up to a radius r is about r^2: r = 3 sqrt(u). Regions: stretches.
    """

    name, least, most = "swiss-roll", 2, 2

    def draw(self, noise, n, dtype, labels):
        share = self.region(noise.uniform("share", (n,), dtype), labels)
        root = array_module(share).sqrt(share)
        return polar(3 * root, 2 * root) + 0.1 * noise.normal("z", (n, 2), dtype)


def polar(radius, turns):
    """(n,) radii, or one, and angles in turns -> points (n, 2)."""
    xp = array_module(turns)
    angle = 2 * math.pi * turns
    return xp.stack((radius * xp.cos(angle), radius * xp.sin(angle)), axis=1)


PRIORS = {prior.name: prior for prior in (GaussianPrior, UniformPrior, RingPrior, SwissRollPrior)}
PRIOR = Option(
    "gaussian", Choice(PRIORS), 'The prior of the codes: "gaussian", "uniform" (a square), "ring" (a ring of '
    'Gaussians) or "swiss-roll" (a spiral).',
)  # fmt: skip
SCALE = Option(
    1.0, RATE, "The factor that multiplies samples of the prior.",
)
