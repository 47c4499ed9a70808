"""`aae` compared with PyTorch for 30 full steps: same weights, images, prior samples and dropout; four Adams."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import optim  # noqa: E402
from tinyae.models import AAE  # noqa: E402
from tinyae.training.step import Optimizers, Step  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")

BATCH, STEPS, LR = 12, 30, 1e-3


@pytest.fixture(scope="module")
def data():
    """Real images, every fourth pixel, (256, 49) in [0, 1], and their classes, every fifth of them unknown."""
    train = tinyae.data.load("fashion-mini").train
    labels = train.labels[:256].astype("int64")
    labels[::5] = -1
    return train.x[:256, ::4, ::4].reshape(256, -1) / 255, labels


class Dense(torch.nn.Module):
    """Dense layers, after all but the last dropout, by masks `keep` of what it keeps, and then ReLU."""

    def __init__(self, layers, rate=None, last_relu=True):
        super().__init__()
        self.layers, self.rate, self.last_relu = torch.nn.ModuleList(layers), rate, last_relu

    def forward(self, x, keep=None):
        *hidden, last = self.layers
        for i, layer in enumerate(hidden):
            x = layer(x)
            if keep is not None:
                x = x * keep[i] / (1 - self.rate)
            x = F.relu(x) if i + 1 < len(hidden) or self.last_relu else x
        return last(x)


def twin(model, name, rate=None, last_relu=True):
    """A network of the model's in PyTorch, with its weights."""
    p = {n.removeprefix(f"{name}."): value for n, value in model.named_parameters().items() if n.startswith(f"{name}.")}
    layers = []
    for place in dict.fromkeys(n.split(".")[0] for n in p):
        weight, bias = (torch.tensor(p[f"{place}.{kind}"].copy()) for kind in ("weight", "bias"))
        layer = torch.nn.Linear(*weight.shape, dtype=weight.dtype)
        layer.weight.data, layer.bias.data = weight.T.contiguous(), bias
        layers.append(layer)
    return Dense(layers, rate, last_relu)


def gaussian(noise, labels):
    return 5 * torch.tensor(noise["discriminator.prior.z"])


def petals(noise, labels):
    """Means at angles 2 pi k / 10, drawn along and across by a rotation of each point."""
    share, z = (torch.tensor(noise[f"discriminator.prior.{name}"]) for name in ("share", "z"))
    k = torch.where(labels < 0, (10 * share).floor(), labels.to(share.dtype))
    angle = 2 * math.pi * k / 10
    x, y = 2.8 + z[:, 0], 0.2 * z[:, 1]
    return torch.stack((x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()), dim=1)


