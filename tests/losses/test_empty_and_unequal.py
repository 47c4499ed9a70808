"""Losses and latent operations on batches without examples, and on arrays whose shapes would broadcast."""

import numpy as np
import pytest

from tinyae import losses
from tinyae.errors import ShapeError
from tinyae.latent import gaussian, kl_forms, mixture, quantize, sparsity
from tinyae.latent.codebook import Codebook
from tinyae.losses import adversarial
from tinyae.losses import image as image_losses

NONE, IMAGES = np.zeros((0, 3)), np.zeros((0, 12, 12, 1))
MEANS = {  # losses that are means over the batch: each is called with no examples and the given `batch_size`
    "kl_standard": lambda n: gaussian.kl_standard(NONE, NONE, n),
    "kl_between": lambda n: gaussian.kl_between(NONE, NONE, NONE, NONE, n),
    "kl_to_mixture": lambda n: mixture.kl_to_mixture(NONE, NONE, np.zeros((0, 2)), np.zeros((2, 3)), n),
    "kl_to_uniform": lambda n: mixture.kl_to_uniform(NONE, n),
    "l1_of_code": lambda n: sparsity.l1_of_code(NONE, n),
    "commitment_loss": lambda n: quantize.commitment_loss(NONE, NONE, n),
    "codebook_loss": lambda n: quantize.codebook_loss(NONE, np.zeros((2, 3)), np.zeros(0, int), n),
    "discriminator_loss": lambda n: adversarial.discriminator_loss(NONE[:, :1], NONE[:, :1], 0.1, n),
    "generator_loss": lambda n: adversarial.generator_loss(NONE[:, :1], n),
    "critic_loss": lambda n: adversarial.critic_loss(NONE[:, :1], NONE[:, :1], n),
    "critic_generator_loss": lambda n: adversarial.critic_generator_loss(NONE[:, :1], n),
    "ssim_loss": lambda n: image_losses.ssim_loss(IMAGES, IMAGES, n),
    "edge_weighted_mse": lambda n: image_losses.edge_weighted_mse(IMAGES, IMAGES, n),
}
OF_THE_BATCH = {  # these look at the batch as a whole
    "kl_free_bits": lambda n: kl_forms.kl_free_bits(NONE, NONE, 0.5, n),
    "kl_to_capacity": lambda n: kl_forms.kl_to_capacity(NONE, NONE, 0.5, n),
    "kl_to_rate": lambda n: sparsity.kl_to_rate(NONE, 0.1),
}
EMPTY = r"^an empty batch has no mean loss: .* \(0, "


@pytest.mark.parametrize("name", [*MEANS, *OF_THE_BATCH])
def test_empty_batch_has_no_mean(name):
    with pytest.raises(ShapeError, match=EMPTY):
        (MEANS | OF_THE_BATCH)[name](None)


@pytest.mark.parametrize("name", MEANS)
def test_empty_part_of_a_batch_adds_nothing(name):
    loss, *gradients = MEANS[name](4)
    assert loss == 0
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", OF_THE_BATCH)
def test_empty_part_of_a_whole_has_no_mean(name):
    with pytest.raises(ShapeError, match=EMPTY):
        OF_THE_BATCH[name](4)


def test_what_is_no_mean_takes_an_empty_batch():
    assert image_losses.ssim(IMAGES, IMAGES).shape == (0,)
    assert quantize.nearest(NONE, np.zeros((2, 3))).shape == (0,)
    assert gaussian.log_density(NONE, 0.0, 0.0).shape == (0,)
    assert mixture.softmax(NONE)[0].shape == NONE.shape


def test_codebook_learns_nothing_from_an_empty_batch():
    book, z = Codebook(4, 3), np.zeros((0, 2, 3), "float32")
    params, state = book.init((2, 3), 0), book.init_state((2, 3))
    assert book.forward(params, z, state=state)[0].shape == z.shape
    with pytest.raises(ShapeError, match=EMPTY):
        book.forward(params, z, True, 0, state)


def test_codebook_refuses_a_weight_and_a_gradient_of_other_shapes():
    book, z = Codebook(4, 3), np.zeros((2, 2, 3), "float32")
    params, state = book.init((2, 3), 0), book.init_state((2, 3))
    with pytest.raises(ShapeError, match=r"expected a weight of shape \(4, 3\), got \(3, 4\)$"):
        book.forward({"weight": params["weight"].T}, z, state=state)
    _, cache = book.forward(params, z, state=state)
    with pytest.raises(ShapeError, match=r"expected dy of the output's shape \(2, 2, 3\), got \(1, 2, 3\)$"):
        book.backward(params, cache, z[:1])


A, ROW, COLUMN = np.ones((4, 3)), np.ones(3), np.ones((4, 1))
UNEQUAL = {
    "sample": lambda: gaussian.sample(A, COLUMN, A),
    "sample ": lambda: gaussian.sample(A, A, ROW),
    "sample  ": lambda: gaussian.sample(A, A, A[:1]),
    "sample_backward": lambda: gaussian.sample_backward(A, ROW),
    "kl_to_mean": lambda: gaussian.kl_to_mean(A, A, ROW),
    "kl_to_mean ": lambda: gaussian.kl_standard(A, COLUMN),
    "kl_free_bits": lambda: kl_forms.kl_free_bits(A, A[:3], 0.1),
    "kl_between": lambda: gaussian.kl_between(A, A, COLUMN, A),
    "kl_to_mixture": lambda: mixture.kl_to_mixture(A, COLUMN, A, np.ones((3, 3))),
    "kl_to_mixture ": lambda: mixture.kl_to_mixture(A, A, COLUMN, np.ones((3, 3))),
    "softmax_backward": lambda: mixture.softmax_backward(A, A[:1]),
    "unit_backward": lambda: quantize.unit_backward((A, COLUMN), ROW),
    "critic_loss": lambda: adversarial.critic_loss(COLUMN, COLUMN[:2]),
    "gaussian_nll": lambda: losses.gaussian_nll(A, A, COLUMN),
}


@pytest.mark.parametrize("name", UNEQUAL)
def test_nothing_is_broadcast(name):
    with pytest.raises(ShapeError, match=rf"^{name.strip()}\b.*\("):
        UNEQUAL[name]()


@pytest.mark.parametrize("shape", ((3,), (2, 0), ()))
def test_cross_entropy_needs_examples_and_classes(shape):
    with pytest.raises(ShapeError, match=r"^cross_entropy_with_logits: expected logits \(N, ..., K\)"):
        losses.cross_entropy_with_logits(np.zeros(shape), np.zeros(shape[:-1], int))


def test_a_single_number_is_no_batch():
    with pytest.raises(ShapeError, match="a mean loss needs a batch"):
        losses.mse(np.array(1.0), np.array(2.0))
