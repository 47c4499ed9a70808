"""The adversarial autoencoder (Makhzani et al. 2015): an autoencoder whose codes look like draws of a prior."""

import math

from ..backend import array_module
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..latent.priors import PRIOR, PRIORS, SCALE
from ..layers import Dense, Dropout, Flatten, ReLU, Reshape, Sequential
from ..losses import adversarial
from ..networks.autoencoder import ACTIVATION, HIDDEN, INIT, LATENT_DIM, dense_decoder, dense_encoder
from ..networks.own import own
from ..options import WEIGHT, Choice, Count, Counts, Source
from ..traits import Labels, Last, Monitored
from .ae import AE, LOSS
from .labelled import Labelled
from .model import Model, Phase

# What the two sides' phases multiply the learning rate by, and their momentum (beta1 of Adam). The reference's are
# published. With 0.5 and 1.0 the codes of the digits crowd in the middle of a Gaussian and leave 95 % of its draws
# without one near (60 epochs), with 1.0 and 0.5 it is 13 %. A still slower generator keeps more of the image.
AAE_NETWORKS = {
    "small": dict(discriminator=1.0, generator=0.5, momentum=0.5),
    "reference": dict(discriminator=0.5, generator=0.5, momentum=0.9),
}
UNITS = Option(
    (256, 256), Counts(), "Units of the hidden layers of each discriminator, from the first on.",
)


