"""SSIM, edges and their losses: values against loops and exact cases, scale, devices. Gradients: test_torch."""

import inspect
import math

import numpy as np
import pytest
from devices import assert_same
from image_oracles import edge_strength, structural_similarity

import tinyae
from tinyae.errors import ShapeError
from tinyae.losses import image as image_losses
from tinyae.losses.image import edge_weighted_mse, edges, ssim, ssim_loss

LOSSES = {"ssim_loss": ssim_loss, "edge_weighted_mse": edge_weighted_mse}
each_loss = pytest.mark.parametrize("name", LOSSES)


def images(seed, shape=(3, 12, 14, 2), dtype="float64"):
    return np.random.default_rng(seed).random(shape).astype(dtype)


@pytest.fixture(scope="module")
def real():
    """Six real images and the same with noise, (6, 28, 28, 1) in [0, 1]."""
    x = tinyae.data.load("fashion-mini").test.x[:6] / 255
    return x, np.clip(x + 0.1 * np.random.default_rng(0).normal(size=x.shape), 0, 1)


def test_ssim_is_the_loop():
    x, y = images(0), images(1)
    expected = [structural_similarity(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y), [np.mean(s) for s in expected], rtol=1e-11)
    loss, _ = ssim_loss(x, y)
    assert loss == pytest.approx(sum((1 - s).sum() for s in expected) / len(x), rel=1e-11)


def test_ssim_of_real_images(real):
    """The numbers that scikit-image 0.26 gives with Gaussian weights, sigma 1.5 and biased covariances."""
    published = [0.6450413771365, 0.8752407087872, 0.8803925470572, 0.7736257384924, 0.7039816100928, 0.9034747485089]
    np.testing.assert_allclose(ssim(*real), published, rtol=1e-11)
    np.testing.assert_allclose(ssim(*(a.astype("float32") for a in real)), published, rtol=1e-4)


def test_ssim_of_equal_images_is_one_and_its_gradient_zero():
    x = images(2)
    np.testing.assert_allclose(ssim(x, x), 1, rtol=1e-12)
    loss, gradient = ssim_loss(x, x)
    assert loss == pytest.approx(0, abs=1e-10) and np.abs(gradient).max() < 1e-10


def test_ssim_of_constant_images_is_their_luminance_term():
    x, y = np.full((1, 11, 11, 1), 0.25), np.full((1, 11, 11, 1), 0.75)
    assert ssim(x, y)[0] == pytest.approx((2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4), rel=1e-12)


def test_edges_are_the_loop():
    x = images(3, (2, 5, 4, 2))
    np.testing.assert_allclose(edges(x), [edge_strength(image) for image in x], rtol=1e-12)


def test_edges_of_a_step_and_of_nothing():
    x = np.zeros((1, 6, 6, 1))
    assert not edges(x + 0.7).any()
    x[:, :, 3:] = 1
    np.testing.assert_allclose(edges(x)[0, :, :, 0], np.tile([0, 0, 1, 1, 0, 0], (6, 1)))
    np.testing.assert_allclose(edges(x.transpose(0, 2, 1, 3))[0, :, :, 0], np.tile([0, 0, 1, 1, 0, 0], (6, 1)).T)


def test_the_edge_weighted_error_is_the_sum():
    p, t = images(4), images(5)
    loss, _ = edge_weighted_mse(p, t)
    weights = np.array([1 + 4 * edge_strength(image) for image in t])
    assert loss == pytest.approx((weights * (p - t) ** 2).sum() / len(p), rel=1e-12)


def test_both_see_a_blur_that_the_squared_error_takes_for_a_faint_haze():
    """Two damages of one squared error: a blurred edge, and a constant added everywhere."""
    target = np.zeros((1, 24, 24, 1))
    target[:, :, 12:] = 0.8
    blurred = np.zeros_like(target)
    ramp = 0.8 * np.clip((np.arange(24) - 8.5) / 6, 0, 1)
    blurred += ramp[None, None, :, None]
    error = ((blurred - target) ** 2).mean()
    hazy = target + math.sqrt(error)
    assert ((hazy - target) ** 2).mean() == pytest.approx(error)
    assert edge_weighted_mse(blurred, target)[0] > 1.5 * edge_weighted_mse(hazy, target)[0]


@each_loss
def test_shards_sum_to_the_whole(name):
    x, y = images(6, (5, 11, 12, 1)), images(7, (5, 11, 12, 1))
    loss, gradient = LOSSES[name](x, y)
    parts = [LOSSES[name](x[rows], y[rows], batch_size=5) for rows in (slice(2), slice(2, None))]
    assert sum(part for part, _ in parts) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(np.concatenate([g for _, g in parts]), gradient, rtol=1e-12)


@each_loss
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_dtype_is_kept_and_devices_agree(name, dtype, gpu):
    x, y = images(8, dtype=dtype), images(9, dtype=dtype)
    expected = LOSSES[name](x, y)
    assert {a.dtype for a in expected} == {np.dtype(dtype)} and expected[0].shape == ()
    assert_same(gpu.host(LOSSES[name](gpu.array(x), gpu.array(y))), expected, 1e-5 if dtype == "float32" else 1e-13)


def test_nothing_waits_for_a_device(strict_device):
    x, y = (strict_device.array(images(seed)) for seed in (0, 1))
    for function in (ssim, ssim_loss, edge_weighted_mse):
        function(x, y)
    assert strict_device.xp.host_syncs == 0


def test_small_or_unequal_images_are_refused():
    small = np.zeros((1, 10, 40, 1))
    for function in (ssim, ssim_loss):
        with pytest.raises(ShapeError, match=rf"^{function.__name__}: images need 11 pixels .* got 10 x 40"):
            function(small, small)
    for function in (ssim, *LOSSES.values()):
        with pytest.raises(ShapeError, match=rf"^{function.__name__}: .*\(1, 10, 40, 1\) and \(1, 10, 40, 3\)"):
            function(small, np.zeros((1, 10, 40, 3)))
        with pytest.raises(ShapeError, match="batches of images"):
            function(np.zeros((2, 144)), np.zeros((2, 144)))


def test_every_loss_here_is_among_those_tested():
    public = inspect.getmembers(image_losses, lambda f: inspect.isfunction(f) and f.__module__ == image_losses.__name__)
    assert {name for name, _ in public if not name.startswith("_")} == {*LOSSES, "ssim", "edges"}
