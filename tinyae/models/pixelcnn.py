"""PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016): maps of integers, pixel by pixel in raster order."""

import math

import numpy as np

from ..backend import array_module
from ..data import to_float
from ..data.examples import as_array, check_dtype, shaped
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..errors import ConfigError, DataError
from ..latent.mixture import softmax
from ..losses import cross_entropy_with_logits
from ..networks import raster
from ..networks.autoencoder import INIT
from ..networks.gated_pixelcnn import gated_networks
from ..networks.pixelcnn import residual_networks
from ..options import Choice, Count, Source
from ..traits import Autoregressive, Floats, Integers, Labels, NoCode, Parts
from .labelled import Labelled
from .model import Model

PIXELCNN_NETWORKS = {  # name: (networks, their usual width and blocks)
    "residual": (residual_networks, 128, 2),
    "gated": (gated_networks, 64, 15),
}
MOST_BLOCKS = 1024  # each is layers of its own
DRAWN = 128  # maps drawn side by side: of each, a sampler remembers some rows alone


class PixelCNN(Labelled, Model):
    """A PixelCNN: a distribution of integer maps, pixel by pixel in raster order (van den Oord et al. 2016).

        p(x) = prod_i p(x_i | x_1 ... x_i-1),   loss = -log p(x), exactly, in nats

    Masked convolutions compute all factors of the product at once.

    The input is a map of codes (H, W) in [0, levels), as a vector quantiser gives them, or images (H, W, C) in [0, 1],
    whose values are rounded to `levels` of them. The channels of a pixel then follow one another, as pixels of a map
    (H, W C). The default, for 7 x 7 codes of 128, has 1,049,728 parameters.

    source="keras" is the complete vq_vae.py of Keras's examples, and source="ritheshkumar95" with classes is the
    GatedPixelCNN of that author's pytorch-vqvae. Their losses are means over pixels, 1/49 of ours for maps of 7 x 7.
    The first two kernels of the second have one more row or column of zeros.

    Example
    -------
    >>> model = PixelCNN(input_shape=(3, 3), levels=4, width=8)
    >>> codes = model.sample(2)
    >>> codes.shape, bool((codes < 4).all())
    ((2, 3, 3), True)
    """

    name = "pixelcnn"
    terms = ("loss",)
    cut = Parts(32)  # convolution is as fast on few images
    code, prior, monitors = NoCode(), Autoregressive(), ("codes",)
    labels = None  # unless the number of classes is given
    sources = {
        name: Source(dict(network=network, init="glorot"), optimizer | dict(lr=3e-4, batch_size=128), mean=True)
        for name, network, optimizer in (
            ("keras", "residual", dict(optimizer="keras-adam", epsilon=1e-7)),
            ("ritheshkumar95", "gated", dict(optimizer="adam", epsilon=1e-8)),
        )
    }

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE.of((7, 7)),
        levels=Option(128, Count(), "The number of values of a pixel: the number of codes, or the grey levels to "
                      "which images are rounded."),
        network=Option("residual", Choice(PIXELCNN_NETWORKS), 'The network: "residual", whose receptive field has a '
                       'blind spot, or "gated", which sees all pixels before.'),
        width=Option(0, Count(0), "Channels of the network's layers; 0 takes the network's own (residual 128, gated "
                     "64)."),
        blocks=Option(0, Count(0, MOST_BLOCKS), "The number of blocks of layers; 0 takes the network's own "
                      "(residual 2, gated 15)."),
        classes=Option(0, Count(0), "The number of classes on whose labels images depend; 0 learns without labels."),
        init=INIT, source=published(sources), seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        self.input_shape, self.levels = input_shape, levels
        if len(self.input_shape) not in (2, 3):
            raise ConfigError(f"input_shape: pixelcnn takes maps (H, W) or images (H, W, C), got {input_shape!r}")
        networks, usual_width, usual_blocks = PIXELCNN_NETWORKS[network]
        self.classes, self.labels = classes, Labels(without="leave classes out") if classes else None
        self.input = Integers() if len(self.input_shape) == 2 else Floats()
        parts = networks(self.map_shape, levels, width or usual_width, blocks or usual_blocks, classes)
        self.build(parts)
        if source == "ritheshkumar95" and (network, init) == ("gated", "glorot"):
            for name in ("vertical", "horizontal"):  # there 4 x 7 and 1 x 4, of larger fans
                self.store.tree["stack"]["0"][name]["weight"] *= math.sqrt(3 / 4)
        if network == "gated":
            self.chunk = max(1, self.chunk // 8)  # so many more maps are in a gated layer than come out of it

    @property
    def map_shape(self):
        """(H, W) of the map of codes, or (H, W C) of images."""
        height, *rest = self.input_shape
        return height, math.prod(rest)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3), levels=3, width=4, blocks=1)
        images, gated = dict(input_shape=(2, 3, 2), classes=2), dict(network="gated", width=3, blocks=3)
        mono = dict(input_shape=(3, 4, 1), levels=4)
        return [cls(**small), cls(**small | images), cls(**small | gated | mono), cls(**small | gated | images)]

    def step(self, net, x, labels=None):                                  # x (N, H, W), integers
        h, c_in = net.input.forward(x)                                    # (N, H, W, width)
        bias, c_classes = net.classes.forward(labels) if self.classes else (None, None)    # one for each layer
        h, c_stack = net.stack.forward((h, bias))                         # (N, H, W, width)
        logits, c_out = net.output.forward(h)                             # (N, H, W, levels)
        loss, dlogits = cross_entropy_with_logits(logits, x, net.count)   # (), (N, H, W, levels)

        if net.needs_grads:
            dh = net.output.backward(c_out, dlogits)                      # (N, H, W, width), as logits = output(h)
            dh, dbias = net.stack.backward(c_stack, dh)                   # as h = stack(h, bias)
            if self.classes:
                net.classes.add_grads(c_classes, dbias)                   # as bias = classes(labels)
            net.input.add_grads(c_in, dh)                                 # as h = input(x)
        return {"loss": loss}

    def prepare(self, batch):
        return super().prepare(batch) if self.classes else Model.prepare(self, batch)

    def _inputs(self, x):
        """Codes (N, H, W), integers on this model's device, of maps or images."""
        x = shaped(self.backend.asarray(x), self.input_shape, self.name)
        if len(self.input_shape) == 3:
            check_dtype(x, self.name)
            x = array_module(x).rint(to_float(x, self.dtype) * (self.levels - 1)).astype("int64")
        elif x.dtype.kind not in "iu":
            raise DataError(f"{self.name}: maps of codes are integers, got {x.dtype}: give integers, or images")
        if isinstance(x, np.ndarray) and x.size and not 0 <= x.min() <= x.max() < self.levels:
            raise DataError(
                f"{self.name}: x has values from {x.min()} to {x.max()} in {self.levels} levels, 0 to "
                f"{self.levels - 1}: give such codes, images in [0, 1], or another number of levels"
            )
        return x.reshape(-1, *self.map_shape)

    def logits(self, codes, labels=None):
        """(N, H, W, levels): of each pixel given those before it. codes (N, H, W), labels (N,), on the device."""
        h = self.apply("input", codes)
        bias = self.apply("classes", labels) if self.classes else None
        return self.apply("output", self.apply("stack", (h, bias)))

    def log_prob(self, x, labels=None):
        """log p(x), or log p(x | labels), in nats: (N,), as a NumPy array."""
        return self._log_probs(x, labels)[0].sum(axis=(1, 2))

    def measures(self, x, labels=None):
        """-> {"nats_per_code", "bits_per_dim", "accuracy"} for x (N, H, W) or (N, H, W, C) and labels (N,).

        The accuracy is the share of codes that are the most probable ones.
        """
        log_probs, right = self._log_probs(x, labels)
        nats = -float(log_probs.mean(dtype="float64"))
        return {"nats_per_code": nats, "bits_per_dim": nats / math.log(2), "accuracy": float(right.mean())}

    def _log_probs(self, x, labels):
        """log p(x_i | those before) of each pixel, and whether x_i is the most probable: (N, H, W) both, NumPy."""

        def look(x, *labels):
            codes, xp = self._inputs(x), self.backend.xp
            logits = self.logits(codes, *map(self.backend.asarray, labels))
            log_p = xp.take_along_axis(softmax(logits)[1], codes[..., None], axis=-1)[..., 0]
            return xp.stack((log_p, (logits.argmax(axis=-1) == codes).astype(self.dtype)), axis=-1)

        x = self.admit(x)
        both = self.in_chunks(look, x, *([self.known(labels, len(x))] if self.classes else []))
        return both[..., 0], both[..., 1]

    def sample(self, n, seed=0, labels=None, temperature=1.0, top_k=0):
        """n drawn maps of codes (n, H, W), int64, or images (n, H, W, C) in [0, 1], as a NumPy array.

        labels: (n,), one for all, or None for the classes in turn. temperature: what logits are divided by. top_k:
        draw among so many of the most probable codes, 0 for all. A map depends on its number and the seed, not on n.
        """
        n, noise = self.draw(n, seed)
        labels = np.arange(n) % max(1, self.classes) if labels is None else self.known(labels, n)
        draw = raster.Draw(self, temperature, top_k)
        uniforms = noise.uniform("sample", (n, math.prod(self.map_shape)), self.dtype)

        def run(u, labels):
            return raster.incremental(self, draw, u, self.backend.asarray(labels))

        codes = self.in_chunks(run, uniforms, labels, size=DRAWN)
        if len(self.input_shape) == 2:
            return codes
        return (codes / max(1, self.levels - 1)).astype(self.dtype).reshape(n, *self.input_shape)

    def images(self, drawn):
        """What `sample` has drawn, as images (n, H, W, C): maps of codes are decoded. A NumPy array."""
        drawn = shaped(as_array(drawn, "drawn"), self.input_shape, self.name)
        if len(self.input_shape) == 3:
            return drawn
        if self.codec is None:
            raise ConfigError(f"{self.name} draws maps of codes here, and no vq-vae is known to decode them")
        return self.codec.decode(drawn.reshape(-1, *self.codec.code_shape))

    def encode(self, x):
        raise ConfigError(f"{self.name} has no codes of its own: it says how probable an image is, and draws new ones")

    decode = reconstruct = encode

    def example_batch(self, noise, n):
        uniform = noise.uniform("x", (n, *self.input_shape), self.dtype)
        batch = {"x": uniform if len(self.input_shape) == 3 else (uniform * self.levels).astype("int64")}
        labels = {"labels": (noise.uniform("labels", (n,)) * self.classes).astype("int64")}
        return batch | (labels if self.classes else {})
