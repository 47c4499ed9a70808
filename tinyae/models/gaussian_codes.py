"""Models whose encoder says a Gaussian of codes for each example, with N(0, I) as the prior of codes."""

import math

from ..backend import array_module
from ..latent import gaussian
from ..traits import StandardNormal, Vector
from .model import Model


class GaussianCodes(Model):
    """q(z|x) = N(mu(x), exp(logvar(x))): the network "encoder" puts out both, (N, 2 latent_dim). The code is mu."""

    code, prior = Vector(gaussian=True), StandardNormal()
    monitors = ("posterior-collapse",)

    def build(self, networks, *args, **kwargs):
        super().build(networks, *args, **kwargs)
        # In the sources mu and logvar are layers of their own, of half the fan out.
        if self.published and self.config.get("init") == "glorot" and "encoder" not in self.config:
            weight = self.store.tree["encoder"][str(len(self.networks["encoder"].layers) - 1)]["weight"]
            fan_in, both = weight.shape
            weight *= math.sqrt((fan_in + both) / (fan_in + both / 2))

    def posterior(self, x):
        """mu, logvar of q(z|x), (N, latent_dim) each, as NumPy arrays."""
        return halves(self.in_chunks(lambda part: self.apply("encoder", self._inputs(part)), self.admit(x)))

    def kl_per_dimension(self, x, labels=None):
        """KL(q(z_j|x) || p(z_j)) in nats by dimension, averaged over the examples: (latent_dim,), as a NumPy array.

        labels: (N,), where the model uses them.
        """
        return gaussian.kl_elements(*self.posterior(x, **self.label_arguments(labels))).mean(axis=0, dtype="float64")

    def draw_prior(self, n, seed=0):
        """n codes z ~ N(0, I), (n, latent_dim), as a NumPy array."""
        n, noise = self.draw(n, seed)
        return self.backend.to_host(noise.normal("sample", (n, self.latent_dim), self.dtype))

    def sample(self, n, seed=0):
        """(n, *input_shape): means of p(x|z) for the codes of `draw_prior`, as a NumPy array."""
        return self.decode(self.draw_prior(n, seed))

    def _encode(self, x):
        return halves(self.apply("encoder", x))[0]


def halves(h):
    """The encoder's output (N, 2D) -> mu, logvar, (N, D) each, as views."""
    size = h.shape[1] // 2
    return h[:, :size], h[:, size:]


def joined(dmu, dlogvar):
    """(N, D) each -> dh (N, 2D): the transpose of `halves`."""
    return array_module(dmu).concatenate((dmu, dlogvar), axis=1)
