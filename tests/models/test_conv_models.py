"""The convolutional models: their sizes, what damages an image, and training in parts."""

import math

import numpy as np
import pytest
from steps import run

import tinyae
from tinyae import models
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.networks.autoencoder import strided_channels

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
    assert models.DenoisingAE().param_count == 30_689 == pooled(1, [32, 32, 16])
    assert models.ConvAE(input_shape=(32, 32, 3), channels=(5, 7)).param_count == pooled(3, [5, 7])
    mask = 9 * 32  # one more channel in
    assert models.MaskedAE().param_count == 47_137 == pooled(1, [32, 32, 32]) + mask
    levels = conv(4, 1, 32) + conv(4, 32, 64) + conv(4, 64, 32) + conv(4, 32, 1)
    middle = dense(3136, 256) + dense(256, 40) + dense(20, 256) + dense(256, 3136) - 32 - 64 + 32 + 64
    assert models.ConvVAE().param_count == levels + middle == 1_691_369


def test_large_activations_make_small_chunks():
    """What all layers put out for a chunk stays below 64 MiB of float32; a small model takes 1,024 examples."""
    assert models.VAE().chunk == models.ConvAE(**SMALL).chunk == 1024
    per_image = 28 * 28 * 32 * 2 + 14 * 14 * 32 * 3 + 7 * 7 * (32 + 16 * 2) + 4 * 4 * 16 * 2  # encoder and its code
    per_image += 4 * 4 * 16 + 7 * 7 * 16 * 3 + 14 * 14 * (16 + 32 * 2) + 28 * 28 * 32 * 3 + 28 * 28
    assert models.DenoisingAE().chunk == 2**24 // per_image
    model, x = models.ConvVAE(**SMALL, dtype="float64"), images(7)
    whole = model.encode(x)
    model.chunk = 3
    np.testing.assert_allclose(model.encode(x), whole, rtol=1e-12)


CONVOLUTIONAL = (models.ConvAE, models.DenoisingAE, models.MaskedAE, models.ConvVAE)
each_model = pytest.mark.parametrize("make", CONVOLUTIONAL, ids=lambda make: make.name)
SMALL = dict(input_shape=(8, 8, 1), channels=(3, 4))


@each_shape
@each_model
def test_any_size_comes_back_at_its_size(make, shape):
    if make is models.MaskedAE and shape == (1, 1, 1):
        with pytest.raises(ConfigError, match="some have to be hidden and some shown"):
            make(input_shape=shape)
        return
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
    assert strided_channels((256, 9, 1)) == (32, 64, 128, 256, 256, 256)
    assert models.ConvVAE(channels=(6, 4, 4)).named_parameters()["encoder.2.weight"].shape == (4, 4, 6, 4)


def test_the_code_of_the_pooling_autoencoder_is_its_last_map():
    model = models.ConvAE()
    assert model.networks["encoder"].layers[-2].output_shape((7, 7, 8)) == (4, 4, 8) and model.latent_dim == 128
    assert models.ConvAE(input_shape=(25, 30, 3), channels=(4, 6)).latent_dim == 7 * 8 * 6


@each_model
@pytest.mark.parametrize(
    "options, message",
    [
        (dict(input_shape=(64,)), "input_shape: a convolutional model takes images (H, W, C), got (64,)"),
        (dict(input_shape=(8, 0, 1)), "input_shape: expected positive integers with a product of at most 268435456"),
        (dict(channels=(4, 0)), "integers from 1 to 16777216, got (4, 0)"),
        (dict(channels=(2.5,)), "channels: expected"),
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
        (models.ConvAE, dict(channels=()), "channels: expected 1 to 64 integers from 1 to 16777216, got ()"),
        (models.ConvAE, dict(loss="bcee"), "unknown loss 'bcee': did you mean 'bce'"),
        (models.DenoisingAE, dict(noise="gausian"), "unknown noise 'gausian': did you mean 'gaussian'"),
        (models.DenoisingAE, dict(level=-0.1), "level: expected a number of at least 0, got -0.1"),
        (models.DenoisingAE, dict(level=math.nan), "level: expected"),
        (models.DenoisingAE, dict(noise="dropout", level=1.5), "level: dropout noise takes a share in [0, 1], got 1.5"),
        (models.MaskedAE, dict(patch=3), "patch: 3 does not divide 8 x 8 pixels: give a divisor of 8"),
        (models.MaskedAE, dict(patch=-2), "patch: expected an integer from 0 to 16777216, got -2"),
        (models.MaskedAE, dict(patch=8), "hides 1: some have to be hidden and some shown"),
        (models.MaskedAE, dict(share=1.0), "share: expected a number above 0 and below 1, got 1.0"),
        (models.MaskedAE, dict(share=math.nan), "share: expected"),
        (models.ConvVAE, dict(units=0), "units: expected an integer from 1 to 16777216, got 0"),
        (models.ConvVAE, dict(latent_dim=0), "latent_dim"),
        (models.ConvVAE, dict(likelihood="gausian"), "did you mean 'gaussian'"),
    ],
)
def test_bad_option_of_one_model_is_one_line(make, options, message):
    with pytest.raises(ConfigError) as caught:
        make(**{**SMALL, **options})
    assert message in str(caught.value) and "\n" not in str(caught.value)


