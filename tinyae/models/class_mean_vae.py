"""The class-mean VAE (the `cvae` of bojone/vae): a learned prior mean for each class, and nothing else of the label."""

import numpy as np

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, declared, published
from ..latent import gaussian
from ..layers import Dense
from ..losses.likelihood import LIKELIHOOD, SIGMA
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import ACTIVATION, HIDDEN, INIT, LATENT_DIM, dense_decoder, dense_encoder
from ..traits import ClassMeans, Labels
from .gaussian_codes import halves, joined
from .labelled import CLASSES, Labelled
from .vae import VAE


class ClassMeanVAE(Labelled, VAE):
    """A variational autoencoder whose prior has a learned mean for each class.

        loss = -E_q log p(x|z) + KL(q(z|x) || N(m(y), I)),   m(y) = W one_hot(y) + b,   W and b learned

    The label reaches neither encoder nor decoder, so both work without one. It pulls the codes of a class together, and
    images of a class are sampled around its mean. The default has 404,266 parameters.

    source="bojone" is the complete cvae_keras.py of bojone/vae. The source clips probabilities as VAE's source does.

    Example
    -------
    >>> import numpy as np
    >>> model = ClassMeanVAE(input_shape=(4, 4, 1), hidden=(8,), classes=3)
    >>> model.encode(np.zeros((2, 4, 4, 1))).shape, model.sample(1, labels=np.array([2])).shape
    ((2, 2), (1, 4, 4, 1))
    """

    name = "class-mean-vae"
    labels, prior = Labels(styles=True), ClassMeans()

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM, classes=CLASSES, hidden=HIDDEN, activation=ACTIVATION,
        likelihood=LIKELIHOOD, sigma=SIGMA, init=INIT, source=published(VAE.sources),
        seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        self.input_shape, self.latent_dim, self.classes = input_shape, latent_dim, classes
        self.likelihood = likelihood_of(likelihood, sigma)
        encoder = dense_encoder(hidden, 2 * latent_dim, activation), self.input_shape
        output = dense_decoder(hidden, self.likelihood.output_shape(self.input_shape), activation)
        decoder = self.likelihood.decoder(output), (latent_dim,)
        prior = Dense(latent_dim), (classes,)
        self.build({"encoder": encoder, "decoder": decoder, "prior": prior})

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=2, classes=3, hidden=(5,))
        odd = dict(input_shape=(4,), latent_dim=1, classes=2, hidden=(4, 3), activation="tanh")
        return [cls(**small), cls(**odd, likelihood="learned-gaussian", sigma=0.5)]

    def step(self, net, x, labels):                                       # x (N, H, W, C), labels (N,)
        h, c_enc = net.encoder.forward(x)                                 # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        z, c_z = gaussian.sample(mu, logvar, net.normal("z", mu))         # (N, D)
        out, c_dec = net.decoder.forward(z)                               # (N, H, W, C)
        m, c_prior = net.prior.forward(self.one_hot(labels))              # (N, D), the prior's mean m(y)
        rec, dout = self.likelihood.nll(out, x, net.count)                # (), (N, H, W, C)
        kl, dmu_kl, dlogvar_kl, dm = gaussian.kl_to_mean(mu, logvar, m, net.count)   # (), (N, D) each

        if net.needs_grads:
            dz = net.decoder.backward(c_dec, dout)                        # (N, D), as out = decoder(z)
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)              # (N, D) each, as z = mu + sigma noise
            dh = joined(dmu + dmu_kl, dlogvar + dlogvar_kl)               # (N, 2D), as mu, logvar = halves(h)
            net.encoder.add_grads(c_enc, dh)                              # as h = encoder(x)
            net.prior.add_grads(c_prior, dm)                              # as m = prior(y)
        return {"loss": rec + kl, "reconstruction": rec, "kl": kl}

    def log_prior(self, batch, z):
        return gaussian.log_density(z, self.apply("prior", self.one_hot(batch["labels"])), 0.0)

    @property
    def class_means(self):
        """m(y) of every class: (classes, latent_dim), as a NumPy array."""
        every = self.one_hot(self.backend.xp.arange(self.classes))
        return self.backend.to_host(self.apply("prior", every))

    def draw_prior(self, n, seed=0):
        """n codes z ~ p(z|y), (n, latent_dim), of the classes in turn, as a NumPy array."""
        n, noise = self.draw(n, seed)
        drawn = self.backend.to_host(noise.normal("prior", (n, self.latent_dim), self.dtype))
        return drawn + self.class_means[np.arange(n) % self.classes]

    def kl_per_dimension(self, x, labels=None):
        mu, logvar = self.posterior(x)
        means = self.class_means[self.known(labels, len(mu))]
        return gaussian.kl_elements(mu, logvar, means).mean(axis=0, dtype="float64")

    def style(self, x, labels):
        z = self.encode(x)
        return z - self.class_means[self.known(labels, len(z))]

    def styled(self, z, labels):
        z = self.code.admit(self, z)
        return self.decode(z + self.class_means[self.known(labels, len(z))])
