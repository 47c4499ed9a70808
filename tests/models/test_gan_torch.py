"""Trainings of `gan` compared with PyTorch: same weights, images and noise; 30 steps of all phases with their Adams."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_conv_torch import conv, dense, transpose  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import models, optim  # noqa: E402
from tinyae.training.step import Step  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")

BATCH, STEPS, LATENT = 12, 30, 5


@pytest.fixture(scope="module")
def pictures():
    """Real images, every second pixel, (256, 14, 14, 1) in [0, 1]."""
    return tinyae.data.load("fashion-mini").train.x[:256, ::2, ::2] / 255


# Networks: functions of (parameters by name, running statistics by name, input); images are (N, 1, 14, 14)


def dense_generator(p, s, z, move):
    h = F.leaky_relu(dense(p, "generator.0", z), 0.2)
    h = F.leaky_relu(dense(p, "generator.2", h), 0.2)
    return torch.sigmoid(dense(p, "generator.4", h)).reshape(-1, 1, 14, 14)


def dense_discriminator(p, x):
    h = F.leaky_relu(dense(p, "discriminator.1", x.flatten(1)), 0.2)
    return dense(p, "discriminator.5", F.leaky_relu(dense(p, "discriminator.3", h), 0.2))


def norm(p, s, name, h, move):
    """Batch statistics; the running ones are moved only where `move` says so."""
    mean, var = (s[f"{name}.{kind}"] if move else None for kind in ("mean", "var"))
    return F.relu(F.batch_norm(h, mean, var, p[f"{name}.scale"], p[f"{name}.shift"], training=True, momentum=0.1))


def conv_generator(p, s, z, move):
    h = (z @ p["generator.0.weight"]).reshape(-1, 4, 4, 6).permute(0, 3, 1, 2)
    p = p | {"generator.4.bias": torch.zeros(4, dtype=z.dtype)}
    h = transpose(p, "generator.4", norm(p, s, "generator.2", h, move), 7)
    return torch.sigmoid(transpose(p, "generator.7", norm(p, s, "generator.5", h, move), 14))


def conv_discriminator(p, x):
    h = F.leaky_relu(conv(p, "discriminator.0", x, 2), 0.2)
    h = F.leaky_relu(conv(p, "discriminator.2", h, 2), 0.2)
    return dense(p, "discriminator.5", h.permute(0, 2, 3, 1).flatten(1))


DENSE = dict(input_shape=(14, 14, 1), latent_dim=LATENT, hidden=(24, 16), dropout=0.0)
CONV = dict(input_shape=(14, 14, 1), latent_dim=LATENT, network="conv", channels=(4, 6), dropout=0.0)
NETWORKS = {"dense": (DENSE, dense_generator, dense_discriminator), "conv": (CONV, conv_generator, conv_discriminator)}


# Losses of the two sides, as published code writes them


def non_saturating(p, D, real, fake, mix):
    logits, drawn = D(p, real), D(p, fake.detach())
    bce = F.binary_cross_entropy_with_logits
    loss = bce(logits, torch.full_like(logits, 0.9)) + bce(drawn, torch.zeros_like(drawn))
    told = ((logits > 0).double().mean() + (drawn < 0).double().mean()) / 2
    return {"discriminator": loss, "accuracy": told}


def wasserstein(p, D, real, fake, mix):
    mixed = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(D(p, mixed).sum(), mixed, create_graph=True)
    penalty = 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    distance = D(p, real).mean() - D(p, fake.detach()).mean()
    return {"discriminator": penalty - distance, "distance": distance, "penalty": penalty}


def fooling(p, D, fake):
    logits = D(p, fake)
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


SIDES = {
    "non-saturating": (dict(smoothing=0.1), non_saturating, fooling, 1),
    "wasserstein": (dict(critic_steps=2), wasserstein, lambda p, D, fake: -D(p, fake).mean(), 2),
}


@pytest.mark.parametrize("loss", SIDES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dtype, rtol", (("float32", 1e-4), ("float64", 1e-9)))
def test_training_beside_torch(network, loss, dtype, rtol, pictures):
    """In float32, where Adam may make whole steps of rounding errors, the batches are seen at the first parameters."""
    options, G, D = NETWORKS[network]
    more, discriminator_terms, generator_loss, every = SIDES[loss]
    model = models.GAN(**options, **more, loss=loss, dtype=dtype)
    steppers = [Step(model, optim.Adam(1e-3, beta1=0.5), phase=phase) for phase in model.phases]
    p = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
    s = {name: torch.tensor(w.copy()) for name, w in model.state.named.items()}
    adams = {
        side: torch.optim.Adam([w for name, w in p.items() if name.startswith(side)], lr=1e-3, betas=(0.5, 0.999))
        for side in ("discriminator", "generator")
    }
    rng = np.random.default_rng(0)
    for step in range(STEPS):
        x = pictures[rng.integers(0, len(pictures), BATCH)].astype(dtype)
        z_d, z_g = rng.normal(size=(2, BATCH, LATENT)).astype(dtype)
        mix = rng.random((BATCH, 1, 1, 1)).astype(dtype)
        noise = {"discriminator.z": z_d, "discriminator.mix": mix, "generator.z": z_g}
        real, z_d, z_g, mix = map(torch.tensor, (x.transpose(0, 3, 1, 2), z_d, z_g, mix))
        for stepper in steppers:
            if step % stepper.phase.every:
                continue
            side = stepper.phase.name
            terms = stepper.gradients({"x": x}, model.backend.noise(0, step, noise))
            if side == "discriminator":
                expected = discriminator_terms(p, D, real, G(p, s, z_d, False), mix)
                objective = expected["discriminator"]
            else:
                objective = generator_loss(p, D, G(p, s, z_g, True))
                expected = {"loss": objective}
            assert terms.keys() == expected.keys()
            scale = max(1.0, abs(objective.item()))
            for term, value in terms.items():
                # In float32 a logit near 0 may be told right on one side alone.
                atol = 1 / BATCH if (term, dtype) == ("accuracy", "float32") else rtol * scale
                assert value == pytest.approx(expected[term].item(), abs=atol), f"{term} at step {step}"
            for adam in adams.values():
                adam.zero_grad()
            objective.backward()
            for name, gradient in stepper.grads[0].named.items():
                theirs = np.zeros_like(gradient) if p[name].grad is None else p[name].grad.numpy()
                atol = rtol * np.abs(theirs).max(initial=0.1)
                np.testing.assert_allclose(gradient, theirs, rtol=0, atol=atol, err_msg=f"{name} at step {step}")
            if dtype == "float64":
                stepper.update()
                adams[side].step()
    if dtype == "float64":
        assert steppers[1].optimizer.steps == -(-STEPS // every)
        for name, value in model.named_parameters().items():
            np.testing.assert_allclose(value, p[name].detach().numpy(), rtol=0, atol=1e-8, err_msg=name)
        for name, value in model.state.named.items():
            np.testing.assert_allclose(value, s[name].numpy(), rtol=0, atol=1e-8, err_msg=name)
