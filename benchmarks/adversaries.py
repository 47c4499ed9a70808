"""Milliseconds of whole training steps of adversaries, all phases with an Adam each, compared with PyTorch.

A step draws its own noise, dropout's too. What a phase does not train is frozen: neither side computes gradients of its
weights. "distance" is as in `convolution`.
"""

import functools

import numpy as np

from tinyae.backend import Noise
from tinyae.layers import Dropout
from tinyae.models import AAE, GAN, VAEGAN, SemiAAE

from . import convolution
from .contenders import CONVOLUTION
from .convolution_cases import ModelCase, leaves, product_flops
from .serve import serve

LR = 1e-4
NAMES = tuple(name for name in CONVOLUTION if name != "jax")

# What a network costs, as multiples of (its products forward, its first layer's products): forward alone; frozen, and
# passed by gradients; trained, without a gradient by what enters it; trained and passed; and a gradient penalty, which
# goes forward, back to the images, forward along the gradient there, and takes the weights' gradients once.
FORWARD, FROZEN, FIRST, TRAINED, PENALISED = (1, 0), (2, 0), (3, -1), (3, 0), (4, 0)

AAE_PASSES = {
    "reconstruction": [("encoder", FIRST), ("decoder", TRAINED)],
    "discriminator": [("encoder", FORWARD)] + 2 * [("discriminator", FIRST)],
    "generator": [("encoder", FIRST), ("discriminator", FROZEN)],
}
GAN_PASSES = {
    "discriminator": [("generator", FORWARD)] + 2 * [("discriminator", FIRST)],
    "generator": [("generator", FIRST), ("discriminator", FROZEN)],
}
WASSERSTEIN_PASSES = GAN_PASSES | {"discriminator": [*GAN_PASSES["discriminator"], ("discriminator", PENALISED)]}
VAEGAN_PASSES = {
    "encoder": [("encoder", FIRST), ("decoder", FROZEN), ("features", FROZEN), ("features", FORWARD)],
    "decoder": [("encoder", FORWARD), ("features", FORWARD)]
    + 2 * [("decoder", FIRST), ("features", FROZEN), ("head", FROZEN)],
    "discriminator": [("encoder", FORWARD)] + 2 * [("decoder", FORWARD)] + 3 * [("features", FIRST), ("head", TRAINED)],
}
SEMI_AAE_PASSES = {
    "reconstruction": AAE_PASSES["reconstruction"],
    "discriminators": [("encoder", FORWARD)] + 2 * [("discriminator", FIRST), ("class_discriminator", FIRST)],
    "generator": [("encoder", FIRST), ("discriminator", FROZEN), ("class_discriminator", FROZEN)],
    "classes": [("encoder", FIRST)],
}


class AdversaryCase(ModelCase):
    """passes: {phase: [(network, its cost)]}."""

    def __init__(self, kind, batch, passes, tolerance=1e-4, **options):
        super().__init__(kind, batch, 5, tolerance, **options)
        self.passes, self.labels = passes, np.arange(batch) % 10

    def build(self, dropout=True):
        """The model where training begins; without dropout no mask has to be the same for all contenders."""
        model = self.kind(**self.options)
        model.begin({"x": self.batch(0)[0], "labels": self.labels}, Noise(0))
        for _, network, shape in networks(model):
            for layer, _ in leaves(network, shape):
                if isinstance(layer, Dropout) and not dropout:
                    layer.rate = 0
        return model

    def batch(self, step):
        """(x (N, H, W, C) in [0, 1],) of a step."""
        return super().batch(step)[:1]

    def flops(self, phase):
        """Of a step's plain formulas; of a phase in each k-th step a k-th."""
        model, total, products = self.kind(**self.options), 0, {}
        for name, network, shape in networks(model):
            products[name] = [flops for leaf in leaves(network, shape) if (flops := product_flops(*leaf))]
        for part in model.phases:
            for name, (whole, first) in self.passes[part.name]:
                total += (whole * sum(products[name]) + first * products[name][0]) / part.every
        return total * self.size

    @property
    def convolutional(self):
        return self.kind is VAEGAN or self.options.get("network") == "conv"


def networks(model):
    """(name, network, its input shape) of all that have weights."""
    code = (model.latent_dim,)
    shapes = {"encoder": model.input_shape, "decoder": code, "generator": code, "features": model.input_shape}
    if isinstance(model, VAEGAN):
        shapes["head"] = model.networks["features"].output_shape(model.input_shape)
    elif isinstance(model, SemiAAE):
        shapes |= {"discriminator": (model.style_dim,), "class_discriminator": (model.classes,)}
    else:
        shapes["discriminator"] = model.input_shape if isinstance(model, GAN) else code
    for name, network in model.networks.items():
        if name in shapes:
            yield name, network, shapes[name]


IMAGES = dict(input_shape=(28, 28, 1))
CONV = IMAGES | dict(network="conv")
# The slope of LeakyReLU jumps at 0: where rounding takes one number across, the penalty of a batch moves by 1e-4 of it.
CRITIC = CONV | dict(loss="wasserstein", dropout=0.0)
CASES = {
    "aae-reference": AdversaryCase(AAE, 100, AAE_PASSES, network="reference", latent_dim=120, scale=5.0, **IMAGES),
    "semi-aae": AdversaryCase(SemiAAE, 100, SEMI_AAE_PASSES, **IMAGES),
    "gan-dense": AdversaryCase(GAN, 128, GAN_PASSES, **IMAGES),
    "gan-conv": AdversaryCase(GAN, 128, GAN_PASSES, **CONV),
    "vae-gan": AdversaryCase(VAEGAN, 64, VAEGAN_PASSES, **IMAGES),
    "gan-wasserstein": AdversaryCase(GAN, 64, WASSERSTEIN_PASSES, 1e-3, **CRITIC),
}


def measure(names=NAMES, rounds=5, only=None, cores=None):
    """As `convolution.measure`. The channels last are for convolutional cases alone."""
    result = {"cases": {}}
    for convolutional in (False, True):
        cases = {name: case for name, case in CASES.items() if case.convolutional == convolutional}
        chosen = [name for name in only or cases if name in cases]
        if chosen:
            peers = [name for name in names if convolutional or "channels-last" not in name]
            found = convolution.measure(peers, rounds, chosen, cores, "benchmarks.adversaries", cases)
            result |= found | {"cases": result["cases"] | found["cases"]}
    return result


show = convolution.show

if __name__ == "__main__":
    from .convolution_worker import begin

    serve(functools.partial(begin, module="adversaries", cases=CASES))
