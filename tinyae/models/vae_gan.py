"""The VAE-GAN (Larsen et al. 2016): a VAE whose reconstructions are compared in what a discriminator sees of them."""

import os

from ..backend import array_module
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared
from ..errors import CheckpointError, ConfigError
from ..latent import gaussian
from ..layers import Conv2D, Dense, Flatten, LeakyReLU, Sequential
from ..layers.activations import sigmoid
from ..losses import adversarial, mse
from ..networks.autoencoder import (
    ACTIVATION,
    LATENT_DIM,
    STRIDED_CHANNELS,
    image_shape,
    strided_channels,
    strided_decoder,
    strided_encoder,
)  # fmt: skip
from ..networks.gan import SLOPE
from ..options import RATE, Count, Path
from ..traits import Floats, Last, Monitored, Parts
from .conv_vae import ConvVAE
from .gan import MOMENTUM
from .gaussian_codes import GaussianCodes, halves, joined
from .model import Phase


class VAEGAN(GaussianCodes):
    """A VAE whose reconstructions are compared by the features of a discriminator (Larsen et al. 2016).

    One network decodes both the codes z ~ q(z|x) of images and samples z' ~ N(0, I) of the prior: y = decoder(z) and y'
    = decoder(z'). A discriminator D tells both from real images; D_l is the output of its convolutions. A step has
    three phases (their algorithm 1), each at the parameters that the one before left:

        encoder          KL(q(z|x) || N(0, I)) + 1/2 |D_l(x) - D_l(y)|^2                            (the "loss")
        decoder          gamma 1/2 |D_l(x) - D_l(y)|^2 - log D(y) - log D(y')
        discriminator    -log D(x) - log(1 - D(y)) - log(1 - D(y'))

    Each is a mean over the batch that one network minimises while the others are frozen. D does not minimise the
    squares, and the encoder gets no gradient from the logarithms. The paper's decoder has log(1 - D) in place of -log
    D; its gradient vanishes where D recognises every image.

    Encoder and decoder are the networks of ConvVAE. D has convolutions of the same channels, then Dense(units), each
    with LeakyReLU(0.2), and one logit. The default has 2,528,074 parameters.

    The authors' code (andersbll/autoencoding_beyond_pixels) has convolutions 5x5 with BatchNorm and ReLU, in D too, and
    images in [-1, 1]. It adds 0.001 to probabilities. RMSprop updates all three networks at once, with a learning rate
    that decays from 0.02; decoder or D is not updated while it is far ahead of the other. For faces the decoder
    minimises 1e-5 times the reconstruction error minus (1 - 1e-5) times D's loss, where real images weigh 0.66.

    Example
    -------
    >>> import numpy as np
    >>> model = VAEGAN(input_shape=(8, 8, 1), channels=(4, 8), units=16)
    >>> model.encode(np.zeros((2, 8, 8, 1))).shape[0], model.sample(2).shape
    (2, (2, 8, 8, 1))
    """

    name = "vae-gan"
    monitors = ("posterior-collapse", Monitored("adversaries"))
    selection, input = Last(), Floats("the sigmoid of its decoder")
    terms = ("loss", "reconstruction", "kl", "decoder", "generator", "discriminator", "accuracy")
    cut = Parts(32)  # convolution is as fast on few images

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM.of(20),
        channels=STRIDED_CHANNELS.meaning("Channels of the levels of encoder and discriminator, each of which "
                                          "halves the image (an odd side rounds up); the decoder mirrors them. "
                                          "Without any (the default) they are 32, 64, 128, 256, 256, ..., as many "
                                          "as bring the image to 7 pixels or fewer."),
        units=Option(256, Count(), "Units of the dense layer behind the convolutions of encoder and discriminator."),
        activation=ACTIVATION.meaning("The activation function after each hidden layer of encoder and decoder."),
        gamma=Option(1.0, RATE, "The weight of the reconstruction in the decoder's phase, against fooling the "
                     "discriminator."),
        start=Option("", Path(), "The folder of a conv-vae run of the same sizes, whose encoder and decoder this "
                     "model begins with; empty (the default) begins anew."),
        seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        self.input_shape, self.latent_dim = image_shape(input_shape), latent_dim
        channels = channels or strided_channels(self.input_shape)
        self.config |= dict(input_shape=self.input_shape, channels=channels)
        self.gamma, self.start = gamma, start
        features = Sequential(*(layer for c in channels for layer in (Conv2D(c, 4, stride=2, init="he"), _leaky())))
        head = Sequential(Flatten(), Dense(units, init="he"), _leaky(), Dense(1))
        networks = {
            "encoder": (strided_encoder(channels, (units,), 2 * latent_dim, activation), self.input_shape),
            "decoder": (strided_decoder(channels, (units,), self.input_shape, activation), (latent_dim,)),
            "features": (features, self.input_shape),
            "head": (head, features.output_shape(self.input_shape)),
        }
        self.build(networks)

    @classmethod
    def examples(cls):
        first = cls(input_shape=(4, 4, 1), latent_dim=2, channels=(2, 3), units=4, gamma=0.5)
        return [first, cls(input_shape=(5, 3, 2), latent_dim=3, channels=(2,), units=3, activation="tanh", gamma=2.0)]

    @property
    def phases(self):
        return [
            Phase("encoder", self.autoencode, ("encoder",)),
            Phase("decoder", self.generate, ("decoder",), objective="decoder", momentum=MOMENTUM),
            Phase(
                "discriminator", self.discriminate, ("features", "head"), objective="discriminator", momentum=MOMENTUM
            ),
        ]

    def autoencode(self, net, x):                                         # x (N, H, W, C)
        """The encoder's phase: through D's convolutions and the decoder, both frozen, to mu and logvar."""
        h, c_enc = net.encoder.forward(x)                                 # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        z, c_z = gaussian.sample(mu, logvar, net.normal("z", mu))         # (N, D)
        logits, c_dec = net.decoder.forward(z)                            # (N, H, W, C)
        y = sigmoid(logits)                                               # (N, H, W, C)
        seen, c_y = net.features.forward(y)                               # (N, h, w, c), D_l(y)
        target, _ = net.features.forward(x)                               # (N, h, w, c), D_l(x)
        rec, dseen = feature_loss(seen, target, net.count)                # (), (N, h, w, c)
        kl, dmu_kl, dlogvar_kl = gaussian.kl_standard(mu, logvar, net.count)   # (), (N, D) each

        if net.needs_grads:
            dy = net.features.backward(c_y, dseen)                        # (N, H, W, C), as seen = features(y)
            dz = net.decoder.backward(c_dec, y * (1 - y) * dy)            # (N, D), as y = sigmoid(decoder(z))
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)              # (N, D) each, as z = mu + sigma noise
            net.encoder.add_grads(c_enc, joined(dmu + dmu_kl, dlogvar + dlogvar_kl))   # as mu, logvar = encoder(x)
        return {"loss": rec + kl, "reconstruction": rec, "kl": kl}

    def generate(self, net, x):                                           # x (N, H, W, C)
        """The decoder's phase. Two gradients meet in D's convolutions: of the logits, and for y of the squares."""
        n = len(x)
        y, c_dec = self.fakes(net, x)                                     # (2N, H, W, C), decoded codes, then samples
        seen, c_y = net.features.forward(y)                               # (2N, h, w, c)
        fake, c_head = net.head.forward(seen)                             # (2N, 1), logits
        target, _ = net.features.forward(x)                               # (N, h, w, c)
        rec, dsquares = feature_loss(seen[:n], target, net.count)         # (), (N, h, w, c)
        gan, dfake = adversarial.generator_loss(fake, net.count)          # (), (2N, 1)

        if net.needs_grads:
            dseen = net.head.backward(c_head, dfake)                      # (2N, h, w, c), as fake = head(seen)
            of_codes = dseen[:n] + self.gamma * dsquares                  # (N, h, w, c), as rec sees the codes' half
            dseen = array_module(x).concatenate((of_codes, dseen[n:]))    # (2N, h, w, c)
            dy = net.features.backward(c_y, dseen)                        # (2N, H, W, C), as seen = features(y)
            net.decoder.add_grads(c_dec, y * (1 - y) * dy)                # as y = sigmoid(decoder(z))
        return {"decoder": self.gamma * rec + gan, "generator": gan}

    def discriminate(self, net, x):                                       # x (N, H, W, C)
        """Real images, decoded codes and samples in one batch, as nothing in D couples its examples."""
        n = len(x)
        y, _ = self.fakes(net, x)                                         # (2N, H, W, C)
        seen, c_x = net.features.forward(array_module(x).concatenate((x, y)))    # (3N, h, w, c)
        logits, c_head = net.head.forward(seen)                           # (3N, 1)
        real, decoded, drawn = logits[:n], logits[n : 2 * n], logits[2 * n :]    # (N, 1) each
        loss, dreal, dfake = adversarial.discriminator_loss(real, logits[n:], batch_size=net.count)
        told = [adversarial.accuracy(real, fake, net.count) for fake in (decoded, drawn)]

        if net.needs_grads:
            dlogits = array_module(x).concatenate((dreal, dfake))         # (3N, 1), as real, fake = logits
            dseen = net.head.backward(c_head, dlogits)                    # (3N, h, w, c), as logits = head(seen)
            net.features.add_grads(c_x, dseen)                            # as seen = features(x, y)
        return {"discriminator": loss, "accuracy": 0.5 * (told[0] + told[1])}

    def fakes(self, net, x):
        """-> (decoded codes of x and below them decoded samples of the prior, (2N, H, W, C); the decoder's cache)."""
        h, _ = net.encoder.forward(x)                                     # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        z, _ = gaussian.sample(mu, logvar, net.normal("z", mu))           # (N, D)
        codes = array_module(x).concatenate((z, net.normal("prior", mu))) # (2N, D)
        logits, c_dec = net.decoder.forward(codes)                        # (2N, H, W, C)
        return sigmoid(logits), c_dec

    def begin(self, batch, noise):
        """Take encoder and decoder over from the run `start`."""
        if not self.start:
            return
        from ..checkpoint import files as checkpoint

        if not os.path.exists(self.start):
            raise CheckpointError(f"start: no such run {self.start}: give the folder of a {ConvVAE.name}")
        found = checkpoint.find(self.start)
        if found.meta["model"] != ConvVAE.name:
            raise ConfigError(f"start: {self.start} is a run of {found.meta['model']}: give one of {ConvVAE.name}")
        theirs, names = found.meta["config"], ("input_shape", "latent_dim", "channels", "units", "activation")
        ours = {name: self.config[name] for name in names} | {"likelihood": "bernoulli"}
        for name, value in checkpoint.json_ready(ours).items():
            if theirs[name] != value:
                differ = f"{self.start} has {name}={theirs[name]!r}, this model {value!r}"
                remedy = "give both the same" if name in names else f"train the {ConvVAE.name} with {name}={value}"
                raise ConfigError(f"start: {differ}: {remedy}")
        both = ("encoder", "decoder")
        self.store.subset(both).flat[...] = found.model(self.backend).store.subset(both).flat
        self.store.version += 1

    def _decode(self, z):
        return sigmoid(self.apply("decoder", z))


def feature_loss(seen, target, batch_size=None):
    """1/(2N) sum (seen - target)^2;  dseen = (seen - target) / N: a Gaussian of variance 1, up to its constant."""
    squares, dseen = mse(seen, target, batch_size)
    return 0.5 * squares, 0.5 * dseen


def _leaky():
    return LeakyReLU(SLOPE)