class AAE(Labelled, AE):
    """An adversarial autoencoder: its codes are trained to look like samples of a prior (Makhzani et al. 2015).

        z = encoder(x),   y = decoder(z),   D(z) = the probability that z is a sample of the prior p(z)

    A step has three phases, each with an optimiser of its own:

        reconstruction   encoder and decoder minimise the reconstruction error of y       (the "loss")
        discriminator    D minimises  -log D(z' ~ p(z)) - log(1 - D(encoder(x))),  the encoder in evaluation mode
        generator        the encoder minimises  -log D(encoder(x)),  through the frozen D

    With classes D gets the label next to the code, one-hot. All its numbers are 0 for an example of label -1, whose
    class is unknown (their section 2.3).

    source="bfarzin" is main_aae.py of bfarzin/pytorch_aae, with one exception: the source never clears gradients
    between the phases of a step, so its generator phase moves the encoder by the sum of all three gradients; ours
    clears them. Its reconstruction error is the mean over the pixels, 1/784 of ours, and it adds 1e-15 to images and
    probabilities.

    Example
    -------
    >>> import numpy as np
    >>> model = AAE(input_shape=(4, 4, 1), hidden=(8,), latent_dim=2)
    >>> model.encode(np.zeros((3, 4, 4, 1))).shape, model.sample(2).shape
    ((3, 2), (2, 4, 4, 1))
    """

    name = "aae"
    selection = Last()
    monitors = (
        Monitored("adversaries", judges_codes=True, advice="A lower {discriminator_rate} or a higher {generator_rate}"),
    )
    terms = ("loss", "reconstruction", "discriminator", "accuracy", "generator")
    labels = None  # unless the number of classes is given
    sources = {
        "bfarzin": Source(
            dict(network="reference", latent_dim=120, scale=5.0, init="pytorch"),
            dict(optimizer="adam", epsilon=1e-8, lr=1e-4, batch_size=100),
            mean=True,
        )
    }

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM, prior=PRIOR, scale=SCALE,
        classes=Option(0, Count(0), "The number of classes of the labels, each of which has a region of the prior; "
                       "0 trains without labels."),
        network=Option("small", Choice(AAE_NETWORKS), 'The networks: "small", with layers of `hidden` and `units`, '
                       'or "reference", as in the paper\'s MNIST experiments, meant for latent_dim=120, scale=5 '
                       "and a learning rate of 0.0001."),
        hidden=HIDDEN.of((512, 256)),
        units=UNITS, activation=ACTIVATION, loss=LOSS,
        discriminator_rate=Option(0.0, WEIGHT, "The factor of the learning rate in the discriminator's phase; 0 "
                                  "takes the network's own (small 1, reference 0.5)."),
        generator_rate=Option(0.0, WEIGHT, "The factor of the learning rate in the generator's phase; 0 takes the "
                              "network's own (0.5). A lower one takes longer to fill the prior and costs less "
                              "reconstruction."),
        init=INIT.meaning('The initial weights: "own" (as the network has them), "glorot" as in Keras and '
                          'TensorFlow, or "pytorch" as in PyTorch, biases included.'),
        source=published(sources), seed=SEED, backend=BACKEND, dtype=DTYPE,
        encoder=own("Your own encoder, a layer from x to z (latent_dim,)."),
        decoder=own('Your own decoder, a layer from z to y, which is logits for loss="bce".'),
        discriminator=own("Your own discriminator, a layer from z, followed by the one-hot label of `classes` "
                          "numbers, to one logit."),
    ):  # fmt: skip
        self.input_shape, self.latent_dim = input_shape, latent_dim
        self.use_loss(loss)
        self.sides = dict(AAE_NETWORKS[network])
        given = {"discriminator": discriminator_rate, "generator": generator_rate}
        self.sides |= {side: rate for side, rate in given.items() if rate}
        self.classes, self.labels = classes, Labels(least=-1, without="leave classes out") if classes else None
        self.prior = PRIORS[prior](latent_dim, classes, scale)
        x, z, seen = self.input_shape, (latent_dim,), (latent_dim + classes,)
        if network == "reference":
            usual = reference_networks(latent_dim, x)
        else:
            usual = dense_encoder(hidden, latent_dim, activation), dense_decoder(hidden, x, activation)
            usual += (dense_encoder(units, 1, activation),)
        networks = {
            "encoder": (self.fitting("encoder", encoder, x, z) or usual[0], x),
            "decoder": (self.fitting("decoder", decoder, z, x) or usual[1], z),
            "discriminator": (self.fitting("discriminator", discriminator, seen, (1,)) or usual[2], seen),
        }
        self.build(networks)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=2, hidden=(5,), units=(6,))
        smooth = small | dict(activation="tanh")
        return [cls(**small), cls(**smooth, prior="ring", classes=3), cls(**smooth, prior="swiss-roll", loss="mse")] + [
            cls(input_shape=(4,), latent_dim=3, hidden=(6, 5), units=(4, 4), prior="uniform", classes=2, loss="l1"),
        ]

    @property
    def phases(self):
        def side(name, step, network):
            rate, momentum = self.sides[name], self.sides["momentum"]
            return Phase(name, step, (network,), rate, objective=name, momentum=momentum)

        return [
            Phase("reconstruction", self.autoencode, ("encoder", "decoder"), scale=self.loss_scale),
            side("discriminator", self.discriminate, "discriminator"),
            side("generator", self.generate, "encoder"),
        ]

    def autoencode(self, net, x, labels=None):                            # x (N, H, W, C)
        z, c_enc = net.encoder.forward(x)                                 # (N, D)
        y, c_dec = net.decoder.forward(z)                                 # (N, H, W, C)
        loss, dy = self.loss_function(y, x, net.count)                    # (), (N, H, W, C)

        if net.needs_grads:
            dz = net.decoder.backward(c_dec, dy)                          # (N, D), as y = decoder(z)
            net.encoder.add_grads(c_enc, dz)                              # as z = encoder(x)
        return {"loss": loss, "reconstruction": loss}

    def discriminate(self, net, x, labels=None):
        """The encoder is in evaluation mode: D judges codes as they are used, without dropout. D has its own."""
        z = net.encoder.apply(x)                                          # (N, D)
        drawn = self.prior.sample(net.noise.child("prior"), len(x), self.dtype, labels)    # (N, D)
        real, c_real = net.discriminator.forward(self.conditioned(drawn, labels), "real")    # (N, 1), logits
        fake, c_fake = net.discriminator.forward(self.conditioned(z, labels), "fake")    # (N, 1)
        loss, dreal, dfake = adversarial.discriminator_loss(real, fake, batch_size=net.count)    # (), (N, 1) each

        if net.needs_grads:
            net.discriminator.add_grads(c_real, dreal)                    # as real = D(drawn)
            net.discriminator.add_grads(c_fake, dfake)                    # as fake = D(z)
        return {"discriminator": loss, "accuracy": adversarial.accuracy(real, fake, net.count)}

    def generate(self, net, x, labels=None):
        z, c_enc = net.encoder.forward(x)                                 # (N, D)
        fake, c_dis = net.discriminator.forward(self.conditioned(z, labels))   # (N, 1), logits
        loss, dfake = adversarial.generator_loss(fake, net.count)         # (), (N, 1)

        if net.needs_grads:
            dzy = net.discriminator.backward(c_dis, dfake)                # (N, D + classes), through D, which is frozen
            dz = dzy[:, : self.latent_dim]                                # (N, D), as labels need no gradient
            net.encoder.add_grads(c_enc, dz)                              # as z = encoder(x)
        return {"generator": loss}

    def conditioned(self, z, labels):
        """D's input: z (N, D), and where there are classes the one-hot labels after it: (N, D + classes)."""
        if not self.classes:
            return z
        return array_module(z).concatenate((z, self.one_hot(labels)), axis=1)

    def prepare(self, batch):
        return super().prepare(batch) if self.classes else Model.prepare(self, batch)

    def example_batch(self, noise, n):
        return super().example_batch(noise, n) if self.classes else Model.example_batch(self, noise, n)

    def draw_prior(self, n, seed=0, labels=None):
        """n codes of the prior, (n, latent_dim), as a NumPy array.

        labels: (n,), or one for all, whose regions they are drawn in; None for the whole of the prior.
        """
        n, noise = self.draw(n, seed)
        if labels is not None:
            labels = self.backend.asarray(self.known(labels, n))
        return self.backend.to_host(self.prior.sample(noise.child("sample"), n, self.dtype, labels))

    def sample(self, n, seed=0, labels=None):
        """(n, *input_shape): decoded codes of the prior, as a NumPy array. labels: as in `draw_prior`."""
        return self.decode(self.draw_prior(n, seed, labels))


def reference_networks(latent_dim, input_shape):
    """Encoder, decoder and discriminator of `bfarzin/pytorch_aae`, main_aae.py: two hidden layers of 1000 units each
    with dropout 0.25, of 500 with 0.2 in the discriminator. The dropout comes before the ReLU, and the decoder's second
    layer has none.
    """

    def dense(units, rate):
        return Dense(units, init="uniform"), Dropout(rate)

    def relu(units, rate):
        return *dense(units, rate), ReLU()

    outputs = Dense(math.prod(input_shape), init="uniform"), Reshape(input_shape)
    encoder = Sequential(Flatten(), *relu(1000, 0.25), *relu(1000, 0.25), Dense(latent_dim, init="uniform"))
    decoder = Sequential(*relu(1000, 0.25), *dense(1000, 0.25), *outputs)
    discriminator = Sequential(*relu(500, 0.2), *relu(500, 0.2), Dense(1, init="uniform"))
    return encoder, decoder, discriminator
