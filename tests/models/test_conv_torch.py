"""Trainings of the convolutional models compared with PyTorch, whose own layers take channels-first images."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import distributions as D  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import models, optim  # noqa: E402
from tinyae.params import nest  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


@pytest.fixture(scope="module")
def pictures():
    """Real images, (256, 28, 28, 1) in [0, 1]."""
    return tinyae.data.load("fashion-mini").train.x[:256] / 255


def conv(p, name, x, stride=1):
    """ "same" convolution: of an odd number of zeros the end gets one more."""
    weight = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous()
    sides = []
    for size in (x.shape[3], x.shape[2]):
        total = max((math.ceil(size / stride) - 1) * stride + weight.shape[2] - size, 0)
        sides += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, sides), weight, p[f"{name}.bias"], stride)


def transpose(p, name, x, size):
    """4x4 stride 2, one row and column cut off before, at the end what exceeds `size`."""
    weight, bias = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous(), p[f"{name}.bias"]
    return F.conv_transpose2d(x, weight, bias, 2)[:, :, 1 : 1 + size, 1 : 1 + size]


def dense(p, name, x):
    return F.linear(x, p[f"{name}.weight"].T, p[f"{name}.bias"])


def first(x):
    """(N, H, W, C) -> (N, C, H, W)."""
    return x.permute(0, 3, 1, 2)


def bce(logits, x):
    """The mean over images of the cross-entropy of logits (N, C, H, W) with x (N, H, W, C)."""
    return F.binary_cross_entropy_with_logits(logits, first(x), reduction="sum") / len(x)


def pooling_autoencoder(p, x):
    """Three levels down and up; x and the result (N, C, H, W)."""
    h, sizes = x, []
    for name in ("encoder.0", "encoder.3", "encoder.6"):
        sizes.append(h.shape[2:])
        h = F.max_pool2d(F.relu(conv(p, name, h)), 2, ceil_mode=True)
    for name, size in zip(("decoder.2", "decoder.5", "decoder.8"), reversed(sizes), strict=True):
        h = F.relu(conv(p, name, F.interpolate(h, size)))
    return conv(p, "decoder.10", h)


def conv_ae(model, p, x, noise):
    loss = bce(pooling_autoencoder(p, first(x)), x)
    return {"loss": loss, "reconstruction": loss}


def conv_vae(model, p, x, noise):
    h, n = first(x), len(x)
    for name in ("encoder.0", "encoder.2"):
        h = F.relu(conv(p, name, h, 2))
    h = h.permute(0, 2, 3, 1).reshape(n, -1)
    h = dense(p, "encoder.7", F.relu(dense(p, "encoder.5", h)))
    mu, logvar = h.chunk(2, dim=1)
    h = F.relu(dense(p, "decoder.0", mu + (logvar / 2).exp() * noise["z"]))
    h = F.relu(dense(p, "decoder.2", h)).reshape(n, 7, 7, -1).permute(0, 3, 1, 2)
    h = F.relu(transpose(p, "decoder.5", h, math.ceil(x.shape[1] / 2)))
    rec = bce(transpose(p, "decoder.7", h, x.shape[1]), x)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum() / n
    return {"loss": rec + kl, "reconstruction": rec, "kl": kl}


def mixture_vae(model, p, x, noise):
    """Levels of conv 3x3 stride 2 and 1, the classifier on the draw of z, densities by torch's distributions."""
    h, n, sizes = first(x), len(x), []
    for level in (0, 4):
        sizes.append(h.shape[2])
        h = F.leaky_relu(conv(p, f"encoder.{level}", h, 2), 0.2)
        h = F.leaky_relu(conv(p, f"encoder.{level + 2}", h), 0.2)
    small = h.shape[1:]
    mu, logvar = dense(p, "encoder.9", h.permute(0, 2, 3, 1).flatten(1)).chunk(2, dim=1)
    q_z = D.Normal(mu, (logvar / 2).exp())
    z = mu + q_z.scale * noise["z"]
    q_y = D.Categorical(logits=dense(p, "classifier.2", F.relu(dense(p, "classifier.0", z))))
    h = dense(p, "decoder.0", z).reshape(n, *small[1:], small[0]).permute(0, 3, 1, 2)
    for level, size in zip((2, 6), reversed(sizes), strict=True):
        h = F.leaky_relu(conv(p, f"decoder.{level}", h), 0.2)
        weight, bias = p[f"decoder.{level + 2}.weight"].permute(3, 2, 0, 1), p[f"decoder.{level + 2}.bias"]
        # The output has 2 h + 1 rows: for an even size the last is cut off, for an odd size the first and the last.
        start = size % 2
        h = F.leaky_relu(F.conv_transpose2d(h, weight, bias, 2)[:, :, start : start + size, start : start + size], 0.2)
    rec = -D.Normal(conv(p, "decoder.10", h), 0.4**0.5).log_prob(first(x)).sum() / n
    surprise = -D.Normal(p["means.weight"], 1.0).log_prob(z[:, None, :]).sum(dim=2)
    kl_z = ((q_y.probs * surprise).sum() - q_z.entropy().sum()) / n
    kl_y = D.kl_divergence(q_y, D.Categorical(logits=torch.zeros_like(q_y.logits))).sum() / n
    return {"loss": rec + kl_z + kl_y, "reconstruction": rec, "kl_z": kl_z, "kl_y": kl_y}


