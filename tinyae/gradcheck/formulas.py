"""Losses and latent operations, with what to check them on."""

import functools

import numpy as np

from .. import losses
from ..backend import Noise
from ..latent import gaussian, kl_forms, mixture, quantize, sparsity
from ..losses import adversarial
from ..losses import image as image_losses


@functools.cache
def functions():
    """Losses and latent operations by name: (function of float arrays returning (loss, *gradients), their draw)."""

    def draw(*names, shape=(3, 4), **others):
        shapes = dict.fromkeys(names, shape) | others
        return lambda noise: {name: noise.normal(name, s, "float64") for name, s in shapes.items()}

    def fixed(name, shape=(3, 4), unit=False):
        noise = Noise(7).child("target")
        return noise.uniform(name, shape, "float64") if unit else noise.normal(name, shape, "float64")

    target, unit = fixed("target"), fixed("unit", unit=True)
    labels, weights = np.array([[0, 4], [2, 2], [1, 3]]), np.array([0.5, 1.0, 2.0, 0.0, 3.0])
    shares = fixed("shares", (3, 2, 5), unit=True)
    picture = fixed("picture", (2, 12, 13, 2), unit=True)
    noise, cotangent = fixed("noise"), fixed("cotangent")

    vectors, codes = fixed("vectors", (4, 2, 3)), np.array([[0, 3], [4, 0], [3, 3], [0, 1]])  # code 2 is unused

    def sample(mu, logvar):
        z, cache = gaussian.sample(mu, logvar, noise)
        return (z * cotangent).sum(), *gaussian.sample_backward(cache, cotangent)

    def unit_vectors(z):
        y, cache = quantize.unit(z)
        return (y * cotangent).sum(), quantize.unit_backward(cache, cotangent)

    # Losses that are given a part of a larger batch divide by its size; a function without `batch_size` cannot be.
    return {
        "mse": (lambda prediction, batch_size=None: losses.mse(prediction, target, batch_size), draw("prediction")),
        "l1": (lambda prediction, batch_size=None: losses.l1(prediction, target, batch_size), draw("prediction")),
        "bce_with_logits": (
            lambda logits, batch_size=None: losses.bce_with_logits(logits, unit, batch_size),
            draw("logits"),
        ),
        "gaussian_nll": (
            lambda mu, logvar, batch_size=None: losses.gaussian_nll(mu, target, logvar, batch_size),
            draw("mu", "logvar"),
        ),
        "laplace_nll": (
            lambda mu, log_scale, batch_size=None: losses.laplace_nll(mu, target, log_scale, batch_size),
            draw("mu", "log_scale"),
        ),
        "cross_entropy_with_logits": (
            lambda logits, batch_size=None: losses.cross_entropy_with_logits(logits, labels, batch_size),
            draw("logits", shape=(3, 2, 5)),
        ),
        "cross_entropy_weighted": (
            lambda logits, batch_size=None: losses.cross_entropy_with_logits(logits, labels, batch_size, weights, 3),
            draw("logits", shape=(3, 2, 5)),
        ),
        "cross_entropy_smoothed": (
            lambda logits, batch_size=None: losses.cross_entropy_with_logits(
                logits, labels, batch_size, weights, ignore_index=3, label_smoothing=0.2
            ),
            draw("logits", shape=(3, 2, 5)),
        ),
        "cross_entropy_of_probabilities": (
            lambda logits, batch_size=None: losses.cross_entropy_with_logits(logits, shares, batch_size, weights),
            draw("logits", shape=(3, 2, 5)),
        ),
        "ssim_loss": (
            lambda prediction, batch_size=None: image_losses.ssim_loss(prediction, picture, batch_size),
            draw("prediction", shape=picture.shape),
        ),
        "edge_weighted_mse": (
            lambda prediction, batch_size=None: image_losses.edge_weighted_mse(prediction, picture, batch_size),
            draw("prediction", shape=picture.shape),
        ),
        "sample": (sample, draw("mu", "logvar")),
        "kl_standard": (gaussian.kl_standard, draw("mu", "logvar")),
        "kl_to_mean": (gaussian.kl_to_mean, draw("mu", "logvar", "prior_mu")),
        "kl_between": (gaussian.kl_between, draw("mu", "logvar", "prior_mu", "prior_logvar")),
        "kl_free_bits": (
            lambda mu, logvar, batch_size=None: kl_forms.kl_free_bits(mu, logvar, 0.5, batch_size),
            draw("mu", "logvar"),
        ),
        "kl_to_capacity": (
            lambda mu, logvar, batch_size=None: kl_forms.kl_to_capacity(mu, logvar, 4.0, batch_size),
            draw("mu", "logvar"),
        ),
        "kl_to_mixture": (mixture.kl_to_mixture, draw("z", "logvar", logits=(3, 5), means=(5, 4))),
        "kl_to_uniform": (mixture.kl_to_uniform, draw("logits")),
        "l1_of_code": (sparsity.l1_of_code, draw("h")),
        "kl_to_rate": (lambda h: sparsity.kl_to_rate(h, 0.1), draw("h")),
        "codebook_loss": (
            lambda codebook, batch_size=None: quantize.codebook_loss(vectors, codebook, codes, batch_size),
            draw("codebook", shape=(5, 3)),
        ),
        "commitment_loss": (
            lambda z, batch_size=None: quantize.commitment_loss(z, target, batch_size),
            draw("z"),
        ),
        "unit": (unit_vectors, draw("z")),
        "discriminator_loss": (
            lambda real, fake, batch_size=None: adversarial.discriminator_loss(real, fake, 0.1, batch_size),
            draw("real", "fake", shape=(4, 1)),
        ),
        "generator_loss": (adversarial.generator_loss, draw("fake", shape=(4, 1))),
        "critic_loss": (adversarial.critic_loss, draw("real", "fake", shape=(4, 1))),
        "critic_generator_loss": (adversarial.critic_generator_loss, draw("fake", shape=(4, 1))),
    }
