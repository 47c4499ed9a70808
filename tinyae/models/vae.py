"""The variational autoencoder (Kingma & Welling 2014) with dense networks."""

from ..backend import array_module
from ..latent import gaussian
from . import importance
from .base import Model
from .likelihood import likelihood as likelihood_of
from .networks import dense_decoder, dense_encoder, size, sizes

COLLAPSED = 0.01  # nats


class VAE(Model):
    """Encoder q(z|x) = N(mu(x), exp(logvar(x))), prior N(0, I), decoder p(x|z); the loss is the negative ELBO

        -E_q log p(x|z) + KL(q(z|x) || N(0, I))        (their equation 10, one draw of z)

    hidden: sizes of the encoder's hidden layers, mirrored in the decoder. likelihood: "bernoulli" (images in [0, 1]),
    "gaussian" or "laplace" with the fixed standard deviation or scale `sigma` (data of any range), "learned-gaussian",
    whose `sigma` is the start, or "categorical" (256 levels of [0, 1]). samples: the draws of z; more than one give the
    importance-weighted bound (`importance.step`). The default is 784-256-2, 404,244 parameters.
    """

    name = "vae"
    terms = ("loss", "reconstruction", "kl")
    generative = standard_prior = True
    samples = 1  # of z for each example

    def __init__(
        self, input_shape=(28, 28, 1), latent_dim=2, hidden=(256,), activation="relu", likelihood="bernoulli",
        sigma=1.0, samples=1, seed=0, backend="numpy", dtype="float32",
    ):  # fmt: skip
        self.input_shape, hidden = sizes("input_shape", input_shape), sizes("hidden", hidden)
        self.latent_dim = size("latent_dim", latent_dim)
        self.likelihood = likelihood_of(likelihood, sigma)
        config = dict(
            input_shape=self.input_shape, latent_dim=latent_dim, hidden=hidden, activation=activation,
            likelihood=likelihood, sigma=sigma, samples=size("samples", samples),
        )  # fmt: skip
        encoder = dense_encoder(hidden, 2 * latent_dim, activation), self.input_shape
        output = dense_decoder(hidden, self.likelihood.output_shape(self.input_shape), activation)
        decoder = self.likelihood.decoder(output), (latent_dim,)
        self.build({"encoder": encoder, "decoder": decoder}, config, seed, backend, dtype)
        if samples > 1:
            self.samples, self.terms = samples, (*self.terms, "gain")
            self.chunk = max(1, self.chunk // samples)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=2, hidden=(5,))
        return [cls(**small), cls(**small, likelihood="gaussian", sigma=0.5, activation="tanh")] + [
            cls(input_shape=(4,), latent_dim=3, hidden=(6, 5), likelihood="laplace", activation="gelu"),
            cls(**small, likelihood="learned-gaussian", sigma=0.5, activation="tanh"),
            cls(input_shape=(1, 2, 1), latent_dim=2, hidden=(3,), likelihood="categorical", activation="tanh"),
            cls(**small, samples=3, activation="tanh"),
            cls(**small, samples=2, likelihood="learned-gaussian", activation="tanh"),
        ]

    def step(self, batch, rng, grads=None, train=True, batch_size=None):
        if self.samples > 1:
            return importance.step(self, batch, rng, grads, train, batch_size)
        x, version = batch["x"], self.store.version

        h, c_enc = self.forward("encoder", x, train, rng)
        mu, logvar = self.split(h)
        noise = rng.normal("z", mu.shape, mu.dtype)
        z, c_z = gaussian.sample(mu, logvar, noise)
        out, c_dec = self.forward("decoder", z, train, rng)
        rec, dout = self.likelihood.nll(out, x, batch_size)
        kl, dmu_kl, dlogvar_kl = gaussian.kl_standard(mu, logvar, batch_size)

        if grads is not None:
            self.store.check(version)
            dz = self.backward("decoder", c_dec, dout, grads)
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)
            dh = array_module(h).concatenate((dmu + dmu_kl, dlogvar + dlogvar_kl), axis=1)
            self.add_grads("encoder", c_enc, dh, grads)
        return {"loss": rec + kl, "reconstruction": rec, "kl": kl}, {"encoder": c_enc, "decoder": c_dec}

    def split(self, h):
        """(N, 2D) -> mu, logvar, (N, D) each."""
        return h[:, : self.latent_dim], h[:, self.latent_dim :]

    def infer(self, batch):
        """mu, logvar of q(z|x), (N, latent_dim) each, of a prepared batch, on the device."""
        return self.split(self.forward("encoder", batch["x"])[0])

    def log_prior(self, batch, z):
        """log p(z) in nats, (N, latent_dim) -> (N,); `batch` has the labels where the prior depends on them."""
        return gaussian.log_density(z, 0.0, 0.0)

    def log_likelihood(self, batch, z):
        """log p(x|z) in nats of a prepared batch and a code for each of its examples, (N, latent_dim) -> (N,)."""
        return self.likelihood.log_prob(self.forward("decoder", z)[0], batch["x"])

    def posterior(self, x):
        """mu, logvar of q(z|x), (N, latent_dim) each, as NumPy arrays."""
        return self.split(self.in_chunks(lambda part: self.forward("encoder", self._inputs(part))[0], x))

    def kl_per_dimension(self, x, labels=None):
        """KL(q(z_j|x) || p(z_j)) in nats by dimension, averaged over the examples: (latent_dim,), as a NumPy array.

        labels: (N,), where the model uses them.
        """
        return gaussian.kl_elements(*self.posterior(x, **self.given(labels))).mean(axis=0, dtype="float64")

    def report(self, batch):
        if "kl" not in self.terms:  # of a mixture, dimensions do not add up
            return {}
        return {"kl_per_dimension": self.kl_per_dimension(batch["x"], batch.get("labels")).tolist()}

    def warnings(self, record):
        """Names the dimensions that say next to nothing, COLLAPSED nats."""
        each = record.get("kl_per_dimension", [])
        empty = [str(i + 1) for i, kl in enumerate(each) if kl < COLLAPSED]
        if not empty:
            return []
        some = f"dimension{'s' * (len(empty) > 1)} {', '.join(empty)} of {len(each)} collapsed"
        return [f"{some}: a KL below {COLLAPSED} nats. A lower or rising weight of the KL, or free bits, may keep them"]

    def sample(self, n, seed=0):
        """(n, *input_shape): means of p(x|z) for z ~ N(0, I), as a NumPy array."""
        return self.decode(self.backend.noise(seed).normal("sample", (n, self.latent_dim), self.dtype))

    def _encode(self, x):
        return self.split(self.forward("encoder", x)[0])[0]

    def _decode(self, z):
        return self.likelihood.mean(self.forward("decoder", z)[0])
