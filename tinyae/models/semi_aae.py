"""The semi-supervised adversarial autoencoder (Makhzani et al. 2015, section 2.4): classes learned from few labels."""

import numpy as np

from ..backend import array_module
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared
from ..errors import ConfigError
from ..latent.mixture import softmax, softmax_backward
from ..latent.priors import PRIOR, PRIORS, SCALE
from ..layers.base import Layer
from ..losses import adversarial, cross_entropy_with_logits
from ..networks.autoencoder import ACTIVATION, HIDDEN, LATENT_DIM, dense_decoder, dense_encoder
from ..options import WEIGHT, Count, Number
from ..traits import Labels, Last, Monitored, Parts, Prior
from ..wording import setting
from .aae import UNITS
from .ae import AE, LOSS
from .labelled import CLASSES, Labelled
from .model import Phase

# What the phases multiply the learning rate by, and the two sides' momentum (beta1 of Adam). Sides as fast as the rest
# make p one-hot before it is right, and then hardly a gradient passes the softmax: on MNIST at 14x14 with 100 labels,
# three epochs of a small form put 90 % of the test images into their class, at equal rates 86 %.
RATES = {"reconstruction": 2.0, "discriminators": 0.6, "generator": 0.6, "classes": 2.0}
MOMENTUM = 0.5

LOOKED_AT = 2**16  # examples that labelled ones are chosen among: the whole of usual data, for a class may be rare


