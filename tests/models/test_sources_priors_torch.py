"""The published PixelCNNs and adversarial autoencoder, written here in PyTorch from their text."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sources import (  # noqa: E402
    TOLERANCE,
    assert_agrees,
    drawn,
    shaken,
    tensors,
)
from test_aae_torch import twin  # noqa: E402
from test_pixelcnn_torch import gated, residual  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import models  # noqa: E402
from tinyae.layers.initialisers import fans  # noqa: E402
from tinyae.training.feed import Feed  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


# PixelCNN


@pytest.mark.parametrize("source, network, classes", [("keras", residual, 0), ("ritheshkumar95", gated, 3)])
def test_pixelcnn_is_vq_vae_py_of_keras_and_the_gated_pixelcnn_of_pytorch_vqvae(source, network, classes):
    """Keras multiplies kernels by masks; pytorch-vqvae sets to 0 what the first layer must not see."""
    options = dict(levels=5, width=6, blocks=2, classes=classes, dtype="float64")
    model, rng = shaken(models.PixelCNN((4, 3), source=source, **options)), np.random.default_rng(3)
    codes, labels, p = rng.integers(0, 5, (4, 4, 3)), np.array([2, 0, 1, 1]), tensors(model)
    logits = network(model, p, torch.tensor(codes), torch.tensor(labels) if classes else None)
    loss = F.cross_entropy(logits.movedim(1, -1).reshape(-1, 5), torch.tensor(codes).flatten())
    assert_agrees(model, {"x": codes} | ({"labels": labels} if classes else {}), loss, p, 1 / 12)


def test_the_gated_pixelcnn_begins_as_pytorch_vqvae_does():
    parameters = models.PixelCNN(source="ritheshkumar95", classes=10).named_parameters()
    for name, value in parameters.items():
        if name.startswith(("input", "classes")):
            assert value.std() == pytest.approx(1, rel=0.05), name  # as in torch.nn.Embedding
        else:
            fan_in, fan_out = fans(value.shape)
            if name in ("stack.0.vertical.weight", "stack.0.horizontal.weight"):  # 4 x 7 and 1 x 4
                fan_in, fan_out = 4 / 3 * fan_in, 4 / 3 * fan_out
            most = np.sqrt(6 / (fan_in + fan_out)) if name.endswith("weight") else 0
            assert 0.98 * most <= np.abs(value).max() <= most * (1 + 1e-6), name


# Adversarial autoencoder


def test_aae_reference_begins_as_pytorch_does():
    model = models.AAE(source="bfarzin")
    assert model.param_count == 1_906_120 + 1_906_784 + 311_501
    parameters = model.named_parameters()
    for name, value in parameters.items():
        most = fans(parameters[name.replace("bias", "weight")].shape)[0] ** -0.5  # the bound in torch.nn.Linear
        assert np.abs(value).max() <= most, name
        assert value.size < 200 or np.abs(value).max() > 0.98 * most and abs(value.mean()) < 0.1 * most, name
    assert not models.AAE(network="reference", latent_dim=120).named_parameters()["encoder.1.bias"].any()


EPS = 1e-15
LAYERS = {"encoder": ((2, 5), 1000, 0.25), "decoder": ((1, 4), 1000, 0.25), "discriminator": ((1, 4), 500, 0.2)}


class MainAAE:
    """main_aae.py of bfarzin/pytorch_aae, with gradients cleared before each phase, as they are not there.

    It draws what our noise draws.
    """

    def __init__(self, model, rate):
        self.nets = {n: twin(model, n, share, last_relu=n != "decoder") for n, (_, _, share) in LAYERS.items()}
        self.q, self.p, self.d = self.nets.values()
        rates = (self.p, rate), (self.q, rate), (self.q, rate / 2), (self.d, rate / 2)
        self.adams = [torch.optim.Adam(net.parameters(), lr=lr) for net, lr in rates]

    def cleared(self, loss):
        for net in self.nets.values():
            net.zero_grad()
        loss.backward()
        return loss.item()

    def step(self, images, noise):
        """The losses of the phases, each while the gradients are its own."""
        p, q, d, images = self.p, self.q, self.d, torch.tensor(images).flatten(1)
        optim_p, optim_q_enc, optim_q_gen, optim_d = self.adams

        def keep(*names):
            rng, (places, units, rate) = child(noise, *names), LAYERS[names[-1]]
            masks = (rng.child(str(i)).bernoulli("keep", (len(images), units), 1 - rate, "float64") for i in places)
            return list(map(torch.tensor, masks))

        z_sample = q(images, keep("reconstruction", "encoder"))
        x_sample = torch.sigmoid(p(z_sample, keep("reconstruction", "decoder")))
        yield self.cleared(F.binary_cross_entropy(x_sample + EPS, images + EPS))
        optim_p.step()
        optim_q_enc.step()

        z_real = child(noise, "discriminator", "prior").normal("z", z_sample.shape, "float64")
        d_real_gauss = torch.sigmoid(d(torch.tensor(z_real) * 5.0, keep("discriminator", "real", "discriminator")))
        d_fake_gauss = torch.sigmoid(d(q(images), keep("discriminator", "fake", "discriminator")))
        yield self.cleared(-torch.mean(torch.log(d_real_gauss + EPS) + torch.log(1 - d_fake_gauss + EPS)))
        optim_d.step()

        z_fake_gauss = q(images, keep("generator", "encoder"))
        d_fake_gauss = torch.sigmoid(d(z_fake_gauss, keep("generator", "discriminator")))
        yield self.cleared(-torch.mean(torch.log(d_fake_gauss + EPS)))
        optim_q_gen.step()

    def assert_alike(self, ours, of, factor=1.0):
        """ours: {name: array}, `factor` of which is `of` the source's parameter, for all parameters of a network."""
        for name, net in self.nets.items():
            arrays = [array for place, array in ours.items() if place.startswith(f"{name}.")]
            for array, parameter in zip(arrays, net.parameters() if arrays else (), strict=True):
                theirs = of(parameter).numpy().T
                np.testing.assert_allclose(factor * array, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())