KINDS = {
    "small": (dict(latent_dim=3, hidden=(32, 16), units=(16,), scale=5.0), gaussian),
    "regions": (dict(hidden=(32,), units=(16, 16), prior="ring", classes=10), petals),
    "reference": (dict(latent_dim=4, network="reference", scale=5.0), gaussian),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_thirty_steps_beside_torch(kind, dtype, data):
    """In float32, where Adam may make whole steps of rounding errors, the batches are seen at the first parameters."""
    trains = dtype == "float64"
    options, prior = KINDS[kind]
    model, reference = AAE((7, 7, 1), **options, dtype=dtype), kind == "reference"
    optimizers = Optimizers(model.phases, lambda phase: optim.Adam(LR * phase.rate, beta1=phase.momentum))
    steps = [Step(model, o, phase=p) for p, o in zip(model.phases, optimizers.each, strict=True)]
    q, p = twin(model, "encoder", 0.25), twin(model, "decoder", 0.25, last_relu=not reference)
    d, beta = twin(model, "discriminator", 0.2), 0.9 if reference else 0.5
    rates = zip((p, q, d, q), (LR, LR, LR / 2 if reference else LR, LR / 2), (0.9, 0.9, beta, beta), strict=True)
    adams = [torch.optim.Adam(net.parameters(), lr=trains * lr, betas=(beta1, 0.999)) for net, lr, beta1 in rates]
    rng = np.random.default_rng(0)
    for _ in range(STEPS if trains and not reference else 10):  # the reference takes ten times as long
        rows = rng.integers(0, len(data[0]), BATCH)
        x, labels = data[0][rows].astype(dtype), data[1][rows]
        batch = {"x": x.reshape(-1, 7, 7, 1), "labels": labels}
        noise = noise_of(rng, model, reference, dtype)
        terms, given = {}, model._given(noise)
        for stepper in steps:
            terms |= stepper.gradients(batch, model.backend.noise(0, 0, given))
            if trains:
                stepper.update()
        given.check_asked(model)
        expected = their_step(q, p, d, adams, torch.tensor(x), torch.tensor(labels), prior, noise, model.classes)
        for name, value in expected.items():
            assert terms[name] == pytest.approx(value.item(), rel=1e-9 if trains else 2e-5), name
    if trains:
        for name, net in (("encoder", q), ("decoder", p), ("discriminator", d)):
            ours = [value for n, value in model.named_parameters().items() if n.startswith(f"{name}.")]
            theirs = [value.T if value.ndim == 2 else value for value in net.parameters()]
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(a, b.detach().numpy(), rtol=0, atol=1e-9, err_msg=name)


def noise_of(rng, model, reference, dtype):
    """What is drawn in a step, by name."""
    noise = {"discriminator.prior.z": rng.normal(size=(BATCH, model.latent_dim))}
    if model.classes:
        noise["discriminator.prior.share"] = rng.uniform(size=BATCH)
    if reference:
        encoder, decoder, sides = ("encoder.2", "encoder.5"), ("decoder.1", "decoder.4"), ("real.", "fake.", "")
        masks = [("reconstruction", name, 1000, 0.75) for name in encoder + decoder]
        masks += [("generator", name, 1000, 0.75) for name in encoder]
        for side in sides:
            phase = "discriminator" if side else "generator"
            masks += [(phase, f"{side}discriminator.{place}", 500, 0.8) for place in (1, 4)]
        noise |= {f"{phase}.{name}.keep": rng.uniform(size=(BATCH, n)) < share for phase, name, n, share in masks}
    return {name: value.astype(dtype) for name, value in noise.items()}


def their_step(q, p, d, adams, x, labels, prior, noise, classes):
    """The published loop, with its gradients cleared before each phase."""
    adam_p, adam_q, adam_d, adam_generator = adams

    def keep(phase, network):
        found = [torch.tensor(v) for n, v in noise.items() if n.startswith(f"{phase}.{network}.")]
        return found or None

    def beside(z):
        if not classes:
            return z
        one_hot = F.one_hot(labels + 1, classes + 1)[:, 1:]  # label -1 gives zeros
        return torch.cat((z, one_hot.to(z.dtype)), dim=1)

    def bce(logits, target):
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    def clear():
        for net in (q, p, d):
            net.zero_grad()

    clear()
    logits = p(q(x, keep("reconstruction", "encoder")), keep("reconstruction", "decoder"))
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1).mean()
    reconstruction.backward()
    adam_p.step()
    adam_q.step()

    clear()
    real = d(beside(prior(noise, labels)), keep("discriminator", "real.discriminator"))
    fake = d(beside(q(x)), keep("discriminator", "fake.discriminator"))
    discriminator = bce(real, 1.0) + bce(fake, 0.0)
    discriminator.backward()
    adam_d.step()

    clear()
    fooled = d(beside(q(x, keep("generator", "encoder"))), keep("generator", "discriminator"))
    generator = bce(fooled, 1.0)
    generator.backward()
    adam_generator.step()
    accuracy = torch.cat((real > 0, fake < 0)).double().mean()
    return {"loss": reconstruction, "discriminator": discriminator, "generator": generator, "accuracy": accuracy}
