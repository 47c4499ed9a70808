"""`semi-aae` compared with PyTorch for 30 full steps: same weights, images, labels and samples; an Adam per phase."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_aae_torch import BATCH, LR, STEPS, twin  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import optim  # noqa: E402
from tinyae.models import SemiAAE  # noqa: E402
from tinyae.training.step import Optimizers, Step  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")

NETWORKS = ("encoder", "decoder", "discriminator", "class_discriminator")
CLASSES, STYLES, LABELLED, NOISE = 10, 3, 20, 0.3


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_thirty_steps_beside_torch(dtype):
    """In float32, where Adam may make whole steps of rounding errors, the batches are seen at the first parameters."""
    trains = dtype == "float64"
    train = tinyae.data.load("fashion-mini").train
    x = (train.x[:256, ::4, ::4].reshape(256, 7, 7, 1) / 255).astype(dtype)
    labels = train.labels[:256].astype("int64")
    sizes = dict(hidden=(32, 16), units=(16,), latent_dim=STYLES, labelled=LABELLED, noise=NOISE, dropout=0.0)
    model = SemiAAE((7, 7, 1), **sizes, dtype=dtype)
    kept = model.state.tree["labelled"]
    kept["x"][...], kept["labels"][...] = x[:LABELLED], labels[:LABELLED]
    optimizers = Optimizers(model.phases, lambda phase: optim.Adam(LR * phase.rate, beta1=phase.momentum))
    steps = [Step(model, o, phase=p) for p, o in zip(model.phases, optimizers.each, strict=True)]
    nets = {name: twin(model, name) for name in NETWORKS}
    q, p, d_z, d_c = nets.values()
    trained = [*q.parameters(), *p.parameters()], [*d_z.parameters(), *d_c.parameters()], q.parameters(), q.parameters()
    rates = (2 * LR, 0.9), (0.6 * LR, 0.5), (0.6 * LR, 0.5), (2 * LR, 0.9)
    adams = [
        torch.optim.Adam(parameters, lr=trains * lr, betas=(beta1, 0.999))
        for parameters, (lr, beta1) in zip(trained, rates, strict=True)
    ]
    rng = np.random.default_rng(0)
    for step in range(STEPS):
        rows = rng.integers(0, len(x), BATCH)
        noise = {
            "discriminators.prior.z": rng.normal(size=(BATCH, STYLES)),
            "discriminators.class": rng.uniform(size=BATCH),
            "classes.labelled": rng.uniform(size=BATCH),
        }
        for phase in ("reconstruction", "generator", "classes"):
            noise[f"{phase}.noise"] = rng.normal(size=(BATCH, 7, 7, 1))
        noise = {name: value.astype(dtype) for name, value in noise.items()}
        terms, given = {}, model._given(noise)
        for stepper in steps:
            terms |= stepper.gradients({"x": x[rows], "labels": labels[rows]}, model.backend.noise(0, step, given))
            if trains:
                stepper.update()
        given.check_asked(model)
        drawn = {name: torch.tensor(value) for name, value in noise.items()}
        flat = torch.tensor(x.reshape(len(x), -1))
        expected = their_step(q, p, d_z, d_c, adams, flat, rows, torch.tensor(labels), drawn)
        for name, value in expected.items():
            assert terms[name] == pytest.approx(value.item(), rel=1e-9 if trains else 2e-5), f"{name} at step {step}"
    if trains:
        for name, net in nets.items():
            ours = [value for n, value in model.named_parameters().items() if n.startswith(f"{name}.")]
            theirs = [value.T if value.ndim == 2 else value for value in net.parameters()]
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(a, b.detach().numpy(), rtol=0, atol=1e-9, err_msg=name)


def their_step(q, p, d_z, d_c, adams, images, rows, labels, drawn):
    x = images[rows]

    def noisy(x, phase):
        return x + NOISE * drawn[f"{phase}.noise"].reshape(x.shape)

    def infer(x):
        logits, z = q(x).split((CLASSES, STYLES), dim=1)
        return logits.softmax(dim=1), z

    def bce(logits, target):
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    def update(adam, loss):
        for net in (q, p, d_z, d_c):
            net.zero_grad()
        loss.backward()
        adam.step()
        return loss.detach()

    y = p(torch.cat(infer(noisy(x, "reconstruction")), dim=1))
    loss = update(adams[0], F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(dim=1).mean())

    c, z = infer(x)
    one_hot = F.one_hot((drawn["discriminators.class"] * CLASSES).long(), CLASSES).to(x.dtype)
    real_z, fake_z, real_c, fake_c = d_z(drawn["discriminators.prior.z"]), d_z(z), d_c(one_hot), d_c(c)
    sides = bce(real_z, 1.0) + bce(fake_z, 0.0) + bce(real_c, 1.0) + bce(fake_c, 0.0)
    discriminators = update(adams[1], sides)
    accuracy = torch.cat((real_z > 0, fake_z < 0, real_c > 0, fake_c < 0)).double().mean()

    c, z = infer(noisy(x, "generator"))
    generator = update(adams[2], bce(d_z(z), 1.0) + bce(d_c(c), 1.0))

    chosen = (drawn["classes.labelled"] * LABELLED).long()
    logits = q(noisy(images[chosen], "classes"))[:, :CLASSES]
    classified = (logits.argmax(dim=1) == labels[chosen]).double().mean()
    cross_entropy = update(adams[3], F.cross_entropy(logits, labels[chosen]))
    return {
        "loss": loss, "discriminators": discriminators, "accuracy": accuracy, "generator": generator,
        "cross_entropy": cross_entropy, "classified": classified,
    }  # fmt: skip
