"""Enlarging and shrinking: against loops and PyTorch, as linear maps, and as one another."""

from itertools import product

import image_cases as cases
import image_oracles as oracles
import numpy as np
import pytest
from devices import assert_same
from image_cases import Case, ours

from tinyae import gradcheck
from tinyae.errors import ConfigError
from tinyae.layers import Resize2D, UpSample2D

CASES = [
    Case(Resize2D(*new), (*old, channels), n)
    for (new, old), (channels, n) in zip(
        product([(1, 1), (2, 3), (6, 4), (7, 5), (16, 9)], [(1, 1), (3, 2), (4, 6), (5, 7), (8, 3)]),
        [(1, 1), (2, 3), (3, 2), (1, 4), (4, 1)] * 5,
        strict=True,
    )
] + [Case(UpSample2D(factor), (h, 3, 2), 2) for factor, h in product([1, 2, 3, (1, 4), (3, 1)], (1, 2, 5))]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.layer!r}{case.shape}")


def assert_like_loops(case):
    _, x, dy = case.arrays(whole=True)
    y, dx = oracles.resize(x, dy, *dy.shape[1:3])
    assert_same(ours(case.layer, {}, x, dy), {"y": y, "dx": dx})


@each_case
def test_like_loops(case):
    assert_like_loops(case)


def nearest(layer, params, x):
    """PyTorch's twin."""
    from torch.nn.functional import interpolate

    height, width, _ = layer.output_shape(tuple(x.shape[1:]))
    return interpolate(x.movedim(3, 1), (height, width), mode="nearest").movedim(1, 3)


@pytest.mark.parametrize("dtype", cases.TOLERANCE)
@each_case
def test_like_torch(case, dtype):
    pytest.importorskip("torch")
    cases.assert_like_torch(nearest, case, dtype)


@pytest.mark.parametrize("seed", range(200))
@pytest.mark.parametrize("cls", (Resize2D, UpSample2D))
def test_drawn_sizes_like_torch(cls, seed):
    pytest.importorskip("torch")
    a, b, height, width, channels, n = map(int, np.random.default_rng(seed).integers(1, 12, 6))
    layer = Resize2D(a, b) if cls is Resize2D else UpSample2D((a, b))
    cases.assert_like_torch(nearest, Case(layer, (height, width, channels), n, seed), "float64")


@each_case
def test_gradient_is_the_adjoint(case):
    _, x, dy = case.arrays(whole=True)
    got = ours(case.layer, {}, x, dy)
    assert (got["y"] * dy).sum() == (x * got["dx"]).sum()


@each_case
def test_gradients(case):
    report = gradcheck(case.layer, case.shape, directions=1)
    assert report.passed, report


@each_case
def test_arrays_need_not_be_contiguous(case):
    _, x, dy = case.arrays(whole=True)
    spread = [a.transpose(0, 3, 2, 1).copy().transpose(0, 3, 2, 1) for a in (x, dy)]
    assert_same(ours(case.layer, {}, *spread), ours(case.layer, {}, x, dy))


@pytest.mark.parametrize("factor", (1, 2, (3, 2)))
def test_upsampling_is_resizing_to_a_multiple(factor):
    up = UpSample2D(factor)
    case = Case(up, (3, 4, 2))
    arrays = case.arrays(whole=True)
    assert_same(ours(up, *arrays), ours(Resize2D(*up.output_shape(case.shape)[:2]), *arrays))


def test_same_size_changes_nothing():
    _, x, dy = Case(Resize2D(4, 3), (4, 3, 2)).arrays()
    assert_same(ours(Resize2D(4, 3), {}, x, dy), {"y": x, "dx": dy})


@pytest.mark.parametrize("factor", (2, 3))
def test_enlarging_then_shrinking_gives_the_image_back(factor):
    _, x, _ = Case(UpSample2D(factor), (3, 4, 2)).arrays()
    y, _ = UpSample2D(factor).forward({}, x)
    assert_same(Resize2D(3, 4).forward({}, y)[0], x)


def test_pixels_left_out_get_no_gradient():
    dx = ours(Resize2D(2, 1), {}, np.ones((1, 4, 2, 1)), np.array([3.0, 5]).reshape(1, 2, 1, 1))["dx"]
    np.testing.assert_array_equal(dx[0, ..., 0], [[3, 0], [0, 0], [5, 0], [0, 0]])


# Linear and cubic


