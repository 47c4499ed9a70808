"""`vq-vae`: its published sizes, codes in and out, its terms, what it starts from, its gradients checked."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from steps import changed, move_parameters, run, times

from tinyae import gradcheck, models, optim
from tinyae.backend import Noise
from tinyae.errors import ConfigError, ShapeError, StaleParamsError
from tinyae.latent.codebook import Codebook
from tinyae.latent.kmeans import kmeans
from tinyae.models.context import Context
from tinyae.networks.vq import VQ_NETWORKS, network_for
from tinyae.training.monitors import CodebookUsage

TINY = dict(input_shape=(9, 6, 1), network="small", codes=5, latent_dim=4)
FORMS = {
    "loss": TINY,
    "ema": TINY | dict(ema=True),
    "grouped": TINY | dict(codebooks=2),
    "residual": TINY | dict(codebooks=2, residual_codes=True),
    "cosine": TINY | dict(cosine=True, ema=True),
    "signed": TINY | dict(network="residual", input_shape=(8, 9, 2)),
}
each_form = pytest.mark.parametrize("form", FORMS)
each_network = pytest.mark.parametrize("network", VQ_NETWORKS)


def images(n, shape=(9, 6, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def make(form, **options):
    """A model begun with images of its size, so that its codes are spread."""
    model = models.VQVAE(**FORMS[form] | options)
    model.begin({"x": images(20, model.input_shape, seed=9)}, Noise(0))
    return model


# sizes


def sizes(store):
    """How many numbers each network has in a store."""
    found = dict.fromkeys(("encoder", "codebook", "decoder"), 0)
    for name, array in store.named.items():
        network = name.split(".")[0]
        if network in found:
            found[network] += array.size
    return found


def test_the_published_size_for_28_pixels():
    model = models.VQVAE()
    assert sizes(model.store) == {"encoder": 19_856, "codebook": 2_048, "decoder": 28_033}
    assert model.param_count == 19_856 + 28_033 + 2_048 and model.code_shape == (7, 7)


def test_the_published_size_for_128_pixels():
    """With the statistics of BatchNorm, as Keras counts."""
    model = models.VQVAE(input_shape=(128, 128, 3))
    params, kept = sizes(model.store), sizes(model.state)
    assert kept["encoder"] + kept["decoder"] == 3_584
    assert params["encoder"] + kept["encoder"] == 764_416 and params["decoder"] + kept["decoder"] == 764_291
    assert model.param_count == 1_533_315 == 1_536_899 - 3_584 and params["codebook"] == 64 * 128
    assert model.code_shape == (32, 32) and model.signed


def conv(kernel, a, b):
    return kernel * kernel * a * b + b


def test_the_published_size_for_32_pixels():
    blocks = 2 * (conv(3, 256, 256) + conv(1, 256, 256))
    encoder, decoder = conv(4, 3, 256) + conv(4, 256, 256) + blocks, blocks + conv(4, 256, 256) + conv(4, 256, 3)
    model = models.VQVAE(input_shape=(32, 32, 3))
    assert sizes(model.store) == {"encoder": encoder, "codebook": 512 * 256, "decoder": decoder}
    assert model.code_shape == (8, 8)


def test_the_network_follows_from_the_image():
    assert [network_for((side, side, 3)) for side in (8, 28, 32, 64, 96, 128)] == [
        "small", "small", "paper", "paper", "residual", "residual",
    ]  # fmt: skip


@each_network
@settings(max_examples=12)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 3), st.integers(1, 3))
def test_any_size_comes_back_at_its_size(network, height, width, channels, n):
    model = models.VQVAE((height, width, channels), network, codes=3, latent_dim=2)
    x = images(n, (height, width, channels))
    codes = model.encode(x)
    assert codes.shape == (n, math.ceil(height / 4), math.ceil(width / 4))
    for y in (model.decode(codes), model.reconstruct(x)):
        assert (y.shape, y.dtype) == (x.shape, np.float32)


@each_network
def test_gradients_at_an_odd_size(network):
    model, x = models.VQVAE((29, 25, 3), network, codes=7, latent_dim=4, ema=True), images(2, (29, 25, 3))
    terms, grads = model.loss_and_grads({"x": x})
    assert np.isfinite(terms["loss"]) and model.reconstruct(x).shape == x.shape
    assert {name for name, g in grads.items() if not np.any(g)} == set()


# codes in and out


@each_form
def test_codes_and_back(form):
    model, x = make(form), images(7, FORMS[form]["input_shape"])
    codes = model.encode(x)
    books = () if model.codebook.books == 1 else (2,)
    assert codes.shape == (7, *model.code_shape) and model.code_shape[2:] == books
    assert codes.dtype == np.int64 and 0 <= codes.min() and codes.max() < 5 and len(np.unique(codes)) > 1
    decoded = model.decode(codes)
    np.testing.assert_array_equal(decoded, model.reconstruct(x))
    np.testing.assert_array_equal(model.decode(codes.astype("uint8").tolist()), decoded)
    assert not model.signed or (0 <= decoded.min() and decoded.max() <= 1)
    np.testing.assert_array_equal(model.encode((x / 255).astype("float32")), codes)
    counts = np.zeros((model.codebook.books, 5), int)
    for row in codes.reshape(-1, model.codebook.books):
        for b, k in enumerate(row):
            counts[b, k] += 1
    np.testing.assert_array_equal(model.usage(x), counts)
    model.chunk = 3
    np.testing.assert_array_equal(model.encode(x), codes)


@pytest.mark.parametrize(
    "codes, message",
    [
        (np.zeros((2, 3, 2)), "expected integer codes of shape (N, 3, 2), got float64 (2, 3, 2)"),
        (np.zeros((2, 2, 3), int), "expected integer codes of shape (N, 3, 2), got int64 (2, 2, 3)"),
        (np.zeros((3, 2), int), "expected integer codes of shape (N, 3, 2), got int64 (3, 2)"),
        (np.full((1, 3, 2), 5), "codes are 0 to 4, got 5 to 5"),
        (np.full((1, 3, 2), -1), "codes are 0 to 4, got -1 to -1"),
        (np.zeros((0, 3, 2), int), "no examples"),
        ([[[0.5, 1], [0, 0], [0, 0]]], "expected integer codes"),
    ],
)
def test_what_are_no_codes_is_refused(codes, message):
    with pytest.raises(ShapeError) as caught:
        models.VQVAE(**TINY).decode(codes)
    assert message in str(caught.value) and str(caught.value).startswith("vq-vae: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(input_shape=(64,)), "input_shape: a convolutional model takes images (H, W, C), got (64,)"),
        (dict(network="papre"), "unknown network 'papre': did you mean 'paper'"),
        (dict(codes=-2), "codes: expected an integer from 0 to 16777216, got -2"),
        (dict(latent_dim=1.5), "latent_dim: expected an integer from 0 to 16777216, got 1.5"),
        (dict(codebooks=0), "codebooks: expected an integer from 1 to 1024, got 0"),
        (dict(codebooks=3), "codebooks=3: vectors of 4 numbers do not divide into 3 groups"),
        (dict(commitment=-1), "commitment: expected a number of at least 0, got -1"),
        (dict(commitment=math.nan), "commitment: expected a number of at least 0, got nan"),
        (dict(decay=0), "decay: expected a number above 0 and below 1, got 0"),
        (dict(residual_codes=True, cosine=True), "cosine codes have no length"),
    ],
)
def test_a_bad_option_is_one_line(options, message):
    with pytest.raises(ConfigError) as caught:
        models.VQVAE(**TINY | options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_without_a_prior_there_are_no_samples():
    with pytest.raises(ConfigError, match=r"^vq-vae has no prior: train one .* tinyae train pixelcnn --codes RUN$"):
        models.VQVAE(**TINY).sample(3)


@pytest.mark.parametrize("form", ("loss", "grouped"))
def test_uniform_codes(form):
    model = models.VQVAE(**FORMS[form])
    codes = model.uniform_codes(4000, seed=1)
    assert codes.shape == (4000, *model.code_shape)
    shares = np.stack([(codes == k).mean(axis=0) for k in range(6)])
    np.testing.assert_allclose(shares[:5], 1 / 5, atol=0.03)
    assert not shares[5].any()
    np.testing.assert_array_equal(model.uniform_codes(3, seed=1), codes[:3])
    assert (model.uniform_codes(3, seed=2) != codes[:3]).any()
    assert model.decode(codes[:3]).shape == (3, 9, 6, 1)


# terms


@each_form
def test_terms_are_what_they_say_and_add_up(form):
    """From the codes and reconstructions that the model gives."""
    model, x = make(form, dtype="float64", commitment=0.7), images(6, FORMS[form]["input_shape"])
    terms = {name: float(value) for name, value in model.loss({"x": x}).items()}
    assert list(terms) == list(model.terms)
    assert terms["loss"] == pytest.approx(sum(terms.values()) - terms["loss"], rel=1e-12)
    scale = 2 if model.signed else 1
    squares = scale**2 * ((model.reconstruct(x) - x / 255) ** 2).sum()
    assert terms["reconstruction"] == pytest.approx(squares / 6 / float(model.state.named["scale.variance"]), rel=1e-9)
    assert ("codebook" in terms) == (not model.codebook.ema)
    if not model.codebook.ema:
        assert terms["commitment"] == pytest.approx(0.7 * terms["codebook"], rel=1e-12)
    if form in ("loss", "ema"):
        z = model.apply("encoder", x / 255)
        q = model.codebook.decode(model.store.tree["codebook"], model.encode(x), model.state.tree["codebook"])
        assert terms["commitment"] == pytest.approx(0.7 * ((z - q) ** 2).sum() / 6, rel=1e-9)


@each_form
def test_floats_and_bytes_are_the_same_images(form):
    model, x = make(form, dtype="float64"), images(4, FORMS[form]["input_shape"])
    (terms, grads), (same, same_grads) = (model.loss_and_grads({"x": v}) for v in (x, x / 255))
    assert {k: float(v) for k, v in same.items()} == pytest.approx({k: float(v) for k, v in terms.items()}, rel=1e-12)
    for name, gradient in grads.items():
        np.testing.assert_allclose(same_grads[name], gradient, rtol=0, atol=1e-11 * max(1, np.abs(gradient).max()))


def test_blank_images_give_cosine_codes_no_huge_gradient():
    """Their vectors are 0 as long as biases are."""
    model = models.VQVAE(**TINY | dict(cosine=True))
    _, grads = model.loss_and_grads({"x": np.zeros((2, 9, 6, 1), "float32")})
    assert max(np.abs(g).max() for g in grads.values()) < 1e4


def test_parameters_that_changed_in_between_are_noticed(monkeypatch):
    move_parameters(monkeypatch)
    with pytest.raises(StaleParamsError, match="changed between forward .* and backward"):
        models.VQVAE(**TINY).loss_and_grads({"x": images(2)})


def test_a_restart_counts_as_a_change_of_the_parameters():
    model = make("loss")
    before = model.store.version
    _, net = run(model, model.prepare({"x": images(3)}), Noise(0))
    model.after_update(model.phases[0], net)
    assert model.store.version > before


# the start of a training


@pytest.mark.parametrize("form", ("loss", "ema", "signed"))
def test_it_begins_with_the_variance_and_kmeans(form):
    model, x = models.VQVAE(**FORMS[form], dtype="float64"), images(20, FORMS[form]["input_shape"])
    noise = Noise(4)
    model.begin({"x": x}, noise)
    scale = 4 if model.signed else 1
    assert float(model.state.named["scale.variance"]) == pytest.approx(scale * (x / 255).var() + 1e-6, rel=1e-12)
    z, _ = Context(model, None, True, None, len(x)).encoder.forward(model.scaled(x / 255))
    expected = kmeans(z.reshape(-1, 4), 5, noise.child("codebook.0"))
    (weight,) = model.codebook.weight(model.store.tree["codebook"], model.state.tree["codebook"])
    np.testing.assert_allclose(weight, expected, rtol=1e-12, atol=1e-14)


def test_the_variance_may_be_left_out():
    model = models.VQVAE(**TINY, relative=False)
    model.begin({"x": images(20)}, Noise(0))
    assert float(model.state.named["scale.variance"]) == 1
    grey = models.VQVAE(**TINY)
    grey.begin({"x": np.full((4, 9, 6, 1), 100, np.uint8)}, Noise(0))
    assert float(grey.state.named["scale.variance"]) == pytest.approx(1e-6)
    assert np.isfinite(grey.loss_and_grads({"x": np.full((4, 9, 6, 1), 100, np.uint8)})[0]["loss"])


# gradients: the check catches what is wrong


class _ScaledStraightThrough(models.VQVAE):
    def step(self, net, x):
        changed(net, "codebook", backward=times(lambda codebook: 1.01))
        return super().step(net, x)


class _NothingThrough(models.VQVAE):
    def step(self, net, x):
        changed(net, "codebook", backward=times(lambda codebook: 0))
        return super().step(net, x)


class _WrongCodebook(models.VQVAE):
    """A model whose codebook's class is `books`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.codebook.__class__ = self.books


