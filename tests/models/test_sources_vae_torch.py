"""The published autoencoders and VAEs, written here in PyTorch from their text: loss and all gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sources import (  # noqa: E402
    assert_agrees,
    assert_begins_as_glorot,
    binary_crossentropy,
    conv,
    dense,
    drawn,
    parted,
    shaken,
    tensors,
    transposed,
)
from torch.nn import functional as F  # noqa: E402

from tinyae import losses, models  # noqa: E402
from tinyae.latent import mixture  # noqa: E402
from tinyae.layers.initialisers import fans  # noqa: E402
from tinyae.models.gaussian_codes import GaussianCodes  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


# Autoencoders


@pytest.mark.parametrize("name, channels", [("conv-ae", (16, 8, 8)), ("denoising-ae", (32, 32, 16))])
def test_conv_ae_is_the_notebook_convolutional_autoencoder_solution(name, channels):
    """Of images of 28 pixels its loss is 1/784 of ours."""
    model, images = shaken(models.NAMES[name](source="udacity", dtype="float64")), drawn((2, 28, 28, 1))
    assert tuple(model.config["channels"]) == channels
    p, noise = tensors(model), None
    targets = inputs = torch.tensor(images).movedim(-1, 1)
    if name == "denoising-ae":
        noise = {"noise": np.random.default_rng(2).normal(size=images.shape)}
        inputs = torch.clip(inputs + 0.5 * torch.tensor(noise["noise"]).movedim(-1, 1), 0.0, 1.0)
    conv1 = F.relu(conv(p, "encoder.0", inputs))
    conv2 = F.relu(conv(p, "encoder.3", F.max_pool2d(conv1, 2, ceil_mode=True)))
    conv3 = F.relu(conv(p, "encoder.6", F.max_pool2d(conv2, 2, ceil_mode=True)))
    encoded = F.max_pool2d(conv3, 2, ceil_mode=True)
    conv4 = F.relu(conv(p, "decoder.2", F.interpolate(encoded, (7, 7))))
    conv5 = F.relu(conv(p, "decoder.5", F.interpolate(conv4, (14, 14))))
    conv6 = F.relu(conv(p, "decoder.8", F.interpolate(conv5, (28, 28))))
    cost = F.binary_cross_entropy_with_logits(conv(p, "decoder.10", conv6), targets)
    assert_agrees(model, {"x": images}, cost, p, 1 / 784, noise)


# Variational autoencoders


@pytest.mark.parametrize("target", (0.0, 0.3, 1.0))
def test_ours_is_binary_crossentropy_wherever_keras_does_not_clip(target):
    """Beyond a logit of 16.1 the loss stays as it is there, and there is no gradient, right or wrong."""
    logits = torch.linspace(-30, 30, 61, dtype=torch.float64, requires_grad=True)
    theirs = binary_crossentropy(torch.full_like(logits, target), torch.sigmoid(logits)).sum()
    theirs.backward()
    x, bound = logits.detach().numpy()[None], np.log((1 - 1e-7) / 1e-7)
    kept = np.clip(x, -bound, bound)
    loss, dlogits = losses.bce_with_logits(kept, np.full_like(kept, target))
    assert theirs.item() == pytest.approx(loss, abs=61 * 1e-8)  # 1 - p, 1e-7 and more, has the roundings of p
    np.testing.assert_allclose(logits.grad.numpy()[None], np.where(kept == x, dlogits, 0), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ("vae", "class-mean-vae"))
def test_vae_is_vae_keras_py_and_class_mean_vae_cvae_keras_py(name):
    model = shaken(models.NAMES[name]((7, 7, 1), hidden=(6,), source="bojone", dtype="float64"))
    images, labels, p = drawn((4, 7, 7, 1)), np.array([3, 0, 9, 3]), tensors(model)
    noise, x = np.random.default_rng(2).normal(size=(4, 2)), torch.tensor(images).reshape(4, -1)
    z_mean, z_log_var = parted(p, "encoder.3", F.relu(dense(p, "encoder.1", x)), 2)
    yh = 0.0
    if name == "class-mean-vae":
        yh = dense(p, "prior", torch.nn.functional.one_hot(torch.tensor(labels), 10).to(x.dtype))
    z = z_mean + torch.exp(z_log_var / 2) * torch.tensor(noise)
    x_decoded_mean = torch.sigmoid(dense(p, "decoder.2", F.relu(dense(p, "decoder.0", z))))
    xent_loss = binary_crossentropy(x, x_decoded_mean).sum(-1)
    kl_loss = -0.5 * (1 + z_log_var - (z_mean - yh) ** 2 - torch.exp(z_log_var)).sum(-1)
    batch = {"x": images} | ({"labels": labels} if model.labels else {})
    assert_agrees(model, batch, (xent_loss + kl_loss).mean(), p, 1, {"z": noise})


def test_beta_vae_locatello_is_disentanglement_lib():
    """conv_encoder, deconv_decoder, bernoulli_loss of logits, and the regularizer of BetaVAE."""
    options = dict(latent_dim=3, beta=4.0, source="disentanglement-lib", dtype="float64")
    model, images = shaken(models.BetaVAE((64, 64, 1), **options), amount=0.01), drawn((2, 64, 64, 1))
    p, noise = tensors(model), np.random.default_rng(2).normal(size=(2, 3))
    x = h = torch.tensor(images).movedim(-1, 1)
    for i in (0, 2, 4, 6):
        h = F.relu(conv(p, f"encoder.{i}", h, 2))
    assert [p[f"encoder.{i}.weight"].shape[0] for i in (0, 2, 4, 6)] == [4, 4, 2, 2]
    e5 = F.relu(dense(p, "encoder.9", h.movedim(1, -1).flatten(1)))
    z_mean, z_logvar = parted(p, "encoder.11", e5, 3)
    z = z_mean + torch.exp(z_logvar / 2) * torch.tensor(noise)
    d2 = F.relu(dense(p, "decoder.2", F.relu(dense(p, "decoder.0", z))))
    h = d2.reshape(2, 4, 4, 64).movedim(-1, 1)
    for i in (5, 7, 9):
        h = F.relu(transposed(p, f"decoder.{i}", h, 2))
    logits = transposed(p, "decoder.11", h, 2)
    per_sample_loss = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    kl_loss = (0.5 * (z_mean**2 + torch.exp(z_logvar) - z_logvar - 1).sum(1)).mean()
    assert_agrees(model, {"x": images}, per_sample_loss.mean() + 4.0 * kl_loss, p, 1, {"z": noise})


def test_mixture_vae_is_vae_keras_cluster_py():
    """Ours has constants more: of the Gaussian, -D/2 of the entropy of q(z|x), and log K of p(y)."""
    options = dict(latent_dim=3, classes=4, channels=(2, 3), units=5, source="bojone", dtype="float64")
    model, images = shaken(models.MixtureVAE((8, 8, 1), **options)), drawn((3, 8, 8, 1))
    p, noise = tensors(model), np.random.default_rng(2).normal(size=(3, 3))
    x = h = torch.tensor(images).movedim(-1, 1)
    for i, stride in ((0, 2), (2, 1), (4, 2), (6, 1)):
        h = F.leaky_relu(conv(p, f"encoder.{i}", h, stride), 0.2)
    h = h.movedim(1, -1).flatten(1) @ p["encoder.9.weight"] + p["encoder.9.bias"]
    mean, log_var = h[:, :3], h[:, 3:]
    z = mean + torch.exp(log_var / 2) * torch.tensor(noise)
    h = (z @ p["decoder.0.weight"] + p["decoder.0.bias"]).reshape(3, 2, 2, 3).movedim(-1, 1)
    for i in (2, 6):
        h = F.leaky_relu(conv(p, f"decoder.{i}", h), 0.2)  # transposed there: the same with its kernel turned round
        h = F.leaky_relu(transposed(p, f"decoder.{i + 2}", h, 2), 0.2)
    recon = torch.sigmoid(conv(p, "decoder.10", h))
    y = F.relu(z @ p["classifier.0.weight"] + p["classifier.0.bias"])
    y = F.softmax(y @ p["classifier.2.weight"] + p["classifier.2.bias"], dim=1)
    xent = 0.5 * ((x - recon) ** 2).mean(0)
    kl = -0.5 * (log_var[:, None] - (z[:, None] - p["means.weight"]) ** 2)
    kl = torch.bmm(y[:, None], kl).mean(0)
    cat = (y * torch.log(y)).mean(0)
    loss = 2.5 * xent.sum() + kl.sum() + cat.sum()
    constant = 32 * np.log(2 * np.pi * 0.4) - 3 / 2 + np.log(4)
    assert_agrees(model, {"x": images}, loss, p, 1, {"z": noise}, constant)


def test_what_1e_7_in_the_logarithm_of_q_is_in_vae_keras_cluster_py(e=1e-7):
    """cat_loss is the mean of sum_k q_k log(q_k + e). For any q,

        0 <= q log(q + e) - q log q <= e        and, of the derivatives by q,        0 <= q d <= e,

    so that d loss / d logit_k = q_k d_k - q_k sum_j q_j d_j differs by K e at most.
    """
    logits = torch.tensor(np.random.default_rng(0).normal(scale=8, size=(50, 6)), requires_grad=True)
    q = F.softmax(logits, dim=1)
    assert q.min() < e < q.max()
    loss = (q * torch.log(q + e)).sum(1).mean()
    loss.backward()
    kl, dlogits = mixture.kl_to_uniform(logits.detach().numpy())
    assert 0 <= loss.item() - (kl - np.log(6)) <= 6 * e
    np.testing.assert_allclose(50 * dlogits, 50 * logits.grad.numpy(), rtol=0, atol=6 * e)


def test_mixture_vae_of_bounded_means_has_a_likelihood_of_values():
    for likelihood in ("bernoulli", "categorical", "learned-gaussian"):
        with pytest.raises(models.model.ConfigError, match="^output=sigmoid gives means in "):
            models.MixtureVAE(output="sigmoid", likelihood=likelihood)
    reconstructed = models.MixtureVAE((8, 8, 1), output="sigmoid").reconstruct(drawn((3, 8, 8, 1)))
    assert 0 < reconstructed.min() and reconstructed.max() < 1


@pytest.mark.parametrize(
    "name, source",
    [
        ("vae", "bojone"), ("class-mean-vae", "bojone"), ("mixture-vae", "bojone"), ("conv-ae", "udacity"),
        ("denoising-ae", "udacity"), ("beta-vae", "disentanglement-lib"), ("pixelcnn", "keras"),
    ],
)  # fmt: skip
def test_presets_begin_as_keras_and_tensorflow_do(name, source):
    model = models.NAMES[name](source=source)
    parted = isinstance(model, GaussianCodes) and f"encoder.{len(model.networks['encoder'].layers) - 1}.weight"
    assert_begins_as_glorot(model, parted)
    if parted:
        weight = model.named_parameters()[parted]
        assert np.abs(weight).max() > np.sqrt(6 / sum(fans(weight.shape))), "as of one layer"
