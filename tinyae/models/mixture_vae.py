"""The VAE with a mixture of Gaussians as its prior: it finds classes that nobody told it."""

import math

import numpy as np

from ..backend import array_module
from ..data.examples import as_array
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..errors import ConfigError, ShapeError
from ..latent import gaussian, mixture
from ..layers import Conv2D, ConvTranspose2D, Dense, Embedding, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Sigmoid
from ..layers.convolution import resolve_padding
from ..losses.likelihood import LIKELIHOOD, SIGMA
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import INIT, LATENT_DIM, halved, image_shape
from ..networks.own import own
from ..options import Choice, Count, Counts, Source
from ..traits import Parts, Prior
from .gaussian_codes import halves, joined
from .vae import VAE, log_mean_exp

OUTPUTS = ("linear", "sigmoid")
REFERENCE_SIGMA = 0.4**0.5  # -log N(x | out, 0.4) = 2.5 * 1/2 (x - out)^2 + constant: a reconstruction weight of 2.5


class MixtureVAE(VAE):
    """A variational autoencoder with a mixture of Gaussians as its prior; it finds classes without labels.

    Prior p(y) = 1/K over classes and p(z|y) = N(means_y, I) with learned means. Posterior q(z|x) q(y|z), where a
    classifier on the code gives q(y|z). The loss is the negative ELBO, with one sample of z:

        loss = -E_q log p(x|z) + E_q sum_y q(y|z) log q(z|x) / p(z|y) + E_q KL(q(y|z) || 1/K)

    Images (H, W, C) may have any size. `cluster` gives each image the most probable class at its mean code. The default
    sigma^2 = 0.4 weighs half the squared error 2.5 times. The default has 366,331 parameters.

    source="bojone" is the complete vae_keras_cluster.py of bojone/vae. The source leaves constants out of its loss and
    adds 1e-7 to q(y|z) in the logarithm; its decoder's convolutions of stride 1 are transposed, which rotates their
    kernels.

    Example
    -------
    >>> import numpy as np
    >>> model = MixtureVAE(input_shape=(8, 8, 1), classes=3)
    >>> model.cluster(np.zeros((2, 8, 8, 1))).shape
    (2,)
    """

    name = "mixture-vae"
    prior = Prior()
    pictures = ("clusters",)
    terms = ("loss", "reconstruction", "kl_z", "kl_y")
    cut = Parts(32)  # convolution is as fast on few images
    sources = {
        "bojone": Source(
            dict(output="sigmoid", init="glorot"), dict(optimizer="keras-adam", epsilon=1e-7, batch_size=100)
        )
    }

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM.of(20),
        classes=Option(10, Count(), "The number of clusters to find, K."),
        channels=Option((32, 64), Counts(1), "Channels of the encoder's levels, each of two convolutions 3x3, the "
                        "first of stride 2. The decoder mirrors them."),
        units=Option(256, Count(), "Units of the hidden layer of the classifier q(y|z)."),
        likelihood=LIKELIHOOD.of("gaussian"), sigma=SIGMA.of(REFERENCE_SIGMA),
        output=Option("linear", Choice(OUTPUTS), 'The end of the decoder: "linear", or "sigmoid" for means in [0, '
                      "1]."),
        init=INIT, source=published(sources), seed=SEED, backend=BACKEND, dtype=DTYPE,
        encoder=own("Your own encoder, a layer from x to mu and logvar, (2 latent_dim,)."),
        decoder=own("Your own decoder, a layer from z (latent_dim,) to the parameters of p(x|z)."),
        classifier=own("Your own classifier, a layer from z to the logits of q(y|z), (classes,)."),
    ):  # fmt: skip
        self.input_shape, self.latent_dim, self.classes = image_shape(input_shape), latent_dim, classes
        self.config["input_shape"] = self.input_shape
        self.likelihood = likelihood_of(likelihood, sigma)
        if output == "sigmoid" and likelihood not in ("gaussian", "laplace"):
            raise ConfigError(f"output=sigmoid gives means in [0, 1], {likelihood} takes others: use output=linear")
        x, z, shape = self.input_shape, (latent_dim,), self.likelihood.output_shape(self.input_shape)
        encoder = self.fitting("encoder", encoder, x, (2 * latent_dim,))
        decoder = self.fitting("decoder", decoder, z, shape) or conv_decoder(channels, shape, output == "sigmoid")
        classifier = self.fitting("classifier", classifier, z, (classes,))
        networks = {
            "encoder": (encoder or conv_encoder(channels, 2 * latent_dim), x),
            "decoder": (self.likelihood.decoder(decoder), z),
            "classifier": (classifier or Sequential(Dense(units, init="he"), ReLU(), Dense(classes)), z),
            "means": (Embedding(classes, latent_dim), ()),
        }
        self.build(networks)
        # From one point, as in the reference: of means drawn apart half were left without an image in our trials.
        self.store.tree["means"]["weight"].fill(0)

    @classmethod
    def examples(cls):
        first = cls(input_shape=(4, 4, 1), latent_dim=2, classes=3, channels=(2,), units=4)
        odd = dict(input_shape=(5, 3, 2), latent_dim=2, classes=2, channels=(2, 3), units=3)
        return [first, cls(**odd, likelihood="bernoulli"), cls(**odd | {"classes": 1}, likelihood="laplace", sigma=0.5)]

    def step(self, net, x):                                               # x (N, H, W, C)
        h, c_enc = net.encoder.forward(x)                                 # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        z, c_z = gaussian.sample(mu, logvar, net.normal("z", mu))         # (N, D)
        out, c_dec = net.decoder.forward(z)                               # (N, H, W, C)
        logits, c_cls = net.classifier.forward(z)                         # (N, K), of q(y|z)
        every = array_module(z).arange(self.classes)                      # (K,)
        means, c_means = net.means.forward(every)                         # (K, D), of p(z|y)
        rec, dout = self.likelihood.nll(out, x, net.count)                # (), (N, H, W, C)
        kl_z, dz_prior, dlogvar_prior, dlogits_z, dmeans = mixture.kl_to_mixture(z, logvar, logits, means, net.count)
        kl_y, dlogits_y = mixture.kl_to_uniform(logits, net.count)        # (), (N, K)

        if net.needs_grads:
            net.means.add_grads(c_means, dmeans)                          # as means = means(y)
            dz = net.classifier.backward(c_cls, dlogits_z + dlogits_y)    # (N, D), as logits = classifier(z)
            dz = dz + dz_prior + net.decoder.backward(c_dec, dout)        # (N, D), as out = decoder(z)
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)              # (N, D) each, as z = mu + sigma noise
            dh = joined(dmu, dlogvar + dlogvar_prior)                     # (N, 2D), as mu, logvar = halves(h)
            net.encoder.add_grads(c_enc, dh)                              # as h = encoder(x)
        return {"loss": rec + kl_z + kl_y, "reconstruction": rec, "kl_z": kl_z, "kl_y": kl_y}

    def log_prior(self, batch, z):
        """log p(z) = log 1/K sum_y N(z | means_y, I) in nats, (N, latent_dim) -> (N,)."""
        means = self.store.tree["means"]["weight"]
        return log_mean_exp(gaussian.log_density(z[:, None], means, 0.0))[0]

    def probabilities(self, x):
        """q(y|z) at the mean of q(z|x): (N, classes), as a NumPy array."""
        return self.in_chunks(lambda part: self._probabilities(self._encode(self._inputs(part))), self.admit(x))

    def cluster(self, x):
        """The most probable class of each image: (N,) integers in [0, classes)."""
        return self.probabilities(x).argmax(axis=1)

    def draw_prior(self, n, seed=0, labels=None):
        """n codes z ~ p(z|y), (n, latent_dim), as a NumPy array.

        labels: the classes y, (n,) or one for all; drawn from the uniform p(y) if None.
        """
        n, noise = self.draw(n, seed)
        if labels is None:
            labels = (self.classes * self.backend.to_host(noise.uniform("classes", (n,)))).astype(np.int64)
        labels = self.backend.to_host(as_array(labels, "labels"))
        if labels.dtype.kind not in "iu" or labels.shape not in ((), (n,)):
            raise ShapeError(f"{self.name}: expected labels of {n} integers or one, got {labels.dtype} {labels.shape}")
        if labels.size and not 0 <= labels.min() <= labels.max() < self.classes:
            raise ConfigError(f"{self.name}: labels count its classes, from 0 to {self.classes - 1}")
        means = self.store.tree["means"]["weight"][self.backend.asarray(np.broadcast_to(labels, (n,)))]
        return self.backend.to_host(means + noise.normal("sample", (n, self.latent_dim), self.dtype))

    def sample(self, n, seed=0, labels=None):
        """(n, *input_shape): means of p(x|z) for codes of `draw_prior`, as a NumPy array. labels: as there."""
        return self.decode(self.draw_prior(n, seed, labels))

    def _probabilities(self, z):
        return mixture.softmax(self.apply("classifier", z))[0]


def conv_encoder(channels, outputs):
    """x (N, H, W, C) -> (N, outputs): per level conv 3x3 stride 2 and conv 3x3, LeakyReLU 0.2 after each; Dense."""
    blocks = [layer for c in channels for stride in (2, 1) for layer in (Conv2D(c, 3, stride), act())]
    return Sequential(*blocks, Flatten(), Dense(outputs))


def conv_decoder(channels, output_shape, bounded=False):
    """z (N, D) -> (N, *output_shape): the mirror of `conv_encoder`, then a conv 3x3, linear or sigmoid."""
    *sizes, smallest = halved(output_shape[:2], len(channels))
    layers = [Dense(math.prod(smallest) * channels[-1]), Reshape((*smallest, channels[-1]))]
    for c, shape in zip(reversed(channels), reversed(sizes), strict=True):
        padding = resolve_padding("same", shape, (3, 3), (2, 2))
        layers += [Conv2D(c, 3), act(), ConvTranspose2D(c, 3, 2, padding), act()]
    end = [Sigmoid()] if bounded else []
    return Sequential(*layers, Conv2D(output_shape[2], 3, init="glorot"), *end)


def act():
    return LeakyReLU(0.2)
