"""The vector-quantised variational autoencoder (van den Oord et al. 2017)."""

import math

import numpy as np

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..errors import ConfigError
from ..latent.codebook import MOST_BOOKS, Codebook, HeldCodebook
from ..layers.base import Layer
from ..losses import mse
from ..networks.autoencoder import image_shape
from ..networks.own import output_of, own
from ..networks.vq import VQ_NETWORKS, code_size, network_for
from ..options import SHARE, WEIGHT, Choice, Count, Flag, Source
from ..traits import Best, IntegerMap, Whole
from .context import Context
from .model import Model

SOURCE_BOUND = 0.05  # Keras samples the initial codes between -0.05 and 0.05
WHOLE = 2**26  # a source takes the variance of at most so many numbers: 85,000 images of 28 x 28


class VQVAE(Model):
    """A vector-quantised variational autoencoder (van den Oord et al. 2017).

        z = encoder(x),   q = the nearest codes of the map z,   y = decoder(q)
        loss = |x - y|^2 / variance + |sg(z) - q|^2 + commitment |z - sg(q)|^2        (their equation 3)

    The variance is the data's, measured when the first training begins. Then, too, the codes are set to the k-means
    centres of the encoder's output. A code is a map of integers (N, h, w), with several codebooks (N, h, w, codebooks).
    The default has 49,937 parameters: 19,856 + 28,033 + 2,048.

    source="keras" is the complete vq_vae.py of Keras's examples, and source="bojone" is vq_vae_keras.py of bojone/vae.
    Their loss is a mean over the values of an image, where ours is the sum. Their networks differ from "small" and
    "residual" in this: the terms of the codebook are means over its own elements, and so weigh less; the initial
    weights are Glorot's, and the initial codes within 0.05 of 0; "keras" subtracts 0.5 from images; BatchNorm in
    "bojone" has momentum 0.99 and epsilon 0.001. "paper" follows the text of a paper, no code.

    Example
    -------
    >>> import numpy as np
    >>> model = VQVAE(input_shape=(8, 8, 1), codes=16)
    >>> codes = model.encode(np.zeros((2, 8, 8, 1)))
    >>> codes.shape, model.decode(codes).shape
    ((2, 2, 2), (2, 8, 8, 1))
    """

    name = "vq-vae"
    unit = "squared error over variance"
    terms = ("loss", "reconstruction", "codebook", "commitment")
    code_weight = 1  # factor of the codebook's terms
    sources = {
        name: Source(options, dict(optimizer="keras-adam", epsilon=1e-7, batch_size=size), mean=True)
        for name, options, size in (
            ("keras", dict(network="keras", restart=False), 128),
            ("bojone", dict(network="bojone", relative=False, restart=False), 64),
        )
    }
    monitors = ("codebook",)
    selection = Best("reconstruction")  # the other terms grow while vectors spread over more of the space
    cut = Whole()  # codes are counted over the batch

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE,
        network=Option("auto", Choice(("auto", *VQ_NETWORKS)), "The encoder and its decoder, for images of any "
                       'size: "small" (published for 28 pixels), "paper" (for 32 pixels) or "residual" (for 128 '
                       'pixels); "auto" takes the one published for about the size of the images. "keras" and '
                       '"bojone" are "small" and "residual" as published code has them, see `source`.'),
        codes=Option(0, Count(0), "The number of codes of a codebook, K; 0 takes the network's own (small 128, "
                     "paper 512, residual 64)."),
        latent_dim=Option(0, Count(0), "The dimension of a code's vector, D; 0 takes the network's own (small 16, "
                          "paper 256, residual 128)."),
        codebooks=Option(1, Count(1, MOST_BOOKS), "The number of codebooks. Each vector has a code in every one."),
        residual_codes=Option(False, Flag(), "With several codebooks: whether each quantises the residual of those "
                              "before it (true), or its own part of a vector (false)."),
        commitment=Option(0.25, WEIGHT, "The weight of the commitment loss, which keeps the encoder's vectors near "
                          "their codes; 0 leaves it out."),
        ema=Option(False, Flag(), "Whether codes are moving averages of their vectors (true), or parameters that "
                   "the codebook loss trains (false)."),
        decay=Option(0.99, SHARE, "The share of a moving average that a training step keeps, for ema=true."),
        cosine=Option(False, Flag(), "Whether vectors and codes are compared by their direction (true), or by their "
                      "distance (false)."),
        restart=Option(True, Flag(), "Whether a code that hardly any vector chooses is set to a vector of the batch "
                       "(Dhariwal et al. 2020)."),
        relative=Option(True, Flag(), "Whether the squared error is divided by the variance of the data."),
        source=published(sources), seed=SEED, backend=BACKEND, dtype=DTYPE,
        encoder=own("Your own encoder, a layer from x to a map of vectors (h, w, latent_dim). It sees images as "
                    '`network` does, in [-1, 1] for "residual".'),
        decoder=own("Your own decoder, a layer from that map to y."),
    ):  # fmt: skip
        self.input_shape = image_shape(input_shape)
        network = network_for(self.input_shape) if network == "auto" else network
        self.kind = VQ_NETWORKS[network]
        self.signed = self.kind.shift == -1  # whether the networks see images in [-1, 1]
        self.latent_dim, self.code_count = latent_dim or self.kind.units, codes or self.kind.codes
        self.config |= dict(
            input_shape=self.input_shape, network=network, codes=self.code_count, latent_dim=self.latent_dim
        )
        self.commitment, self.relative = commitment, relative
        x, size = self.input_shape, code_size(self.input_shape)
        if encoder is not None and len(found := output_of(self.name, "encoder", encoder, x)) == 3:
            size = found[:2]
        self.map_shape = (*size, self.latent_dim)
        usual = self.kind.make(x, self.latent_dim)
        encoder = self.fitting("encoder", encoder, x, self.map_shape) or usual[0]
        decoder = self.fitting("decoder", decoder or usual[1], self.map_shape, x)
        self.codebook = Codebook(
            self.code_count, self.latent_dim, codebooks, residual_codes, ema, decay, cosine, restart,
            SOURCE_BOUND if self.kind.source else None,
        )  # fmt: skip
        self.code_shape = self.map_shape[:2] if codebooks == 1 else (*self.map_shape[:2], codebooks)
        self.code = IntegerMap(self.code_shape, self.code_count)
        if self.kind.source:  # its terms are means over elements; relative to the pixels, whose weight is 1 here
            self.code_weight = math.prod(self.input_shape) / math.prod(self.map_shape)
        networks = {
            "encoder": (encoder, self.input_shape),
            "codebook": (self.codebook, self.map_shape),
            "decoder": (decoder, self.map_shape),
            "scale": (_Variance(), ()),
        }
        self.build(networks, init="glorot" if self.kind.source else "own")
        if ema:
            self.terms = ("loss", "reconstruction", "commitment")
            drawn = self.codebook.draw(self.backend.noise(seed).child("init.codebook"), dtype)
            self.codebook.set_weight(None, self.state.tree["codebook"], drawn)

    @classmethod
    def examples(cls):
        tiny = dict(input_shape=(5, 4, 1), network="small", codes=3, latent_dim=2)
        pairs = tiny | dict(latent_dim=4, codebooks=2)
        others = [dict(ema=True), dict(cosine=True), dict(cosine=True, ema=True, commitment=1.0)]
        return [cls(**tiny), *(cls(**tiny, **other) for other in others), cls(**pairs)] + [
            cls(**pairs, residual_codes=True),
            cls(**pairs, residual_codes=True, ema=True),
            cls(**pairs, cosine=True),
            cls(input_shape=(4, 4, 2), network="paper", codes=3, latent_dim=2),
            cls(**tiny | {"network": "keras"}),
            cls(input_shape=(4, 5, 1), network="residual", codes=3, latent_dim=2),
        ]

    def step(self, net, x):                                               # x (N, H, W, C)
        x = self.scaled(x)                                                # (N, H, W, C)
        weight = 1 / net.scale.state["variance"]                          # ()
        z, c_enc = net.encoder.forward(x)                                 # (N, h, w, D)
        q, c_q = net.codebook.forward(z)                                  # (N, h, w, D), the nearest codes
        y, c_dec = net.decoder.forward(q)                                 # (N, H, W, C)
        error, dy = mse(y, x, net.count)                                  # (), (N, H, W, C)
        rec, count, book = weight * error, net.count / self.code_weight, net.codebook
        codebook, commit, dz_commit = book.layer.losses(book.params, c_q, count)    # (), (), (N, h, w, D)

        if net.needs_grads:
            book.layer.losses_backward(book.params, c_q, book.grads, count)    # as codebook = |sg(z) - e|^2
            dq = net.decoder.backward(c_dec, weight * dy)                 # (N, h, w, D), as y = decoder(q)
            dz = net.codebook.backward(c_q, dq)                           # (N, h, w, D), straight through: dz = dq
            net.encoder.add_grads(c_enc, dz + self.commitment * dz_commit)    # as z = encoder(x)
        paid = self.commitment * commit
        terms = {"loss": rec + codebook + paid, "reconstruction": rec, "codebook": codebook, "commitment": paid}
        return {name: terms[name] for name in self.terms}

    def scaled(self, x):
        """x as the networks see it: in [0, 1], [-1, 1] or [-1/2, 1/2]."""
        return self.kind.scale * x + self.kind.shift if self.kind.shift else x

    def after_update(self, phase, net):
        """Running statistics, and the codebook's: counts, moving averages, and the restart of dead codes."""
        for name in ("encoder", "decoder"):
            getattr(net, name).update_state()
        self.codebook.update_state(net.codebook.state, net.caches["codebook"][-1], net.codebook.params)
        self.store.version += 1

    @property
    def begin_on(self):
        """A source takes the variance of all its data."""
        whole = self.published and self.relative
        return max(self.chunk, WHOLE // math.prod(self.input_shape)) if whole else self.chunk

    def begin(self, batch, noise):
        """Before the first step, by a batch of the training data: the codes and the variance to start from.

        A model that was trained before goes on with its own: its decoder knows these codes.
        """
        if (self.backend.to_host(self.state.tree["codebook"]["counts"]) != 1).any():
            return
        x = self.scaled(self.prepare(batch)["x"])
        if self.relative:
            variance = x.var()  # 0 of a single grey
            variance = variance.clip(1e-6) if self.published else variance + 1e-6
            self.state.tree["scale"]["variance"][...] = variance
        if self.kind.source:
            return
        z, _ = Context(self, noise, True, None, len(x)).encoder.forward(x)
        self.codebook.start(self.store.tree["codebook"], self.state.tree["codebook"], z, noise.child("codebook"))
        self.store.version += 1

    def usage(self, x):
        """How many vectors of images x choose each code: (codebooks, K), a NumPy array."""
        codes = self.encode(x).reshape(-1, self.codebook.books)
        return np.stack([np.bincount(column, minlength=self.code_count) for column in codes.T])

    def encode(self, x):
        """Codes of x as integers (N, h, w), with several codebooks (N, h, w, codebooks), a NumPy array."""
        return super().encode(x)

    def decode(self, z):
        """Images (N, *input_shape) of maps of codes as `encode` gives them, as a NumPy array."""
        return self.in_chunks(lambda part: self._decode(self.backend.asarray(part)), self.code.admit(self, z))

    def sample(self, n, seed=0):
        raise ConfigError(f"{self.name} has no prior: train one on its codes with tinyae train pixelcnn --codes RUN")

    def uniform_codes(self, n, seed=0):
        """n maps of codes drawn evenly, each on its own: what images are without a prior. A NumPy array."""
        n, noise = self.draw(n, seed)
        drawn = noise.uniform("codes", (n, *self.code_shape), "float64")
        return self.backend.to_host((drawn * self.code_count).astype("int64"))

    def frozen(self, batch, seed, step):
        """As in Model: constant are the codes, and the side of each loss that its gradient does not pass."""
        x = self.scaled(self.prepare(batch)["x"])
        net = Context(self, self.backend.noise(seed, step), True, None, len(x))
        z, _ = net.encoder.forward(x)
        _, cache = net.codebook.forward(z)
        return {"codebook": HeldCodebook(self.codebook, z, cache)}

    def _encode(self, x):
        z = self.apply("encoder", self.scaled(x))
        return self.codebook.encode(self.store.tree["codebook"], z, self.state.tree["codebook"])

    def _decode(self, codes):
        q = self.codebook.decode(self.store.tree["codebook"], codes, self.state.tree["codebook"])
        y = self.apply("decoder", q)
        return (y - self.kind.shift) / self.kind.scale if self.kind.shift else y


class _Variance(Layer):
    """The data's variance, what squared error is divided by; 1 until training begins."""

    def state_shapes(self, input_shape):
        return {"variance": ()}

    def init_state(self, input_shape, xp=np, dtype="float32"):
        return {"variance": xp.ones((), dtype=dtype)}
