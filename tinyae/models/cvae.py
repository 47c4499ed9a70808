"""The conditional VAE (Sohn, Lee & Yan 2015): the label joins the encoder's and the decoder's input."""

import math

from ..backend import array_module
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, declared
from ..latent import gaussian
from ..losses.likelihood import LIKELIHOOD, SIGMA
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import ACTIVATION, HIDDEN, LATENT_DIM, dense_decoder, dense_encoder
from ..networks.own import own
from ..traits import Labels
from .gaussian_codes import halves, joined
from .labelled import CLASSES, Labelled
from .vae import VAE


class CVAE(Labelled, VAE):
    """A conditional variational autoencoder: encoder and decoder get the label (Sohn, Lee & Yan 2015).

    Encoder q(z|x, y) and decoder p(x|z, y) with labels y, and the prior N(0, I) for every label. The loss is the
    negative ELBO of log p(x|y):

        loss = -E_q log p(x|z, y) + KL(q(z|x, y) || N(0, I))

    As the decoder gets the class, the code only has to hold the rest: the style. `encode`, `decode` and `reconstruct`
    take labels (N,) after x or z. The form is the paper's; layers and sizes follow no published code.

    The authors' code (kihyuks/nips2015_cvae) predicts to which part of a photograph each pixel belongs. Its prior
    depends on the photograph; its convolutions start from N(0, 0.01^2) and are trained with an L2 penalty of 1e-7 by
    Adam with epsilon 1e-6 and a learning rate that decays from 0.0003, in batches of 32.

    Example
    -------
    >>> import numpy as np
    >>> model = CVAE(input_shape=(4, 4, 1), hidden=(8,), classes=3)
    >>> model.sample(3, labels=np.array([0, 1, 2])).shape
    (3, 4, 4, 1)
    """

    name = "cvae"
    labels = Labels(networks=True, styles=True)

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM.of(4), classes=CLASSES, hidden=HIDDEN.of((512, 256)),
        activation=ACTIVATION, likelihood=LIKELIHOOD, sigma=SIGMA, seed=SEED, backend=BACKEND, dtype=DTYPE,
        encoder=own("Your own encoder, a layer from x, flattened and followed by the one-hot label of `classes` "
                    "numbers, to mu and logvar, (2 latent_dim,)."),
        decoder=own("Your own decoder, a layer from z followed by the one-hot label, (latent_dim + classes,), to "
                    "the parameters of p(x|z, y)."),
    ):  # fmt: skip
        self.input_shape, self.latent_dim, self.classes = input_shape, latent_dim, classes
        self.likelihood = likelihood_of(likelihood, sigma)
        xy, zy = (math.prod(self.input_shape) + classes,), (latent_dim + classes,)
        output = self.likelihood.output_shape(self.input_shape)
        encoder = self.fitting("encoder", encoder, xy, (2 * latent_dim,))
        decoder = self.fitting("decoder", decoder, zy, output)
        networks = {
            "encoder": (encoder or dense_encoder(hidden, 2 * latent_dim, activation), xy),
            "decoder": (self.likelihood.decoder(decoder or dense_decoder(hidden, output, activation)), zy),
        }
        self.build(networks)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=2, classes=3, hidden=(5,))
        odd = dict(input_shape=(4,), latent_dim=1, classes=2, hidden=(4, 3), activation="tanh")
        return [cls(**small), cls(**odd, likelihood="learned-gaussian", sigma=0.5)]

    def step(self, net, x, labels):                                       # x (N, H, W, C), labels (N,)
        y = self.one_hot(labels)                                          # (N, K)
        h, c_enc = net.encoder.forward(self.join(x, y))                   # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        z, c_z = gaussian.sample(mu, logvar, net.normal("z", mu))         # (N, D)
        out, c_dec = net.decoder.forward(self.join(z, y))                 # (N, H, W, C)
        rec, dout = self.likelihood.nll(out, x, net.count)                # (), (N, H, W, C)
        kl, dmu_kl, dlogvar_kl = gaussian.kl_standard(mu, logvar, net.count)   # (), (N, D) each

        if net.needs_grads:
            dzy = net.decoder.backward(c_dec, dout)                       # (N, D + K), as out = decoder(z, y)
            dz = dzy[:, : self.latent_dim]                                # (N, D), as y is data and needs no gradient
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)              # (N, D) each, as z = mu + sigma noise
            dh = joined(dmu + dmu_kl, dlogvar + dlogvar_kl)               # (N, 2D), as mu, logvar = halves(h)
            net.encoder.add_grads(c_enc, dh)                              # as h = encoder(x, y)
        return {"loss": rec + kl, "reconstruction": rec, "kl": kl}

    def join(self, a, y):
        """(N, ...), (N, classes) -> (N, D + classes)."""
        return array_module(a).concatenate((a.reshape(len(a), -1), y), axis=1)

    def infer(self, batch):
        return halves(self.apply("encoder", self.join(batch["x"], self.one_hot(batch["labels"]))))

    def log_likelihood(self, batch, z):
        out = self.apply("decoder", self.join(z, self.one_hot(batch["labels"])))
        return self.likelihood.log_prob(out, batch["x"])

    def posterior(self, x, labels=None):
        """mu, logvar of q(z|x, y), (N, latent_dim) each, as NumPy arrays."""
        x = self.admit(x)
        labels = self.known(labels, len(x))

        def infer(x, labels):
            y = self.one_hot(self.backend.asarray(labels))
            return self.apply("encoder", self.join(self._inputs(x), y))

        return halves(self.in_chunks(infer, x, labels))

    def encode(self, x, labels=None):
        """Codes (N, latent_dim) of x with labels (N,), as a NumPy array."""
        return self.posterior(x, labels)[0]

    def decode(self, z, labels=None):
        """Images (N, *input_shape) of codes z (N, latent_dim) under labels (N,), as a NumPy array."""

        def means(z, labels):
            y = self.one_hot(self.backend.asarray(labels))
            return self._outputs(self._decode(self.join(self.backend.asarray(z, self.dtype), y)))

        z = self.code.admit(self, z)
        return self.in_chunks(means, z, self.known(labels, len(z)))

    def reconstruct(self, x, labels=None):
        """decode(encode(x, labels), labels): (N, *input_shape), as a NumPy array."""
        return self.decode(self.encode(x, labels), labels)

    def style(self, x, labels):
        return self.encode(x, labels)

    def styled(self, z, labels):
        return self.decode(z, labels)
