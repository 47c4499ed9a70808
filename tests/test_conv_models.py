"""The convolutional models: their sizes, whole trainings beside PyTorch, and what damages an image."""

import math

import numpy as np
import pytest

import tinyae
from tinyae import models, optim
from tinyae.errors import ConfigError, ShapeError
from tinyae.params import nest

SHAPES = [(28, 28, 1), (32, 32, 3), (64, 64, 3), (25, 25, 1), (8, 8, 1), (9, 30, 2), (1, 1, 1)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


def images(n, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def pictures():
    """Real images, (256, 28, 28, 1) uint8."""
    return tinyae.data.load("fashion-mini").train.x[:256]


# sizes


def conv(kernel, a, b):
    return kernel * kernel * a * b + b


def dense(a, b):
    return a * b + b


def pooled(c, channels):
    """Parameters of the pooling autoencoder with 3x3 kernels on images of c channels."""
    ends = [(c, channels[0]), *zip(channels, channels[1:], strict=False)]
    back = channels[::-1]
    ends += [(back[0], back[0]), *zip(back, back[1:], strict=False), (back[-1], c)]
    return sum(conv(3, a, b) for a, b in ends)


def test_parameter_counts_of_the_reference_architectures():
    assert models.ConvAE().param_count == 4_385 == pooled(1, [16, 8, 8])
    assert models.ConvAE(input_shape=(32, 32, 3), channels=(5, 7)).param_count == pooled(3, [5, 7])
    levels = conv(4, 1, 32) + conv(4, 32, 64) + conv(4, 64, 32) + conv(4, 32, 1)
    middle = dense(3136, 256) + dense(256, 40) + dense(20, 256) + dense(256, 3136) - 32 - 64 + 32 + 64
    assert models.ConvVAE().param_count == levels + middle == 1_691_369


@each_shape
@pytest.mark.parametrize("make", (models.ConvAE, models.ConvVAE))
def test_any_size_comes_back_at_its_size(make, shape):
    model, x = make(input_shape=shape), images(2, shape)
    z = model.encode(x)
    assert z.shape == (2, model.latent_dim)
    for y in (model.decode(z), model.reconstruct(x)):
        assert (y.shape, y.dtype) == (x.shape, np.float32)
        assert 0 <= y.min() and y.max() <= 1
    if shape == (25, 25, 1):
        terms, grads = model.loss_and_grads({"x": x})
        assert np.isfinite(terms["loss"]) and all(np.any(g) for g in grads.values())


@pytest.mark.parametrize(
    "side, channels",
    [(28, (32, 64)), (25, (32, 64)), (32, (32, 64, 128)), (64, (32, 64, 128, 256)), (8, (32,)), (1, (32,))],
)
def test_depth_follows_from_the_image(side, channels):
    assert models.ConvVAE(input_shape=(side, side, 1), units=4).config["channels"] == channels


def test_channels_widen_to_256_and_may_be_given():
    assert models.networks.strided_channels((256, 9, 1)) == (32, 64, 128, 256, 256, 256)
    assert models.ConvVAE(channels=(6, 4, 4)).named_parameters()["encoder.2.weight"].shape == (4, 4, 6, 4)


def test_the_code_of_the_pooling_autoencoder_is_its_last_map():
    model = models.ConvAE()
    assert model.networks["encoder"].layers[-2].output_shape((7, 7, 8)) == (4, 4, 8) and model.latent_dim == 128
    assert models.ConvAE(input_shape=(25, 30, 3), channels=(4, 6)).latent_dim == 7 * 8 * 6


CONVOLUTIONAL = (models.ConvAE, models.ConvVAE)
each_model = pytest.mark.parametrize("make", CONVOLUTIONAL, ids=lambda make: make.name)
SMALL = dict(input_shape=(8, 8, 1), channels=(3, 4))


@each_model
@pytest.mark.parametrize(
    "options, message",
    [
        (dict(input_shape=(64,)), "input_shape: a convolutional model takes images (H, W, C), got (64,)"),
        (dict(input_shape=(8, 0, 1)), "input_shape: expected positive whole numbers"),
        (dict(channels=(4, 0)), "channels: expected positive whole numbers, got (4, 0)"),
        (dict(channels=(2.5,)), "channels: expected positive whole numbers"),
        (dict(activation="rellu"), "unknown activation 'rellu': did you mean 'relu'"),
    ],
)
def test_bad_option_is_one_line(make, options, message):
    with pytest.raises(ConfigError) as caught:
        make(**{**SMALL, **options})
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make, options, message",
    [
        (models.ConvAE, dict(channels=()), "channels: expected one or more positive whole numbers, got none"),
        (models.ConvAE, dict(loss="bcee"), "unknown loss 'bcee': did you mean 'bce'"),
        (models.ConvVAE, dict(units=0), "units: expected positive whole numbers, got 0"),
        (models.ConvVAE, dict(latent_dim=0), "latent_dim"),
        (models.ConvVAE, dict(likelihood="gausian"), "did you mean 'gaussian'"),
    ],
)
def test_bad_option_of_one_model_is_one_line(make, options, message):
    with pytest.raises(ConfigError) as caught:
        make(**{**SMALL, **options})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_conv_vae_samples_and_conv_ae_does_not():
    x = models.ConvVAE(**SMALL, units=5).sample(3, seed=1)
    assert x.shape == (3, 8, 8, 1)
    with pytest.raises(ConfigError, match="^conv-ae has no prior"):
        models.ConvAE(**SMALL).sample(3)
    with pytest.raises(ShapeError, match=r"^conv-ae: expected codes of shape \(N, 16\)"):
        models.ConvAE(**SMALL).decode(np.zeros((1, 3)))


# training


@each_model
def test_parts_of_a_batch_sum_to_the_whole(make):
    """Noise and masks are drawn by example: a part draws its rows of what the whole batch draws."""
    model, x = make(**SMALL, dtype="float64"), images(7)
    whole, expected = model.loss_and_grads({"x": x}, seed=5, step=3)
    grads, losses = model.store.like(), []
    for start, stop in ((0, 3), (3, 7)):
        rng = model.backend.noise(5, 3).rows(start, stop, 7)
        terms, _ = model.step(model.prepare({"x": x[start:stop]}), rng, grads.tree, batch_size=7)
        losses.append(float(terms["loss"]))
    assert sum(losses) == pytest.approx(float(whole["loss"]), rel=1e-12)
    for name, gradient in expected.items():
        np.testing.assert_allclose(grads.named[name], gradient, rtol=0, atol=1e-12 * max(1, np.abs(gradient).max()))


FIT = dict(batch_size=130, lr=1e-2, seed=4, progress=False)


@each_model
def test_any_number_of_threads_gives_the_same_bits(make):
    pytest.importorskip("threadpoolctl")
    x, flats = images(260), []
    for threads in (1, 2, 3):
        model = make(**SMALL)
        tinyae.fit(model, x, epochs=1, threads=threads, **FIT)
        flats.append(model.store.flat.copy())
    np.testing.assert_array_equal(flats[1], flats[0])
    np.testing.assert_array_equal(flats[2], flats[0])
    assert (flats[0] != make(**SMALL).store.flat).any()


@each_model
def test_a_resumed_run_ends_on_the_same_bits(make, tmp_path):
    x, options = images(40), FIT | dict(batch_size=16, threads=1)
    whole = make(**SMALL)
    tinyae.fit(whole, x, epochs=3, **options)
    tinyae.fit(make(**SMALL), x, epochs=1, out=tmp_path, **options)
    resumed = make(**SMALL)
    history = tinyae.fit(resumed, x, epochs=3, out=tmp_path, resume=True, **options)
    assert history.steps == 9
    np.testing.assert_array_equal(resumed.store.flat, whole.store.flat)
    loaded = tinyae.load(tmp_path / "last.npz")
    assert type(loaded) is make and repr(loaded) == repr(whole)
    np.testing.assert_array_equal(loaded.reconstruct(x), whole.reconstruct(x))


# PyTorch: whole trainings, written with its own layers on channels-first images


def their_conv(params, name, x, stride=1):
    """ "same" convolution: of an odd number of zeros the end gets one more."""
    weight = params[f"{name}.weight"].permute(3, 2, 0, 1).contiguous()
    sides = []
    for size in (x.shape[3], x.shape[2]):
        total = max((math.ceil(size / stride) - 1) * stride + weight.shape[2] - size, 0)
        sides += [total // 2, total - total // 2]
    return torch_f().conv2d(torch_f().pad(x, sides), weight, params[f"{name}.bias"], stride)


def their_transpose(params, name, x, size):
    """4x4 stride 2, one row and column cut off before, at the end what exceeds `size`."""
    weight, bias = params[f"{name}.weight"].permute(3, 2, 0, 1).contiguous(), params[f"{name}.bias"]
    return torch_f().conv_transpose2d(x, weight, bias, 2)[:, :, 1 : 1 + size, 1 : 1 + size]


def their_dense(params, name, x):
    return torch_f().linear(x, params[f"{name}.weight"].T, params[f"{name}.bias"])


def torch_f():
    return pytest.importorskip("torch").nn.functional


@pytest.fixture
def torch():
    """PyTorch on one thread."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(before)


def their_bce(logits, x):
    total = torch_f().binary_cross_entropy_with_logits(logits.permute(0, 2, 3, 1), x, reduction="sum")
    return total / len(x)


def theirs_conv_ae(p, x, noise):
    f, h = torch_f(), x.permute(0, 3, 1, 2)
    for name in ("encoder.0", "encoder.3", "encoder.6"):
        h = f.max_pool2d(f.relu(their_conv(p, name, h)), 2, ceil_mode=True)
    for name, size in (("decoder.2", 7), ("decoder.5", 14), ("decoder.8", 28)):
        h = f.relu(their_conv(p, name, f.interpolate(h, size)))
    loss = their_bce(their_conv(p, "decoder.10", h), x)
    return {"loss": loss, "reconstruction": loss}


def theirs_conv_vae(p, x, noise):
    f, h, n = torch_f(), x.permute(0, 3, 1, 2), len(x)
    for name in ("encoder.0", "encoder.2"):
        h = f.relu(their_conv(p, name, h, 2))
    h = h.permute(0, 2, 3, 1).reshape(n, -1)
    h = their_dense(p, "encoder.7", f.relu(their_dense(p, "encoder.5", h)))
    mu, logvar = h.chunk(2, dim=1)
    h = f.relu(their_dense(p, "decoder.0", mu + (logvar / 2).exp() * noise))
    h = f.relu(their_dense(p, "decoder.2", h)).reshape(n, 7, 7, -1).permute(0, 3, 1, 2)
    h = f.relu(their_transpose(p, "decoder.5", h, math.ceil(x.shape[1] / 2)))
    rec = their_bce(their_transpose(p, "decoder.7", h, x.shape[1]), x)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum() / n
    return {"loss": rec + kl, "reconstruction": rec, "kl": kl}


TRAININGS = [
    (lambda: models.ConvAE(dtype="float64"), theirs_conv_ae, 28),
    (lambda: models.ConvVAE(channels=(8, 6), units=32, latent_dim=5, dtype="float64"), theirs_conv_vae, 28),
    (
        lambda: models.ConvVAE(input_shape=(25, 25, 1), channels=(4, 6), units=16, latent_dim=5, dtype="float64"),
        theirs_conv_vae, 25,
    ),
]  # fmt: skip


@pytest.mark.parametrize("make, theirs, side", TRAININGS, ids=("conv-ae", "conv-vae", "conv-vae-25"))
def test_twenty_steps_of_training_are_pytorchs(make, theirs, side, pictures, torch, batch=8):
    model, optimizer = make(), optim.Adam(1e-3)
    params = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
    their_optimizer = torch.optim.Adam(params.values(), lr=1e-3)
    grads, rng = model.store.like(), np.random.default_rng(0)
    for step in range(20):
        x = pictures[rng.integers(0, len(pictures), batch), :side, :side] / 255
        noise = rng.normal(size=(batch, model.latent_dim))
        terms, named = model.loss_and_grads({"x": x}, {"z": noise} if model.generative else None)
        expected = theirs(params, torch.tensor(x), torch.tensor(noise))
        assert terms.keys() == expected.keys()
        for name, term in terms.items():
            assert float(term) == pytest.approx(expected[name].item(), rel=1e-10), f"{name} at step {step}"
        their_optimizer.zero_grad()
        expected["loss"].backward()
        if step == 0:
            for name, parameter in params.items():
                theirs_now = parameter.grad.numpy()
                np.testing.assert_allclose(named[name], theirs_now, rtol=0, atol=1e-11 * np.abs(theirs_now).max())
        grads.fill(nest(grads.shapes, named))
        optimizer.step(model.store, grads)
        their_optimizer.step()
