"""The variational autoencoder (Kingma & Welling 2014) with dense networks."""

from ..backend import array_module
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..latent import gaussian
from ..losses.likelihood import LIKELIHOOD, SIGMA
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import ACTIVATION, HIDDEN, INIT, LATENT_DIM, dense_decoder, dense_encoder
from ..networks.own import own
from ..options import Count, Source
from .gaussian_codes import GaussianCodes, halves, joined
from .model import Phase


class VAE(GaussianCodes):
    """A variational autoencoder with dense networks (Kingma & Welling 2014).

    Encoder q(z|x) = N(mu(x), exp(logvar(x))), prior N(0, I), decoder p(x|z). The loss is the negative ELBO:

        loss = -E_q log p(x|z) + KL(q(z|x) || N(0, I))        (their equation 10, one sample of z)

    The default is 784-256-2, with 404,244 parameters.

    source="bojone" is the complete vae_keras.py of bojone/vae. The source clips probabilities to [1e-7, 1 - 1e-7], so a
    pixel outside has no gradient there.

    Example
    -------
    >>> import numpy as np
    >>> model = VAE(input_shape=(4, 4, 1), hidden=(8,))
    >>> loss, gradients = model.loss_and_grads({"x": np.zeros((5, 4, 4, 1))})
    >>> sorted(loss), model.sample(3).shape
    (['kl', 'loss', 'reconstruction'], (3, 4, 4, 1))
    """

    name = "vae"
    density = True
    terms = ("loss", "reconstruction", "kl")
    samples = 1  # for each example, of z
    sources = {"bojone": Source(dict(init="glorot"), dict(optimizer="rmsprop", epsilon=1e-7, batch_size=100))}

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM, hidden=HIDDEN, activation=ACTIVATION,
        likelihood=LIKELIHOOD, sigma=SIGMA,
        samples=Option(1, Count(), "Samples of z for each example; more than one train the importance-weighted "
                       "bound (Burda et al. 2016)."),
        init=INIT, source=published(sources), seed=SEED, backend=BACKEND, dtype=DTYPE,
        encoder=own("Your own encoder, a layer from x to mu and logvar, (2 latent_dim,)."),
        decoder=own("Your own decoder, a layer from z (latent_dim,) to the parameters of p(x|z), logits for "
                    '"bernoulli".'),
    ):  # fmt: skip
        self.input_shape, self.latent_dim = input_shape, latent_dim
        self.likelihood = likelihood_of(likelihood, sigma)
        x, z, output = self.input_shape, (latent_dim,), self.likelihood.output_shape(self.input_shape)
        encoder = self.fitting("encoder", encoder, x, (2 * latent_dim,))
        decoder = self.fitting("decoder", decoder, z, output)
        networks = {
            "encoder": (encoder or dense_encoder(hidden, 2 * latent_dim, activation), x),
            "decoder": (self.likelihood.decoder(decoder or dense_decoder(hidden, output, activation)), z),
        }
        self.build(networks)
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

    @property
    def phases(self):
        step = self.step if self.samples == 1 else self.importance_weighted
        return [Phase("", step, self.networks, scale=self.loss_scale)]

    def step(self, net, x):                                               # x (N, H, W, C)
        h, c_enc = net.encoder.forward(x)                                 # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        z, c_z = gaussian.sample(mu, logvar, net.normal("z", mu))         # (N, D)
        out, c_dec = net.decoder.forward(z)                               # (N, H, W, C), logits for a Bernoulli
        rec, dout = self.likelihood.nll(out, x, net.count)                # (), (N, H, W, C)
        kl, dmu_kl, dlogvar_kl = gaussian.kl_standard(mu, logvar, net.count)   # (), (N, D) each

        if net.needs_grads:
            dz = net.decoder.backward(c_dec, dout)                        # (N, D), as out = decoder(z)
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)              # (N, D) each, as z = mu + sigma noise
            dh = joined(dmu + dmu_kl, dlogvar + dlogvar_kl)               # (N, 2D), as mu, logvar = halves(h)
            net.encoder.add_grads(c_enc, dh)                              # as h = encoder(x)
        return {"loss": rec + kl, "reconstruction": rec, "kl": kl}

    def importance_weighted(self, net, x):
        """The step with the bound of k samples of z (Burda, Grosse & Salakhutdinov 2016), tighter than the ELBO:

            L_k = E[log 1/k sum_i w_i],   w_i = p(x|z_i) p(z_i) / q(z_i|x),   z_i = mu + sigma e_i      (equation 8)
            dL_k = sum_i v_i dlog w_i,    v = w / sum w, the normalised importance weights             (equation 13)

        In terms of the noise e_i, log q = -1/2 sum(log 2 pi + logvar + e_i^2) depends on logvar alone. So

            log w_i = log p(x|z_i) + 1/2 sum(logvar + e_i^2 - z_i^2)
            dz_i = v_i (dlog p(x|z_i)/dz_i - z_i),   dmu = sum_i dz_i,   dlogvar = sum_i dz_i sigma e_i / 2 + 1/2

        loss = reconstruction + kl + gain: the two terms of the ELBO, and what the bound gains on it (gain <= 0).
        """
        n, k, scale = len(x), self.samples, 1 / net.count                 # loss = -scale sum_n L_k
        copies = x.repeat(k, axis=0)                                      # (N k, H, W, C), k copies of each example
        h, c_enc = net.encoder.forward(x)                                 # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        e = net.normal("z", (n, k, self.latent_dim))                      # (N, k, D)
        z, c_z = gaussian.sample(mu[:, None], logvar[:, None], e)         # (N, k, D)
        out, c_dec = net.decoder.forward(z.reshape(n * k, -1))            # (N k, H, W, C)
        log_p = self.likelihood.log_prob(out, copies).reshape(n, k)       # (N, k), log p(x|z_i)
        log_w = log_p + 0.5 * (logvar[:, None] + e * e - z * z).sum(axis=2)    # (N, k)
        bound, v = log_mean_exp(log_w)                                    # (N,), (N, k)
        loss, rec = -scale * bound.sum(), -(scale / k) * log_p.sum()      # ()
        kl, _, _ = gaussian.kl_standard(mu, logvar, net.count)            # ()

        if net.needs_grads:
            _, dout = self.likelihood.nll(out, copies, net.count)         # (N k, H, W, C), as log_p = log p(x|out)
            dout *= v.reshape(n * k, *(1,) * (dout.ndim - 1))             # as dL_k = sum_i v_i dlog w_i
            dz = net.decoder.backward(c_dec, dout).reshape(z.shape)       # (N, k, D), as out = decoder(z)
            dz = dz + scale * v[:, :, None] * z                           # (N, k, D), as log w_i has -1/2 z_i^2
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)              # (N, k, D) each, as z = mu + sigma e
            dlogvar = dlogvar.sum(axis=1) - 0.5 * scale                   # (N, D), as log w_i has +1/2 logvar
            net.encoder.add_grads(c_enc, joined(dmu.sum(axis=1), dlogvar))     # as h = encoder(x)
        return {"loss": loss, "reconstruction": rec, "kl": kl, "gain": loss - rec - kl}

    def infer(self, batch):
        """mu, logvar of q(z|x), (N, latent_dim) each, of a prepared batch, on the device."""
        return halves(self.apply("encoder", batch["x"]))

    def log_prior(self, batch, z):
        """log p(z) in nats, (N, latent_dim) -> (N,); `batch` has the labels where the prior depends on them."""
        return gaussian.log_density(z, 0.0, 0.0)

    def log_likelihood(self, batch, z):
        """log p(x|z) in nats of a prepared batch and a code for each of its examples, (N, latent_dim) -> (N,)."""
        return self.likelihood.log_prob(self.apply("decoder", z), batch["x"])

    def _decode(self, z):
        return self.likelihood.mean(self.apply("decoder", z))


def log_mean_exp(a):
    """log 1/k sum_i exp(a_i) over the last axis, (N, k) -> (N,), and its gradient exp(a) / sum exp(a), (N, k)."""
    xp = array_module(a)
    largest = a.max(axis=1, keepdims=True)                                # (N, 1), so that no exponential overflows
    weights = xp.exp(a - largest)                                         # (N, k)
    total = weights.sum(axis=1, keepdims=True)                            # (N, 1)
    return (largest + xp.log(total / a.shape[1]))[:, 0], weights / total