def denoising_ae(model, p, x, noise):
    u = noise["noise"]
    damaged = {
        "gaussian": lambda: (x + model.level * u).clamp(0, 1),
        "salt-and-pepper": lambda: torch.where(u < model.level / 2, 0.0, torch.where(u > 1 - model.level / 2, 1.0, x)),
        "dropout": lambda: u * x,  # 1 where a value is kept
    }[model.noise]()
    loss = bce(pooling_autoencoder(p, first(damaged)), x)
    return {"loss": loss, "reconstruction": loss}


def masked_ae(model, p, x, noise):
    """The mask is painted at the patches' size and enlarged, and the loss of every pixel is multiplied by it."""
    x, patches = first(x), torch.zeros(noise["mask"].shape, dtype=x.dtype)
    patches.scatter_(1, noise["mask"].argsort(dim=1)[:, : model.hidden], 1)
    small = patches.reshape(len(x), 1, x.shape[2] // model.patch, x.shape[3] // model.patch)
    mask = F.interpolate(small, scale_factor=model.patch)
    y = pooling_autoencoder(p, torch.cat((x * (1 - mask), mask), dim=1))
    each = {"bce": F.binary_cross_entropy_with_logits, "mse": F.mse_loss, "l1": F.l1_loss}[model.config["loss"]]
    loss = (each(y, x, reduction="none") * mask).sum() / len(x)
    return {"loss": loss, "reconstruction": loss}


def codes(model, rng, x):
    return {"z": rng.normal(size=(len(x), model.latent_dim))}


def damage(model, rng, x):
    draw = {
        "gaussian": rng.normal,
        "salt-and-pepper": lambda size: rng.uniform(size=size),
        "dropout": lambda size: rng.binomial(1, 1 - model.level, size).astype(float),
    }
    return {"noise": draw[model.noise](size=x.shape)}


def mask(model, rng, x):
    return {"mask": rng.uniform(size=(len(x), model.rows * model.columns))}


SMALL = dict(channels=(4, 5, 6))
TRAININGS = {  # name: (our model, its options, PyTorch's, the noise of a step: function(model, rng, x))
    "conv-ae": (models.ConvAE, {}, conv_ae, None),
    "conv-vae": (models.ConvVAE, dict(channels=(8, 6), units=32, latent_dim=5), conv_vae, codes),
    "conv-vae-25": (
        models.ConvVAE, dict(input_shape=(25, 25, 1), channels=(4, 6), units=16, latent_dim=5), conv_vae, codes,
    ),
    "mixture-vae": (models.MixtureVAE, dict(channels=(6, 8), units=32, latent_dim=6), mixture_vae, codes),
    "mixture-vae-25": (
        models.MixtureVAE,
        dict(input_shape=(25, 25, 1), channels=(4, 6), units=16, latent_dim=5, classes=4),
        mixture_vae,
        codes,
    ),
    "denoising-ae": (models.DenoisingAE, {}, denoising_ae, damage),
    "denoising-ae-salt": (models.DenoisingAE, SMALL | dict(noise="salt-and-pepper", level=0.3), denoising_ae, damage),
    "denoising-ae-dropout": (models.DenoisingAE, SMALL | dict(noise="dropout", level=0.6), denoising_ae, damage),
    "masked-ae": (models.MaskedAE, {}, masked_ae, mask),
    "masked-ae-mse": (models.MaskedAE, SMALL | dict(loss="mse", patch=7, share=0.5), masked_ae, mask),
    "masked-ae-l1": (models.MaskedAE, SMALL | dict(loss="l1", input_shape=(20, 28, 1)), masked_ae, mask),
}  # fmt: skip


def test_every_pooling_autoencoder_and_every_noise_has_a_twin():
    twins = [(kind, options) for kind, options, _, _ in TRAININGS.values()]
    assert {kind for kind in models.NAMES.values() if issubclass(kind, models.ConvAE)} <= {kind for kind, _ in twins}
    denoising = [kind(**options) for kind, options in twins if kind is models.DenoisingAE]
    assert {model.noise for model in denoising} == set(models.denoising_ae.NOISES)


@pytest.mark.parametrize("name", TRAININGS)
def test_twenty_steps_of_training_are_pytorchs(name, pictures, batch=8):
    """Same weights, images and noise: the losses of 20 steps with Adam, and every gradient of the first and last."""
    make, options, theirs, draw = TRAININGS[name]
    model, optimizer = make(**options, dtype="float64"), optim.Adam(1e-3)
    params = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
    their_optimizer = torch.optim.Adam(params.values(), lr=1e-3)
    grads, rng = model.store.like(), np.random.default_rng(0)
    height, width, _ = model.input_shape
    for step in range(20):
        x = pictures[rng.integers(0, len(pictures), batch), :height, :width]
        noise = draw(model, rng, x) if draw else {}
        terms, named = model.loss_and_grads({"x": x}, noise)
        expected = theirs(model, params, torch.tensor(x), {key: torch.tensor(value) for key, value in noise.items()})
        assert terms.keys() == expected.keys()
        for term, value in terms.items():
            assert float(value) == pytest.approx(expected[term].item(), rel=1e-10), f"{term} at step {step}"
        their_optimizer.zero_grad()
        expected["loss"].backward()
        if step in (0, 19):
            for parameter, tensor in params.items():
                scale = np.abs(tensor.grad.numpy()).max()
                np.testing.assert_allclose(named[parameter], tensor.grad.numpy(), rtol=0, atol=1e-10 * scale)
        grads.fill(nest(grads.shapes, named))
        optimizer.step(model.store, grads)
        their_optimizer.step()
