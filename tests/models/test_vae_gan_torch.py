"""Trainings of `vae-gan` compared with PyTorch: same weights, images and noise; 30 steps of three phases, Adam each."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_conv_torch import conv, dense, first, transpose  # noqa: E402
from torch import distributions as D  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import models, optim  # noqa: E402
from tinyae.training.step import Step  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")

BATCH, STEPS = 4, 30
PHASES = ("encoder", "decoder", "discriminator")


@pytest.fixture(scope="module")
def pictures():
    """Real images, (128, 28, 28, 1) in [0, 1]."""
    return tinyae.data.load("fashion-mini").train.x[:128] / 255


class Twin:
    """Two levels; images are (N, 1, H, W). p: parameters by dotted name."""

    def __init__(self, model):
        self.gamma = model.gamma
        self.p = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
        self.groups = {
            phase: [w for name, w in self.p.items() if name.startswith(networks)]
            for phase, networks in zip(PHASES, ("encoder", "decoder", ("features", "head")), strict=True)
        }
        self.optimizers = {
            phase: torch.optim.Adam(group, lr=1e-3, betas=(0.9 if phase == "encoder" else 0.5, 0.999))
            for phase, group in self.groups.items()
        }

    def encode(self, x):
        h = F.relu(conv(self.p, "encoder.2", F.relu(conv(self.p, "encoder.0", x, 2)), 2)).permute(0, 2, 3, 1).flatten(1)
        mu, logvar = dense(self.p, "encoder.7", F.relu(dense(self.p, "encoder.5", h))).chunk(2, dim=1)
        return D.Normal(mu, (logvar / 2).exp())

    def decode(self, z, side):
        h = F.relu(dense(self.p, "decoder.2", F.relu(dense(self.p, "decoder.0", z)))).reshape(len(z), 7, 7, -1)
        h = F.relu(transpose(self.p, "decoder.5", first(h), math.ceil(side / 2)))
        return torch.sigmoid(transpose(self.p, "decoder.7", h, side))

    def see(self, x):
        h = F.leaky_relu(conv(self.p, "features.0", x, 2), 0.2)
        return F.leaky_relu(conv(self.p, "features.2", h, 2), 0.2).permute(0, 2, 3, 1).flatten(1)

    def logits(self, seen):
        return dense(self.p, "head.3", F.leaky_relu(dense(self.p, "head.1", seen), 0.2))[:, 0]

    def terms(self, phase, x, noise):
        """What this phase says; its objective first."""
        q = self.encode(x)
        y = self.decode(q.mean + q.stddev * noise["z"], x.shape[2])
        likelihood = D.Normal(self.see(y), 1.0)
        constant = 0.5 * math.log(2 * math.pi) * likelihood.mean.shape[1]
        rec = -likelihood.log_prob(self.see(x)).sum(dim=1).mean() - constant
        if phase == "encoder":
            kl = D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(dim=1).mean()
            return {"loss": kl + rec, "reconstruction": rec, "kl": kl}
        drawn = self.decode(noise["prior"], x.shape[2])
        decoded, drawn = (self.logits(self.see(fake)) for fake in (y, drawn))
        if phase == "decoder":
            gan = -F.logsigmoid(decoded).mean() - F.logsigmoid(drawn).mean()
            return {"decoder": self.gamma * rec + gan, "generator": gan}
        real = self.logits(self.see(x))
        loss = -F.logsigmoid(real).mean() - F.logsigmoid(-decoded).mean() - F.logsigmoid(-drawn).mean()
        told = 0.5 * (real > 0).double().mean() + 0.25 * ((decoded < 0).double().mean() + (drawn < 0).double().mean())
        return {"discriminator": loss, "accuracy": told}

    def step(self, phase, x, noise):
        """The terms of a phase and its gradients by name; then its Adam moves its networks alone."""
        for tensor in self.p.values():
            tensor.grad = None
        terms = self.terms(phase, x, noise)
        next(iter(terms.values())).backward()
        trained = {id(w) for w in self.groups[phase]}
        grads = {name: w.grad.numpy().copy() for name, w in self.p.items() if id(w) in trained}
        self.optimizers[phase].step()
        return {name: value.item() for name, value in terms.items()}, grads


@pytest.mark.parametrize("side, gamma", [(28, 0.01), (25, 0.5)])
def test_thirty_steps_of_three_phases_are_pytorchs(side, gamma, pictures):
    """All terms of every step, every gradient of the first and last, and the last parameters."""
    options = dict(input_shape=(side, side, 1), channels=(8, 6), units=32, latent_dim=5, gamma=gamma)
    model = models.VAEGAN(**options, dtype="float64")
    twin, rng = Twin(model), np.random.default_rng(0)
    steppers = [Step(model, optim.Adam(1e-3, beta1=phase.momentum), phase=phase) for phase in model.phases]
    for step in range(STEPS):
        x = pictures[rng.integers(0, len(pictures), BATCH), :side, :side]
        noise = {f"{p}.{name}": rng.normal(size=(BATCH, 5)) for p in PHASES for name in ("z", "prior")}
        drawn = model.backend.noise(0, step, noise)
        for phase, stepper in zip(PHASES, steppers, strict=True):
            terms = stepper.gradients({"x": x}, drawn)
            given = {name: torch.tensor(noise[f"{phase}.{name}"]) for name in ("z", "prior")}
            expected, grads = twin.step(phase, first(torch.tensor(x)), given)
            assert terms == pytest.approx(expected, rel=1e-9), f"{phase} at step {step}"
            if step in (0, STEPS - 1):
                own = stepper.grads[0].named
                assert own.keys() == grads.keys()
                for name, theirs in grads.items():
                    np.testing.assert_allclose(own[name], theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())
            stepper.update()
    for name, tensor in twin.p.items():
        np.testing.assert_allclose(model.named_parameters()[name], tensor.detach().numpy(), rtol=0, atol=1e-8)