class _FlippedCommitment(_WrongCodebook):
    class books(Codebook):  # noqa: N801
        def losses(self, *args, **kwargs):
            codebook, commitment, dz = super().losses(*args, **kwargs)
            return codebook, commitment, -dz


class _NoCommitment(_WrongCodebook):
    class books(Codebook):  # noqa: N801
        def losses(self, *args, **kwargs):
            codebook, commitment, dz = super().losses(*args, **kwargs)
            return codebook, commitment, 0 * dz


class _NoCodebookGradient(_WrongCodebook):
    class books(Codebook):  # noqa: N801
        def losses_backward(self, *args):
            pass


class _CodebookThroughTheDecoder(_WrongCodebook):
    """The decoder's gradient also moves the codes."""

    class books(Codebook):  # noqa: N801
        def backward(self, params, cache, dy, grads=None):
            for code, row in zip(cache.codes[0], dy.reshape(-1, self.units), strict=True):
                grads["weight"][code] += row
            return super().backward(params, cache, dy)


class _UnweightedReconstruction(models.VQVAE):
    def step(self, net, x):
        changed(net, "decoder", backward=times(lambda decoder: 1 + 1e-4))
        return super().step(net, x)


WRONG = (
    _ScaledStraightThrough, _NothingThrough, _FlippedCommitment, _NoCommitment, _NoCodebookGradient,
    _CodebookThroughTheDecoder, _UnweightedReconstruction,
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_planted_gradient_is_caught(wrong):
    options = dict(input_shape=(5, 4, 1), network="small", codes=3, latent_dim=2)
    for seed in range(2):
        assert gradcheck(models.VQVAE(**options), seed=seed, directions=1).passed
        assert not gradcheck(wrong(**options), seed=seed, directions=1).passed


# devices


@each_form
def test_training_on_a_device_brings_nothing_to_the_host(form, gpu):
    """The training includes the start and restarts, and its parameters agree with a training on NumPy."""
    stores = []
    for backend in ("numpy", "cupy"):
        model = models.VQVAE(**FORMS[form], decay=0.5, dtype="float64", backend=backend)
        xp, optimizer, grads = model.backend.xp, optim.SGD(1e-3), model.store.like()
        x = [model.backend.asarray(images(4, model.input_shape, seed)) for seed in range(4)]
        model.begin({"x": x[0]}, model.backend.noise(1))
        for step in range(12):
            grads.flat.fill(0)
            _, net = run(model, model.prepare({"x": x[step % 4]}), model.backend.noise(2, step), grads.tree)
            optimizer.step(model.store, grads)
            model.after_update(model.phases[0], net)
        assert type(model.store.flat) is xp.ndarray
        CodebookUsage(model).end_epoch()
        stores.append([model.backend.to_host(flat) for flat in (model.store.flat, model.state.flat)])
        assert type(model.encode(images(3, model.input_shape))) is np.ndarray
        assert type(model.uniform_codes(2)) is np.ndarray
    for ours, expected in zip(stores[1], stores[0], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)