def child(noise, *names):
    for name in names:
        noise = noise.child(name)
    return noise


@pytest.fixture
def aae():
    """The model of the source for small images, the images, and what each phase's loss is of ours there."""
    model = models.AAE((5, 5, 1), source="bfarzin", latent_dim=3, dtype="float64")
    return model, drawn((6, 5, 5, 1)), {"reconstruction": 1 / 25, "discriminator": 1.0, "generator": 1.0}


def test_aae_is_main_aae_py(aae):
    """Losses and gradients of all phases, at one and the same parameters."""
    model, images, factors = aae
    source = MainAAE(model, rate=0.0)
    terms, grads = model.loss_and_grads({"x": images})
    for phase, loss in zip(model.phases, source.step(images, model.backend.noise(0, 0)), strict=True):
        factor = factors[phase.name]
        assert factor * terms[phase.objective] == pytest.approx(loss, rel=TOLERANCE)
        source.assert_alike(grads[phase.name], lambda parameter: parameter.grad, factor)


def test_fit_of_aae_is_main_aae_py(aae, steps=5):
    """Losses of all steps, and the parameters after them. Our reconstruction's epsilon is 25 times as large."""
    model, images, factors = aae
    source, feed, expected = MainAAE(model, rate=0.0001), Feed(images, None, model.backend, 100, 0), []
    for step in range(steps):
        (batch,) = feed.epoch(step)
        expected.append(list(source.step(batch["x"], model.backend.noise(0, step))))
    history = tinyae.fit(model, images, epochs=steps, progress=False)
    objectives = [(phase.objective, factors[phase.name]) for phase in model.phases]
    ours = [[factor * record["train"][name] for name, factor in objectives] for record in history.records]
    np.testing.assert_allclose(ours, expected, rtol=TOLERANCE)
    source.assert_alike(model.named_parameters(), torch.Tensor.detach)
