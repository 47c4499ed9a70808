"""The variational autoencoder (Kingma & Welling 2014) with dense networks."""

from ..backend import array_module
from ..latent import gaussian
from ..layers import ACTIVATIONS
from ..losses.likelihood import OPTIONS as LIKELIHOOD
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import INIT, dense_decoder, dense_encoder
from ..options import Choice, Count, Counts, Source, Sources, options
from . import importance
from .gaussian_codes import GaussianCodes
from .model import COMMON


class VAE(GaussianCodes):
    """Encoder q(z|x) = N(mu(x), exp(logvar(x))), prior N(0, I), decoder p(x|z); the loss is the negative ELBO

        -E_q log p(x|z) + KL(q(z|x) || N(0, I))        (their equation 10, one draw of z)

    The default is 784-256-2, 404,244 parameters.

    source="bojone" is vae_keras.py of bojone/vae, whole. The source clips probabilities to [1e-7, 1 - 1e-7], so that a
    pixel outside has no gradient there.

    Parameters
    ----------
    latent_dim: how many numbers a code has.
    hidden: units of the encoder's hidden layers, from the first one on; the decoder mirrors them.
    activation: the function after each hidden layer: "relu", "leaky-relu", "elu", "gelu", "silu", "sigmoid", "tanh" or
        "softplus".
    likelihood: the distribution p(x|z) of a pixel or a column: "bernoulli" (values in [0, 1]), "gaussian" or "laplace"
        with the fixed width `sigma` (values of any range), "learned-gaussian" (whose width is learned from `sigma` on)
        or "categorical" (one of 256 levels of [0, 1]).
    sigma: the standard deviation of a Gaussian, its start where it is learned, or the scale of a Laplace distribution,
        in the units of the data. "bernoulli" and "categorical" have none.
    samples: draws of z for each example; more than one train the importance-weighted bound (Burda et al. 2016).
    init: how weights begin: "own" (He's before ReLU, else Glorot's), or as in Keras and TensorFlow ("glorot") or
        PyTorch ("pytorch", biases too).
    source: "none", or "bojone", which stands for init=glorot and training by optimizer=rmsprop with epsilon=1e-7 in
        batches of 100. Explicit options take precedence.
    """

    name = "vae"
    terms = ("loss", "reconstruction", "kl")
    samples = 1  # of z for each example
    sources = {"bojone": Source(dict(init="glorot"), dict(optimizer="rmsprop", epsilon=1e-7, batch_size=100))}

    @options(
        latent_dim=Count(),
        hidden=Counts(),
        activation=Choice(ACTIVATIONS),
        samples=Count(),
        init=INIT,
        source=Sources(sources),
        **LIKELIHOOD,
        **COMMON,
    )
    def __init__(
        self, input_shape=(28, 28, 1), latent_dim=2, hidden=(256,), activation="relu", likelihood="bernoulli",
        sigma=1.0, samples=1, init="own", source="none", seed=0, backend="numpy", dtype="float32",
    ):  # fmt: skip
        self.input_shape, self.latent_dim = input_shape, latent_dim
        self.likelihood = likelihood_of(likelihood, sigma)
        config = dict(
            input_shape=self.input_shape, latent_dim=latent_dim, hidden=hidden, activation=activation,
            likelihood=likelihood, sigma=sigma, samples=samples, init=init, source=source,
        )  # fmt: skip
        encoder = dense_encoder(hidden, 2 * latent_dim, activation), self.input_shape
        output = dense_decoder(hidden, self.likelihood.output_shape(self.input_shape), activation)
        decoder = self.likelihood.decoder(output), (latent_dim,)
        self.build({"encoder": encoder, "decoder": decoder}, config, seed, backend, dtype, init)
        if samples > 1:
            self.samples, self.terms = samples, (*self.terms, "gain")
            self.chunk = max(1, self.chunk // samples)
            self.room_for(samples * self.values)

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

    def infer(self, batch):
        """mu, logvar of q(z|x), (N, latent_dim) each, of a prepared batch, on the device."""
        return self.split(self.forward("encoder", batch["x"])[0])

    def log_prior(self, batch, z):
        """log p(z) in nats, (N, latent_dim) -> (N,); `batch` has the labels where the prior depends on them."""
        return gaussian.log_density(z, 0.0, 0.0)

    def log_likelihood(self, batch, z):
        """log p(x|z) in nats of a prepared batch and a code for each of its examples, (N, latent_dim) -> (N,)."""
        return self.likelihood.log_prob(self.forward("decoder", z)[0], batch["x"])

    def _decode(self, z):
        return self.likelihood.mean(self.forward("decoder", z)[0])