def linear(t):
    return max(0.0, 1 - t)


def cubic(t, a=-0.75):
    """Keys 1981, equation 4."""
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


KERNELS = {"linear": (linear, 1), "cubic": (cubic, 2)}
each_mode = pytest.mark.parametrize("mode", KERNELS)
each_corner = pytest.mark.parametrize("align_corners", (False, True))
SIZES = [((3, 4), (5, 7)), ((4, 3), (2, 1)), ((1, 5), (3, 5)), ((6, 5), (6, 2))]


@each_mode
@each_corner
@pytest.mark.parametrize("old, new", SIZES)
def test_interpolation_like_loops(mode, align_corners, old, new):
    layer = Resize2D(*new, mode=mode, align_corners=align_corners)
    _, x, dy = Case(layer, (*old, 2)).arrays()
    got = ours(layer, {}, x, dy)
    assert_same(got["y"], oracles.interpolate(x, *new, *KERNELS[mode], align_corners), 1e-13)
    assert (got["y"] * dy).sum() == pytest.approx((x * got["dx"]).sum())
    assert gradcheck(layer, (*old, 2), directions=1).passed


def interpolated(layer, params, x):
    """PyTorch's twin."""
    from torch.nn.functional import interpolate

    size, mode = layer.output_shape(tuple(x.shape[1:]))[:2], {"linear": "bilinear", "cubic": "bicubic"}[layer.mode]
    return interpolate(x.movedim(3, 1), size, mode=mode, align_corners=layer.align_corners).movedim(1, 3)


@each_mode
@each_corner
@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("cls", (Resize2D, UpSample2D))
def test_interpolation_like_torch(cls, seed, align_corners, mode):
    pytest.importorskip("torch")
    a, b, height, width, channels, n = map(int, np.random.default_rng(seed).integers(1, 9, 6))
    sizes = (a, b) if cls is Resize2D else ((a, b),)
    case = Case(cls(*sizes, mode=mode, align_corners=align_corners), (height, width, channels), n, seed)
    cases.assert_like_torch(interpolated, case, "float64")


def test_linear_interpolation_of_a_ramp():
    """Between pixels in equal steps; beyond the outer pixels' middles it stays, or the corners stay."""
    x = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    for align_corners, expected in ((False, [0, 1, 3, 4]), (True, [0, 4 / 3, 8 / 3, 4])):
        y, _ = Resize2D(1, 4, mode="linear", align_corners=align_corners).forward({}, x)
        np.testing.assert_allclose(y[0, 0, :, 0], expected, rtol=1e-15)


@each_mode
@each_corner
def test_constant_image_stays_constant(mode, align_corners):
    y, _ = UpSample2D(3, mode=mode, align_corners=align_corners).forward({}, np.full((1, 3, 2, 1), 2.5))
    np.testing.assert_allclose(y, 2.5, rtol=1e-14)


@pytest.mark.parametrize("make", (lambda **o: Resize2D(2, 2, **o), lambda **o: UpSample2D(2, **o)))
def test_modes_that_are_none_are_refused(make):
    with pytest.raises(ConfigError, match="align_corners goes with mode"):
        make(align_corners=True)
    with pytest.raises(ConfigError, match="known: nearest, linear, cubic"):
        make(mode="linaer")


# Planted


class _OffByOnePhase(UpSample2D):
    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, cache, np.roll(dy, 1, axis=1))


class _OneOfTheBlock(UpSample2D):
    def backward(self, params, cache, dy, grads=None):
        return dy[:, :: self.factor[0], :: self.factor[1]].copy()


class _FromTheMiddle(Resize2D):
    """The nearest pixel to the middle of each place: another rule, with its right gradient."""

    def _sources(self, xp, shape):
        return tuple(
            (2 * xp.arange(new) + 1) * old // (2 * new)
            for new, old in zip((self.height, self.width), shape[1:3], strict=True)
        )


@pytest.mark.parametrize("wrong", (_OffByOnePhase, _OneOfTheBlock))
def test_planted_gradient_is_caught(wrong):
    assert not gradcheck(wrong(2), (3, 3, 2)).passed


def test_planted_rule_is_caught_by_the_loops():
    assert gradcheck(_FromTheMiddle(3, 3), (5, 5, 1)).passed
    with pytest.raises(AssertionError):
        assert_like_loops(Case(_FromTheMiddle(3, 3), (5, 5, 1)))