class SemiAAE(Labelled, AE):
    """A semi-supervised adversarial autoencoder: it learns classes from few labels (Makhzani et al. 2015).

        (logits, z) = encoder(x),   p = softmax(logits),   y = decoder(p, z)        (their section 2.4)

    p is the class and z the style, since one discriminator tells p from random one-hot vectors, and another tells z
    from samples of the prior. A step has four phases:

        reconstruction     encoder and decoder minimise the reconstruction error of y    (the "loss")
        discriminators     each minimises  -log D(sample) - log(1 - D(encoded));  the term is their sum
        generator          the encoder minimises  -log D(encoded)  of both, through the frozen discriminators
        classes            the encoder minimises  -log p[label]  of a random batch of the few labelled examples

    The training's seed chooses the labelled examples when training begins. They are kept with the model, and training
    reads no other label. In evaluation, "cross_entropy" and "classified" are computed on the evaluated examples;
    "classified" is the share whose label is the most probable class.

    A code is (p, z): `latent_dim` numbers after the `classes` of p. So that a few labels are not memorised, the encoder
    has in training noise on x and dropout after its hidden layers; the discriminators are trained on codes without
    either. The phases are the paper's; layers and sizes follow no published code.

    Another implementation, aae_semisupervised.py of fducau/AAE_pytorch, has layers of 1000 units with dropout and no
    noise. Batches of its 3000 labelled images alternate with unlabelled ones. The reconstruction error is the mean over
    the pixels. Adam's rates are 0.0006, for both sides 0.0008, and for the classes 0.001. Its cross-entropy takes the
    probabilities p for logits.

    Example
    -------
    >>> import numpy as np
    >>> model = SemiAAE(input_shape=(4, 4, 1), hidden=(8,), classes=3, labelled=6, latent_dim=2)
    >>> model.encode(np.zeros((5, 4, 4, 1))).shape
    (5, 5)
    """

    name = "semi-aae"
    labels, prior, selection = Labels(styles=True), Prior(), Last()
    cut = Parts(constant_state=True)  # the labelled examples
    monitors = (Monitored("adversaries", judges_codes=True),)
    style_dim = None  # numbers of z
    terms = ("loss", "reconstruction", "discriminators", "accuracy", "generator", "cross_entropy", "classified")

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE,
        latent_dim=LATENT_DIM.of(10).meaning("The dimension of the style z, D."), classes=CLASSES,
        labelled=Option(100, Count(), "The number of training examples that keep their label, equally many of each "
                        "class."),
        prior=PRIOR.meaning('The prior of the styles: "gaussian", "uniform" (a square), "ring" (a ring of '
                            'Gaussians) or "swiss-roll" (a spiral).'),
        scale=SCALE, hidden=HIDDEN.of((512, 256)), units=UNITS,
        noise=Option(0.5, WEIGHT, "The standard deviation of the Gaussian noise on x in training; 0 adds none."),
        dropout=Option(0.2, Number(least=0, below=1), "The rate of dropout after the encoder's hidden layers."),
        activation=ACTIVATION, loss=LOSS, seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        self.input_shape, self.classes, self.labelled = input_shape, classes, labelled
        self.use_loss(loss)
        if labelled % classes:
            rounded = max(classes, labelled - labelled % classes)
            raise ConfigError(
                f"labelled={labelled} examples cannot be as many of each of {classes} classes: "
                f"use {setting('labelled', rounded)}"
            )
        self.noise = noise
        self.style_prior = PRIORS[prior](latent_dim, 0, scale)
        self.style_dim, self.latent_dim = latent_dim, classes + latent_dim
        networks = {
            "encoder": (dense_encoder(hidden, self.latent_dim, activation, dropout), self.input_shape),
            "decoder": (dense_decoder(hidden, self.input_shape, activation), (self.latent_dim,)),
            "discriminator": (dense_encoder(units, 1, activation), (latent_dim,)),
            "class_discriminator": (dense_encoder(units, 1, activation), (classes,)),
            "labelled": (_Kept(labelled), self.input_shape),
        }
        self.build(networks)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=2, classes=3, labelled=6, hidden=(5,), units=(4,))
        odd = dict(input_shape=(4,), latent_dim=1, classes=2, labelled=2, hidden=(6, 5), units=(4, 4), loss="mse")
        return [cls(**small, activation="tanh"), cls(**odd, prior="uniform", activation="gelu", noise=0.0, dropout=0.0)]

    @property
    def begin_on(self):
        """Bytes of images stay bytes until those with a label are chosen, so even so many are cheap."""
        return max(LOOKED_AT, 8 * self.labelled)

    def begin(self, batch, noise):
        labels = self.backend.to_host(batch["labels"])
        order, each = noise.permutation(len(labels)), self.labelled // self.classes
        counts = [int((labels == label).sum()) for label in range(self.classes)]
        fewest, found = min(counts), len(np.unique(labels))
        if fewest < each:
            fewer = f"{setting('labelled', fewest * self.classes)} at most"
            raise ConfigError(
                f"labelled={self.labelled} is {each} of each class, and class {counts.index(fewest)} has {fewest} "
                f"among the {len(labels)} training examples looked at: give "
                f"{fewer if fewest else f'classes={found}, and labels from 0 to {found - 1}'}"
            )
        chosen = [order[labels[order] == label][:each] for label in range(self.classes)]
        rows, state = self.backend.asarray(np.concatenate(chosen)), self.state.tree["labelled"]
        few = self.prepare({name: self.backend.asarray(values)[rows] for name, values in batch.items()})
        state["x"][...], state["labels"][...] = few["x"], few["labels"]

    @property
    def phases(self):
        def side(name, step, *networks):
            return Phase(name, step, networks, RATES[name], objective=name, momentum=MOMENTUM)

        return [
            Phase("reconstruction", self.autoencode, ("encoder", "decoder"), RATES["reconstruction"]),
            side("discriminators", self.discriminate, "discriminator", "class_discriminator"),
            side("generator", self.generate, "encoder"),
            Phase("classes", self.learn_classes, ("encoder",), RATES["classes"], objective="cross_entropy"),
        ]

    def read(self, net, x):
        """-> (h (N, K + D), the encoder's cache), h = encoder(x + noise e) with e ~ N(0, I) in training."""
        if net.training and self.noise:
            x = x + self.noise * net.normal("noise", x)
        return net.encoder.forward(x)

    def infer(self, h):
        """h (N, K + D) -> p = softmax of its first K numbers, (N, K), and z, the rest, (N, D)."""
        return softmax(h[:, : self.classes])[0], h[:, self.classes :]

    def infer_backward(self, p, dp, dz):
        """dh = (dlogits, dz), dlogits of p = softmax(logits)."""
        return array_module(p).concatenate((softmax_backward(p, dp), dz), axis=1)

    def autoencode(self, net, x, labels):                                 # x (N, H, W, C)
        h, c_enc = self.read(net, x)                                      # (N, K + D)
        p, z = self.infer(h)                                              # (N, K), (N, D)
        y, c_dec = net.decoder.forward(array_module(p).concatenate((p, z), axis=1))    # (N, H, W, C)
        loss, dy = self.loss_function(y, x, net.count)                    # (), (N, H, W, C)

        if net.needs_grads:
            dcode = net.decoder.backward(c_dec, dy)                       # (N, K + D), as y = decoder(p, z)
            dh = self.infer_backward(p, dcode[:, : self.classes], dcode[:, self.classes :])    # as p, z = infer(h)
            net.encoder.add_grads(c_enc, dh)                              # as h = encoder(x)
        return {"loss": loss, "reconstruction": loss}

    def discriminate(self, net, x, labels):
        """The encoder is in evaluation mode, as in AAE: without noise on x."""
        p, z = self.infer(net.encoder.apply(x))                           # (N, K), (N, D)
        styles = self.style_prior.sample(net.noise.child("prior"), len(x), self.dtype)    # (N, D)
        drawn = self.one_hot((net.uniform("class", (len(x),)) * self.classes).astype("int64"))    # (N, K)
        real_z, c_real_z = net.discriminator.forward(styles, "real")      # (N, 1), logits, and so below
        fake_z, c_fake_z = net.discriminator.forward(z, "fake")
        real_p, c_real_p = net.class_discriminator.forward(drawn, "real")
        fake_p, c_fake_p = net.class_discriminator.forward(p, "fake")
        loss_z, dreal_z, dfake_z = adversarial.discriminator_loss(real_z, fake_z, batch_size=net.count)
        loss_p, dreal_p, dfake_p = adversarial.discriminator_loss(real_p, fake_p, batch_size=net.count)

        if net.needs_grads:
            net.discriminator.add_grads(c_real_z, dreal_z)                # as real_z = D(styles)
            net.discriminator.add_grads(c_fake_z, dfake_z)                # as fake_z = D(z)
            net.class_discriminator.add_grads(c_real_p, dreal_p)          # as real_p = D_y(drawn)
            net.class_discriminator.add_grads(c_fake_p, dfake_p)          # as fake_p = D_y(p)
        told = [adversarial.accuracy(*pair, net.count) for pair in ((real_z, fake_z), (real_p, fake_p))]
        return {"discriminators": loss_z + loss_p, "accuracy": 0.5 * told[0] + 0.5 * told[1]}

    def generate(self, net, x, labels):
        h, c_enc = self.read(net, x)                                      # (N, K + D)
        p, z = self.infer(h)                                              # (N, K), (N, D)
        fake_z, c_z = net.discriminator.forward(z)                        # (N, 1), logits
        fake_p, c_p = net.class_discriminator.forward(p)                  # (N, 1), logits
        loss_z, dfake_z = adversarial.generator_loss(fake_z, net.count)   # (), (N, 1)
        loss_p, dfake_p = adversarial.generator_loss(fake_p, net.count)   # (), (N, 1)

        if net.needs_grads:
            dp = net.class_discriminator.backward(c_p, dfake_p)           # (N, K), through D_y, which is frozen
            dz = net.discriminator.backward(c_z, dfake_z)                 # (N, D), through D, which is frozen
            net.encoder.add_grads(c_enc, self.infer_backward(p, dp, dz))  # as p, z = infer(encoder(x))
        return {"generator": loss_z + loss_p}

    def learn_classes(self, net, x, labels):
        """Sees as many labelled examples as the batch has, sampled with replacement. z has no part in it: dz = 0."""
        if net.training:
            kept = self.state.tree["labelled"]
            rows = (net.uniform("labelled", (len(x),)) * self.labelled).astype("int64")    # (N,)
            x, labels = kept["x"][rows], kept["labels"][rows].astype("int64")
        h, c_enc = self.read(net, x)                                      # (N, K + D)
        logits = h[:, : self.classes]                                     # (N, K)
        loss, dlogits = cross_entropy_with_logits(logits, labels, net.count)   # (), (N, K)
        right = (logits.argmax(axis=1) == labels).sum() / net.count       # ()

        if net.needs_grads:
            xp = array_module(h)
            dh = xp.concatenate((dlogits, xp.zeros_like(h[:, self.classes :])), axis=1)    # as logits are a part of h
            net.encoder.add_grads(c_enc, dh)                              # as h = encoder(x)
        return {"cross_entropy": loss, "classified": right}

    def probabilities(self, x):
        """p of each example: (N, classes), as a NumPy array."""
        return self.encode(x)[:, : self.classes]

    def classify(self, x):
        """The most probable class of each example: (N,) integers, as a NumPy array."""
        return self.probabilities(x).argmax(axis=1)

    def style(self, x, labels):
        """z of x: (N, D). The labels are not needed."""
        return self.encode(x)[:, self.classes :]

    def styled(self, z, labels):
        return self.decode(self._of_class(self.styles(z), labels))

    def draw_prior(self, n, seed=0, labels=None):
        """n codes of a label and a style of the prior each, (n, latent_dim), as a NumPy array.

        labels: (n,), one for all, or None for the classes in turn.
        """
        n, noise = self.draw(n, seed)
        labels = np.arange(n) % self.classes if labels is None else labels
        z = self.style_prior.sample(noise.child("sample"), n, self.dtype)
        return self._of_class(self.backend.to_host(z), labels)

    def sample(self, n, seed=0, labels=None):
        """(n, *input_shape): decoded codes of the prior, as a NumPy array. labels: as in `draw_prior`."""
        return self.decode(self.draw_prior(n, seed, labels))

    def _of_class(self, z, labels):
        one_hot = np.eye(self.classes, dtype=self.dtype)[self.known(labels, len(z))]
        return np.concatenate((one_hot, z), axis=1)

    def _encode(self, x):
        p, z = self.infer(self.apply("encoder", x))
        return array_module(p).concatenate((p, z), axis=1)


class _Kept(Layer):
    """What only keeps: the labelled examples "x" (count, ...), and their "labels" (count,)."""

    def __init__(self, count):
        self.count = count

    def state_shapes(self, input_shape):
        return {"x": (self.count, *input_shape), "labels": (self.count,)}
