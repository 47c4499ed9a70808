"""Generative adversarial networks: Goodfellow et al. 2014, convolutional (Radford et al. 2016), and Wasserstein."""

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared
from ..errors import ConfigError
from ..losses import adversarial
from ..losses.gradient_penalty import check_critic, gradient_penalty, gradient_penalty_backward
from ..networks.autoencoder import HIDDEN, LATENT_DIM, STRIDED_CHANNELS, image_shape, strided_channels
from ..networks.gan import conv_discriminator, conv_generator, dense_discriminator, dense_generator
from ..networks.own import own
from ..options import WEIGHT, Choice, Count, Number
from ..traits import Last, Monitored, StandardNormal, Vector
from ..wording import either
from .model import Model, Phase

GAN_NETWORKS = ("dense", "conv")
OUTPUTS = ("sigmoid", "linear")
LOSSES = {"non-saturating": ("accuracy",), "wasserstein": ("distance", "penalty")}  # terms besides the two sides' own

MOMENTUM = 0.5  # beta1 of both Adams: with the usual 0.9 G and D overshoot one another (Radford et al. 2016, section 4)


class GAN(Model):
    """A generative adversarial network: a generator G against a discriminator D (Goodfellow et al. 2014).

    G makes images from noise z ~ N(0, I), and D tells them from real images. Each step has two phases, and each freezes
    the other side:

        discriminator    min over D of   -E log D(x) - E log(1 - D(G(z)))          ("non-saturating")
                                         E D(G(z)) - E D(x) + gradient penalty     ("wasserstein")
        generator        min over G of   -E log D(G(z))   or   -E D(G(z)),         with another sample of z

    In the first phase G runs in training mode, with the batch's statistics in BatchNorm, but its running statistics
    move in the second phase alone. D sees real and generated images in separate batches; by default it has no
    BatchNorm.

    The default has 1,083,921 parameters. The losses are the papers'; layers and sizes follow no published code.

    The first paper's code (goodfeli/adversarial, mnist.yaml) has two layers of 1200 ReLU units in G and two of 240
    maxout units with dropout in D. Its z is uniform, of 100 numbers; weights begin in U(-0.05, 0.05) in G and in
    U(-0.005, 0.005) in D. Both sides are updated at once from one sample of z, D by half of its loss: by SGD in batches
    of 100, with a learning rate that decays from 0.1 and a momentum that rises from 0.5 to 0.7.

    Terms: "discriminator" is what D minimises, "loss" what G minimises, "accuracy" the share of images that D
    classifies correctly. The Wasserstein loss has "distance", E D(x) - E D(G(z)), and "penalty" instead of "accuracy".

    Example
    -------
    >>> GAN(input_shape=(8, 8, 1), channels=(4, 8)).sample(2).shape
    (2, 8, 8, 1)
    """

    name = "gan"
    code, prior, selection = Vector(encoded=False), StandardNormal(), Last()
    monitors = (Monitored("adversaries", advice="A lower {lr}, {dropout} or {smoothing}"),)

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE,
        latent_dim=LATENT_DIM.of(64).meaning("The dimension of the noise z from which an image is made."),
        network=Option("dense", Choice(GAN_NETWORKS), 'The networks: "dense", with layers of `hidden` units, or '
                       '"conv", with convolutions of `channels`.'),
        hidden=HIDDEN.of((512, 256)).meaning("Units of the hidden layers of the dense D, from the first on; G "
                                             "mirrors them."),
        channels=STRIDED_CHANNELS.meaning("Channels of the convolutional D, a level for each halving of the image; "
                                          "G mirrors them. Without any (the default) they are 32, 64, 128, 256, "
                                          "256, ..., as many as bring the image to 7 pixels or fewer."),
        loss=Option("non-saturating", Choice(LOSSES), 'The loss: "non-saturating", or "wasserstein" with a gradient '
                    "penalty (Gulrajani et al. 2017)."),
        smoothing=Option(0.0, Number(least=0, below=0.5), "What is subtracted from D's label 1 of real images, from "
                         "0 to below 0.5 (one-sided label smoothing), for the non-saturating loss."),
        penalty=Option(10.0, WEIGHT, "The weight of the gradient penalty, for the Wasserstein loss."),
        critic_steps=Option(5, Count(), "Training steps of D for each one of G, for the Wasserstein loss."),
        dropout=Option(0.3, Number(least=0, below=1), "The rate of dropout in D. Without dropout the dense form "
                       "loses modes in a long training; a Wasserstein critic works better with 0."),
        output=Option("sigmoid", Choice(OUTPUTS), 'The end of G: "sigmoid", for values in [0, 1], or "linear", for '
                      "values of any range."),
        seed=SEED, backend=BACKEND, dtype=DTYPE,
        generator=own("Your own G, a layer from z (latent_dim,) to x; `output` does not change it."),
        discriminator=own("Your own D, a layer from x to one logit; for the Wasserstein loss a Sequential of "
                          "piecewise linear layers."),
    ):  # fmt: skip
        if smoothing and loss == "wasserstein":
            raise ConfigError("smoothing: a Wasserstein critic has no labels to smooth: leave it 0")
        self.input_shape = image_shape(input_shape) if network == "conv" else input_shape
        self.config["input_shape"] = self.input_shape
        self.latent_dim, self.critic_steps = latent_dim, critic_steps
        self.wasserstein, self.smoothing, self.penalty = loss == "wasserstein", smoothing, penalty
        self.terms = ("discriminator", *LOSSES[loss], "loss")
        x, z, bounded = self.input_shape, (latent_dim,), output == "sigmoid"
        generator = self.fitting("generator", generator, z, x)
        discriminator = self.fitting("discriminator", discriminator, x, (1,))
        if network == "dense":
            usual = dense_generator(hidden, x, bounded), dense_discriminator(hidden, dropout)
        else:
            channels = channels or strided_channels(x)
            usual = conv_generator(channels, x, bounded), conv_discriminator(channels, dropout)
        discriminator = discriminator or usual[1]
        if self.wasserstein:
            check_critic(discriminator)
        networks = {"generator": (generator or usual[0], z), "discriminator": (discriminator, x)}
        self.build(networks)

    @classmethod
    def examples(cls):
        dense = dict(input_shape=(2, 3, 1), latent_dim=2, hidden=(5, 4))
        conv = dict(input_shape=(5, 4, 1), latent_dim=2, network="conv", channels=(2, 3), dropout=0.0)
        return [cls(**dense, smoothing=0.1), cls(**conv)] + [
            cls(**dense, loss="wasserstein", critic_steps=2), cls(**conv, loss="wasserstein", penalty=3.0),
            cls(input_shape=(3,), latent_dim=2, hidden=(4,), output="linear"),
        ]  # fmt: skip

    @property
    def phases(self):
        every = self.critic_steps if self.wasserstein else 1
        return [
            Phase("discriminator", self.discriminate, ("discriminator",), objective="discriminator", momentum=MOMENTUM),
            Phase("generator", self.generate, ("generator",), every=every, momentum=MOMENTUM),
        ]

    def discriminate(self, net, x):                                       # x (N, H, W, C)
        drawn, _ = net.generator.forward(self.codes_of(net, x))           # (N, H, W, C), G(z)
        real, c_real = net.discriminator.forward(x, "real")               # (N, 1), logits
        fake, c_fake = net.discriminator.forward(drawn, "drawn")          # (N, 1)
        if self.wasserstein:
            loss, dreal, dfake = adversarial.critic_loss(real, fake, net.count)    # (), (N, 1) each
            penalty, c_pen = self.slope_penalty(net, x, drawn)            # ()
            terms = {"discriminator": loss + penalty, "distance": -loss, "penalty": penalty}
        else:
            loss, dreal, dfake = adversarial.discriminator_loss(real, fake, self.smoothing, net.count)
            terms = {"discriminator": loss, "accuracy": adversarial.accuracy(real, fake, net.count)}

        if net.needs_grads:
            critic = net.discriminator
            if self.wasserstein:
                gradient_penalty_backward(critic.layer, critic.params, c_pen, critic.grads)
            critic.add_grads(c_real, dreal)                               # as real = D(x)
            critic.add_grads(c_fake, dfake)                               # as fake = D(G(z))
        return terms

    def generate(self, net, x):                                           # x (N, H, W, C), for its N alone
        drawn, c_gen = net.generator.forward(self.codes_of(net, x))       # (N, H, W, C), G(z)
        fake, c_fake = net.discriminator.forward(drawn)                   # (N, 1), logits
        side = adversarial.critic_generator_loss if self.wasserstein else adversarial.generator_loss
        loss, dfake = side(fake, net.count)                               # (), (N, 1)

        if net.needs_grads:
            ddrawn = net.discriminator.backward(c_fake, dfake)            # (N, H, W, C), through D, which is frozen
            net.generator.add_grads(c_gen, ddrawn)                        # as drawn = G(z)
        return {"loss": loss}

    def codes_of(self, net, x):
        """z ~ N(0, I), (N, D), as many as there are examples."""
        return net.normal("z", (len(x), self.latent_dim))

    def slope_penalty(self, net, x, drawn):
        """The penalty on D's slope at e x + (1 - e) G(z), points between real and drawn examples, e ~ U(0, 1) each."""
        e = net.uniform("mix", (len(x), *(1,) * len(self.input_shape)))   # (N, 1, 1, 1)
        mixed, critic, noise = drawn + e * (x - drawn), net.discriminator, net.noise.child("mixed")
        return gradient_penalty(critic.layer, critic.params, mixed, self.penalty, net.training, noise, net.count)

    def sample(self, n, seed=0):
        """(n, *input_shape): G(z) for z ~ N(0, I), as a NumPy array."""
        return self.decode(self.draw_prior(n, seed))

    def draw_prior(self, n, seed=0):
        """n codes z ~ N(0, I), (n, latent_dim), as a NumPy array: the codes of `sample`."""
        n, noise = self.draw(n, seed)
        return self.backend.to_host(noise.normal("sample", (n, self.latent_dim), self.dtype))

    def encode(self, x):
        sample = either("`sample`", "tinyae sample")
        raise ConfigError(f"{self.name} has no encoder, it draws from noise: use {sample}, or a model such as 'aae'")

    def reconstruct(self, x):
        self.encode(x)

    def _decode(self, z):
        return self.apply("generator", z)
