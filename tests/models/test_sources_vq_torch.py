"""The published VQ-VAEs, written here in PyTorch from their text: loss and all gradients."""

import numpy as np
import pytest
from steps import run

torch = pytest.importorskip("torch")

from sources import (  # noqa: E402
    assert_agrees,
    assert_begins_as_glorot,
    conv,
    drawn,
    norm,
    quantised,
    shaken,
    tensors,
    transposed,
)
from torch.nn import functional as F  # noqa: E402

from tinyae import models  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


def bojone(p, x, moved):
    """vq_vae_keras.py: encoder, decoder and loss; x in [-1, 1]."""

    def block(name, h):
        inner = norm(p, f"{name}.2", conv(p, f"{name}.1", F.relu(h)), moved)
        return h + conv(p, f"{name}.4", F.relu(inner))

    h = F.relu(norm(p, "encoder.1", conv(p, "encoder.0", x, 2), moved))
    h = norm(p, "encoder.4", conv(p, "encoder.3", h, 2), moved)
    h = norm(p, "encoder.6", block("encoder.5", h), moved)
    h = norm(p, "encoder.8", block("encoder.7", h), moved)
    z = block("encoder.9", h)
    q, e = quantised(p, z)
    for i in (0, 2, 4):
        q = block(f"decoder.{i + 1}", norm(p, f"decoder.{i}", q, moved))
    q = F.relu(norm(p, "decoder.7", transposed(p, "decoder.6", q, 2), moved))
    y = torch.tanh(transposed(p, "decoder.9", q, 2))
    mse_x, mse_e, mse_z = ((x - y) ** 2).mean(), ((z.detach() - e) ** 2).mean(), ((e.detach() - z) ** 2).mean()
    return mse_x + mse_e + 0.25 * mse_z


def test_vq_vae_bojone_is_vq_vae_keras_py():
    options = dict(codes=5, latent_dim=4, dtype="float64")
    model, images = shaken(models.VQVAE((8, 8, 3), source="bojone", **options)), drawn((3, 8, 8, 3))
    assert model.code_weight == (8 * 8 * 3) / (2 * 2 * 4)
    p, moved = tensors(model), {}
    loss = bojone(p, torch.tensor(2 * images - 1).movedim(-1, 1), moved)
    assert_agrees(model, {"x": images}, loss, p, 1 / (8 * 8 * 3))
    _, net = run(model, {"x": images}, model.backend.noise(0), model.store.like().tree)
    model.after_update(model.phases[0], net)
    for name, (mean, var) in moved.items():
        np.testing.assert_allclose(model.state.named[f"{name}.mean"], mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(model.state.named[f"{name}.var"], var, rtol=1e-9)


def test_of_the_sizes_published_a_codes_terms_weigh_three_eighths():
    model = models.VQVAE((128, 128, 3), source="bojone")
    assert model.code_weight == 0.375 and model.param_count == 1_536_899 - 3_584
    assert models.VQVAE((128, 128, 3), "residual").code_weight == 1


def test_vq_vae_keras_is_the_keras_example():
    model = shaken(models.VQVAE((8, 8, 1), source="keras", codes=6, latent_dim=3, dtype="float64"))
    images, p = drawn((4, 8, 8, 1)), tensors(model)
    variance = model.state.tree["scale"]["variance"]
    model.begin({"x": images}, model.backend.noise(0))
    assert float(variance) == pytest.approx(images.var(), rel=1e-12)
    x = torch.tensor(images - 0.5).movedim(-1, 1)
    z = conv(p, "encoder.4", F.relu(conv(p, "encoder.2", F.relu(conv(p, "encoder.0", x, 2)), 2)))
    q, e = quantised(p, z)
    h = F.relu(transposed(p, "decoder.2", F.relu(transposed(p, "decoder.0", q, 2)), 2))
    y = transposed(p, "decoder.4", h, 1)
    reconstruction = ((x - y) ** 2).mean() / float(variance)
    loss = reconstruction + 0.25 * ((e.detach() - z) ** 2).mean() + ((e - z.detach()) ** 2).mean()
    assert_agrees(model, {"x": images}, loss, p, 1 / 64)
    np.testing.assert_allclose(model.reconstruct(images)[..., 0], y.detach().numpy()[:, 0] + 0.5, atol=1e-9)


@pytest.mark.parametrize("network", ("keras", "bojone"))
def test_sources_of_vq_vae_begin_as_keras_does(network):
    model = models.VQVAE((16, 16, 1), source=network)
    before = model.store.flat.copy()
    weight = model.named_parameters()["codebook.weight"]
    assert 0.049 < np.abs(weight).max() < 0.05
    model.begin({"x": drawn((8, 16, 16, 1))}, model.backend.noise(0))
    np.testing.assert_array_equal(model.store.flat, before)  # no centres of the data
    assert_begins_as_glorot(model)


def test_a_source_of_vq_vae_takes_the_variance_of_all_its_data(device):
    """Other models look at as many images as they compute at once."""
    model = models.VQVAE(source="keras", backend=device.backend)
    assert model.begin_on >= 70_000 > models.VQVAE(network="keras").begin_on
    black = device.array(np.zeros((2, 28, 28, 1), "float32"))
    model.begin({"x": black}, model.backend.noise(0))
    assert 0 < device.host(model.state.tree["scale"]["variance"]) <= 1e-6  # there is none