@each_model
def test_only_a_generative_model_samples(make):
    model = make(**SMALL)
    if make is models.ConvVAE:
        assert model.sample(3, seed=1).shape == (3, 8, 8, 1)
    else:
        with pytest.raises(ConfigError, match=f"^{make.name} has no prior"):
            model.sample(3)


def test_decode_refuses_other_codes():
    with pytest.raises(ShapeError, match=r"^conv-ae: expected codes of shape \(N, 16\)"):
        models.ConvAE(**SMALL).decode(np.zeros((1, 3)))


# noise: drawn by the names "noise" and "mask", in training and in evaluation


def corrupted(noise, level, x):
    model = models.DenoisingAE(input_shape=x.shape[1:], channels=(2,), noise=noise, level=level)
    rng = model.backend.noise(0)
    return model.corrupted(x, rng), rng


def test_gaussian_noise_is_added_and_clipped():
    x = np.full((100, 10, 10, 1), 0.4, "float32")
    noisy, rng = corrupted("gaussian", 0.5, x)
    assert noisy.min() == 0 and noisy.max() == 1 and noisy.dtype == np.float32
    drawn = rng.normal("noise", x.shape)
    inside = (noisy > 0) & (noisy < 1)
    np.testing.assert_allclose(noisy[inside], (x + 0.5 * drawn)[inside], rtol=1e-6)
    phi = [0.5 * math.erfc(t / math.sqrt(2)) for t in (0.4 / 0.5, 0.6 / 0.5)]  # P(noisy = 0), P(noisy = 1)
    np.testing.assert_allclose([np.mean(noisy == 0), np.mean(noisy == 1)], phi, atol=0.01)
    small, _ = corrupted("gaussian", 0.05, x)
    assert (small - x).std() == pytest.approx(0.05, rel=0.03) and abs((small - x).mean()) < 0.002


@pytest.mark.parametrize("level", (0.0, 0.3, 1.0))
def test_salt_and_pepper_strikes_its_share(level):
    x = np.random.default_rng(0).uniform(0.1, 0.9, (100, 10, 10, 1)).astype("float32")
    noisy, _ = corrupted("salt-and-pepper", level, x)
    salt, pepper = noisy == 1, noisy == 0
    np.testing.assert_allclose([salt.mean(), pepper.mean()], level / 2, atol=0.012)
    np.testing.assert_array_equal(noisy[~(salt | pepper)], x[~(salt | pepper)])


@pytest.mark.parametrize("level", (0.0, 0.3, 1.0))
def test_dropout_noise_strikes_its_share(level):
    x = np.random.default_rng(0).uniform(0.1, 0.9, (100, 10, 10, 1)).astype("float32")
    noisy, _ = corrupted("dropout", level, x)
    assert np.mean(noisy == 0) == pytest.approx(level, abs=0.015)
    np.testing.assert_array_equal(noisy[noisy != 0], x[noisy != 0])


@pytest.mark.parametrize("train", (True, False))
def test_the_target_is_the_clean_image(train):
    model, x = models.DenoisingAE(**SMALL, dtype="float64"), images(5) / 255
    noise = np.random.default_rng(0).normal(size=x.shape)
    got = model.loss({"x": x}, {"noise": noise}, train=train)["loss"]
    restored = model.reconstruct(np.clip(x + 0.5 * noise, 0, 1))
    expected = -(x * np.log(restored) + (1 - x) * np.log(1 - restored)).sum() / len(x)
    assert got == pytest.approx(expected, rel=1e-12)
    drawn = {float(model.loss({"x": x}, step=step, train=train)["loss"]) for step in (0, 1)}
    assert len(drawn) == 2


MASKED = dict(input_shape=(8, 12, 2), channels=(3,), patch=4)


def hidden_of(model, n, step=0):
    _, rank = model.orders(n, model.backend.noise(0, step))
    return rank < model.hidden


@pytest.mark.parametrize("share, count", [(0.75, 37), (0.5, 24), (0.01, None), (0.02, 1), (0.98, 48)])
def test_exactly_the_share_is_hidden_in_every_image(share, count):
    if count is None:
        with pytest.raises(ConfigError, match="hides 0"):
            models.MaskedAE(share=share)
        return
    hidden = hidden_of(models.MaskedAE(share=share), 200)
    assert hidden.shape == (200, 49) and set(hidden.sum(axis=1)) == {count}


def test_every_patch_is_hidden_as_often():
    hidden = hidden_of(models.MaskedAE(), 3000)
    assert np.abs(hidden.mean(axis=0) - 37 / 49).max() < 0.04
    assert (hidden != hidden_of(models.MaskedAE(), 3000, step=1)).any()


@pytest.mark.parametrize(
    "size, patch",
    [((28, 28), 4), ((32, 32), 4), ((64, 64), 8), ((25, 25), 5), ((8, 8), 1), ((29, 29), 1), ((24, 36), 3)],
)
def test_the_patch_size_divides_the_image(size, patch):
    assert models.MaskedAE(input_shape=(*size, 1), channels=(2,)).patch == patch


