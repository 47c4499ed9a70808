"""Trainings of pixelcnn compared with PyTorch, for the networks of Keras's example and ritheshkumar95/pytorch-vqvae."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from tinyae import models, optim  # noqa: E402
from tinyae.params import nest  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


def kernel(p, name):
    """(kh, kw, in, out) -> (out, in, kh, kw)."""
    return p[f"{name}.weight"].permute(3, 2, 0, 1)


def masked(p, name, x, mask):
    """The kernel times zeros and ones."""
    weight = kernel(p, name)
    height, width = weight.shape[2:]
    ones = torch.ones(height, width, dtype=x.dtype)
    ones[height // 2, width // 2 + (mask == "B") :] = 0
    ones[height // 2 + 1 :] = 0
    return F.conv2d(x, weight * ones, p[f"{name}.bias"], padding=(height // 2, width // 2))


def plain(p, name, x):
    return F.conv2d(x, kernel(p, name), p[f"{name}.bias"])


def residual(model, p, codes, labels):
    h = masked(p, "input", F.one_hot(codes, model.levels).to(p["input.weight"].dtype).permute(0, 3, 1, 2), "A")
    if labels is not None:
        h = h + p["classes.weight"][labels][:, :, None, None]
    h, layer = F.relu(h), 1
    for _ in range(model.config["blocks"]):
        inner = F.relu(plain(p, f"stack.{layer}.0", h))
        inner = F.relu(masked(p, f"stack.{layer}.2", inner, "B"))
        h, layer = h + F.relu(plain(p, f"stack.{layer}.4", inner)), layer + 1
    for _ in range(2):
        h, layer = F.relu(masked(p, f"stack.{layer}", h, "B")), layer + 2
    return plain(p, "output", h)


def gate(x):
    a, b = x.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


def gated(model, p, codes, labels):
    """Kernels with the row or column of zeros that the published code has, padding on both sides, and crops."""
    x = F.embedding(codes, p["input.weight"]).permute(0, 3, 1, 2)
    (v, h), blocks = (x, x), model.config["blocks"]
    shares = None if labels is None else F.embedding(labels, p["classes.weight"]).chunk(blocks, dim=1)
    for i in range(blocks):
        name, first = f"stack.{i}", i == 0
        above, left = kernel(p, f"{name}.vertical"), kernel(p, f"{name}.horizontal")
        if first:
            above, left = F.pad(above, (0, 0, 0, 1)), F.pad(left, (0, 1))
        half = above.shape[3] // 2
        s = 0 if labels is None else shares[i][:, :, None, None]
        a = F.conv2d(v, above, p[f"{name}.vertical.bias"], padding=(half, half))[:, :, : x.shape[2]]
        b = F.conv2d(h, left, p[f"{name}.horizontal.bias"], padding=(0, half))[:, :, :, : x.shape[3]]
        v = gate(a + s)
        out = plain(p, f"{name}.out", gate(plain(p, f"{name}.across", a) + b + s))
        h = out if first else out + h
    return plain(p, "output.2", F.relu(plain(p, "output.0", h)))


TRAININGS = {
    "residual": (residual, dict(input_shape=(6, 5), levels=6, width=10, blocks=2)),
    "residual-classes": (residual, dict(input_shape=(3, 2, 2), levels=3, width=7, blocks=1, classes=3)),
    "gated": (gated, dict(input_shape=(6, 5), levels=6, width=8, blocks=4, network="gated")),
    "gated-classes": (gated, dict(input_shape=(4, 2, 3), levels=5, width=5, blocks=3, classes=3, network="gated")),
}


@pytest.mark.parametrize("dtype, error, steps", [("float64", 1e-10, 50), ("float32", 3e-5, 5)])
@pytest.mark.parametrize("name", TRAININGS)
def test_fifty_steps_of_training_are_pytorchs(name, dtype, error, steps, batch=6):
    """Same weights and maps: the losses of 50 steps with Adam, and every gradient of the first and last. In float32, of
    five batches at the first parameters, since Adam may make whole steps of rounding errors."""
    theirs, options = TRAININGS[name]
    model, optimizer = models.PixelCNN(**{"network": "residual"} | options, dtype=dtype), optim.Adam(2e-3)
    params = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
    their_optimizer = torch.optim.Adam(params.values(), lr=2e-3)
    grads, rng = model.store.like(), np.random.default_rng(0)
    for step in range(steps):
        codes = np.sort(rng.integers(0, model.levels, (batch, *model.map_shape)), axis=1)  # something to learn
        labels = rng.integers(0, 3, batch)
        x = codes.reshape(batch, *model.input_shape)
        x = x / (model.levels - 1) if x.ndim == 4 else x
        terms, named = model.loss_and_grads({"x": x, "labels": labels})
        logits = theirs(model, params, torch.tensor(codes), torch.tensor(labels) if model.classes else None)
        loss = F.cross_entropy(logits, torch.tensor(codes), reduction="sum") / batch
        assert float(terms["loss"]) == pytest.approx(loss.item(), rel=error), f"loss at step {step}"
        their_optimizer.zero_grad()
        loss.backward()
        if step in (0, steps - 1):
            for parameter, tensor in params.items():
                atol = error * np.abs(tensor.grad.numpy()).max()
                np.testing.assert_allclose(named[parameter], tensor.grad.numpy(), rtol=0, atol=atol, err_msg=parameter)
        if dtype == "float64":
            grads.fill(nest(grads.shapes, named))
            optimizer.step(model.store, grads)
            their_optimizer.step()
    assert dtype == "float32" or loss.item() < 0.95 * np.log(model.levels) * codes[0].size