@pytest.mark.parametrize("loss", ("bce", "mse", "l1"))
def test_the_loss_counts_hidden_pixels_alone(loss):
    """Written with a loop over the patches, from the model's own networks."""
    model = models.MaskedAE(**MASKED, loss=loss, dtype="float64")
    x = images(4, (8, 12, 2)) / 255
    u = np.random.default_rng(0).random((4, 6))
    got = model.loss({"x": x}, {"mask": u})
    mask = np.zeros((4, 8, 12, 1))
    for n in range(4):
        for patch in np.argsort(u[n])[:4]:  # round(0.75 * 6), halves to even
            row, column = divmod(int(patch), 3)
            mask[n, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 1
    seen = np.concatenate((x * (1 - mask), mask), axis=3)
    y = model.decode(model.apply("encoder", seen))
    if loss == "bce":
        each = -(x * np.log(y) + (1 - x) * np.log(1 - y))
    else:
        each = (x - y) ** 2 if loss == "mse" else abs(x - y)
    assert got["loss"] == pytest.approx((each * mask).sum() / 4, rel=1e-11)

    np.testing.assert_allclose(model.fill(x, mask[..., 0]), np.where(mask, y, x), rtol=1e-12)


def test_what_is_hidden_does_not_reach_the_network():
    model, x = models.MaskedAE(**MASKED), images(2, (8, 12, 2)) / np.float32(255)
    hidden = np.zeros((2, 8, 12), bool)
    hidden[:, :4, 4:8] = True
    changed = np.where(hidden[..., None], np.float32(0.9), x)
    np.testing.assert_array_equal(model.fill(x, hidden)[hidden], model.fill(changed, hidden)[hidden])
    with pytest.raises(ShapeError, match=r"^masked-ae: expected hidden of shape \(2, 8, 12\), got \(2, 8\)$"):
        model.fill(x, hidden[:, :, 0])
    np.testing.assert_array_equal(model.fill(x, hidden.astype("float32")), model.fill(x, hidden * np.uint8(255)))
    for odd in (0.5, np.nan):  # a resized mask may hold such values
        with pytest.raises(DataError, match="^masked-ae: a pixel is hidden or not, and hidden has other floats than 0"):
            model.fill(x, np.where(hidden, odd, 0))


def test_scatter_is_the_transpose_of_gather():
    model, rng = models.MaskedAE(**MASKED, dtype="float64"), np.random.default_rng(0)
    order, rank = model.orders(3, model.backend.noise(0))
    x, d = rng.normal(size=(3, 8, 12, 2)), rng.normal(size=(3, 4, 32))
    assert (model.gather(x, order) * d).sum() == pytest.approx((x * model.scatter(d, rank)).sum(), rel=1e-12)


# training


@each_model
def test_parts_of_a_batch_sum_to_the_whole(make):
    """Noise and masks are drawn by example: a part draws its rows of what the whole batch draws."""
    model, x = make(**SMALL, dtype="float64"), images(7)
    whole, expected = model.loss_and_grads({"x": x}, seed=5, step=3)
    grads, losses = model.store.like(), []
    for start, stop in ((0, 3), (3, 7)):
        rng = model.backend.noise(5, 3).rows(start, stop, 7)
        terms, _ = run(model, model.prepare({"x": x[start:stop]}), rng, grads.tree, batch_size=7)
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


# pictures


@pytest.mark.parametrize(
    "make, rows", [(models.DenoisingAE, "noisy restored clean"), (models.MaskedAE, "masked filled original")]
)
def test_a_demonstration_and_its_picture(make, rows, tmp_path):
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    from tinyae import plot

    model, x = make(**SMALL), images(12)
    shown = model.demonstration(x)
    assert list(shown) == rows.split()
    first, second, original = shown.values()
    assert {(rows.shape, rows.dtype) for rows in shown.values()} == {((12, 8, 8, 1), np.dtype("float32"))}
    np.testing.assert_array_equal(original, x * np.float32(1 / 255))
    assert (first != original).any() and (second != first).any()
    np.testing.assert_array_equal(model.demonstration(x)[rows.split()[0]], first)
    written = plot.training_report(tmp_path, model, x, np.arange(12) % 3)
    assert [path.name for path in written] == ["restorations.png", "codes.png"]
    with pytest.raises(ShapeError, match="restorations: as .* differ in shape"):
        plot.restorations(tmp_path / "a.png", {"a": x[:1], "b": x[:, :4], "c": x[:, :4]})


@pytest.mark.parametrize("make", (models.DenoisingAE, models.MaskedAE))
def test_a_demonstration_on_the_stand_in_is_that_on_numpy(make, strict_device):
    x = images(5)
    host, device = make(**SMALL).demonstration(x), make(**SMALL, backend="cupy").demonstration(x)
    for name, shown in host.items():
        assert type(device[name]) is np.ndarray
        np.testing.assert_allclose(device[name], shown, rtol=0, atol=1e-6)
