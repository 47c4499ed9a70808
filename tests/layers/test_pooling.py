"""Pooling: against loops, PyTorch and finite differences; ties; what is not finite."""

import image_cases as cases
import image_oracles as oracles
import numpy as np
import pytest
from devices import assert_same
from image_cases import Case, ours

from tinyae import gradcheck
from tinyae.errors import ShapeError
from tinyae.layers import AveragePool2D, MaxPool2D

LOOPS = {MaxPool2D: oracles.max_pool, AveragePool2D: oracles.average_pool}
each_pool = pytest.mark.parametrize("cls", LOOPS, ids=lambda cls: cls.__name__)


def seeds(count):
    return pytest.mark.parametrize("seed", range(count))


@pytest.fixture
def case(cls, seed):
    return cases.pool(cls, seed)


def loops_of(layer):
    return next(loops for cls, loops in LOOPS.items() if isinstance(layer, cls))


def assert_like_loops(case, tolerance=1e-13):
    """On integers in [-4, 4]: most windows have a tie."""
    _, x, dy = case.arrays(whole=True)
    y, dx = loops_of(case.layer)(x, dy, case.layer.size, **case.numbers())
    assert_same(ours(case.layer, {}, x, dy), {"y": y, "dx": dx}, tolerance)


@each_pool
@seeds(150)
def test_like_loops(case):
    assert_like_loops(case)


@pytest.mark.parametrize("dtype", cases.TOLERANCE)
@each_pool
@seeds(200)
def test_like_torch(cls, case, dtype):
    pytest.importorskip("torch")
    import torch_images

    cases.assert_like_torch(torch_images.IMAGE_TWINS[cls.__name__], case, dtype)


@pytest.mark.parametrize("size, stride, padding", [(2, 2, 0), (3, 2, 1), (4, 1, 2), (3, 3, 1), (5, 2, 2), (2, 3, 1)])
@each_pool
def test_like_torch_with_its_own_padding(cls, size, stride, padding):
    """PyTorch pads by at most half of the window, alike on all sides."""
    torch = pytest.importorskip("torch")
    options = {"kernel_size": size, "stride": stride, "padding": padding}
    pools = {
        MaxPool2D: lambda x: torch.nn.functional.max_pool2d(x, **options),
        AveragePool2D: lambda x: torch.nn.functional.avg_pool2d(x, **options, count_include_pad=False),
    }

    def twin(layer, params, x):
        return pools[cls](x.movedim(3, 1)).movedim(1, 3)

    cases.assert_like_torch(twin, Case(cls(size, stride, padding), (7, 9, 3)), "float64")


@each_pool
@seeds(25)
def test_gradients_of_drawn_layers(case):
    report = gradcheck(case.layer, case.shape, batch=case.n, directions=1)
    assert report.passed, report


@pytest.mark.parametrize("n, size, stride", [(5, 2, 2), (6, 3, 2), (7, 2, 3), (4, 4, 4), (1, 3, 1)])
@each_pool
def test_same_gives_as_many_as_the_stride_fits(cls, n, size, stride):
    assert cls(size, stride, "same").output_shape((n, 2 * n, 3)) == (-(-n // stride), -(-2 * n // stride), 3)


@seeds(50)
def test_average_is_linear_and_its_gradient_the_adjoint(seed):
    case = cases.pool(AveragePool2D, seed)
    _, x, dy = case.arrays()
    got = ours(case.layer, {}, x, dy)
    assert (got["y"] * dy).sum() == pytest.approx((x * got["dx"]).sum(), abs=1e-12 * np.abs(dy).sum())


@seeds(30)
def test_average_of_ones_is_one(seed):
    """Padding does not count, whatever its kind."""
    case = cases.pool(AveragePool2D, seed)
    case.layer.count_include_pad = False
    y, _ = case.layer.forward({}, np.ones((1, *case.shape)))
    np.testing.assert_allclose(y, 1, rtol=1e-15)


def test_average_with_zeros_of_the_padding():
    """A corner's window of 3 x 3 has four pixels and five zeros, one at a side six and three."""
    y, _ = AveragePool2D(3, 2, padding=1, count_include_pad=True).forward({}, np.full((1, 4, 4, 1), 9.0))
    np.testing.assert_array_equal(y[0, ..., 0], [[4, 6], [6, 9]])


def test_dilated_windows_skip_pixels():
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    maximum = ours(MaxPool2D(2, 1, dilation=2), {}, x, np.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(maximum["y"][0, ..., 0], [[10, 11], [14, 15]])
    np.testing.assert_array_equal(maximum["dx"][0, ..., 0], np.pad(np.ones((2, 2)), ((2, 0), (2, 0))))
    average = AveragePool2D(2, 1, dilation=(1, 3)).forward({}, x)[0]
    np.testing.assert_array_equal(average[0, ..., 0], [[3.5], [7.5], [11.5]])


@each_pool
@pytest.mark.parametrize(
    "shape, padding, dilation", [((2, 2), 1, 3), ((4, 2), ((0, 0), (1, 1)), (1, 3)), ((1, 1), 1, 2)]
)
def test_dilated_window_without_a_pixel_is_refused(cls, shape, padding, dilation):
    with pytest.raises(ShapeError, match=f"^{cls.__name__}.*each needs a pixel"):
        cls(2, 1, padding, dilation).output_shape((*shape, 1))


@seeds(30)
def test_padding_is_never_the_maximum(seed):
    case = cases.pool(MaxPool2D, seed)
    y, _ = case.layer.forward({}, np.full((1, *case.shape), -5.0))
    np.testing.assert_array_equal(y, -5)


@seeds(30)
def test_gradient_of_the_maximum_is_kept_whole(seed):
    """Each dy goes to one pixel, so the sums over an image agree."""
    case = cases.pool(MaxPool2D, seed)
    _, x, dy = case.arrays(whole=True)
    np.testing.assert_array_equal(ours(case.layer, {}, x, dy)["dx"].sum((1, 2)), dy.sum((1, 2)))


def test_tie_goes_to_the_first_in_raster_order():
    x = np.array([[0.0, 3, 3], [3, 3, 0]]).reshape(1, 2, 3, 1)
    dy = np.array([10.0, 1]).reshape(1, 1, 2, 1)
    dx = ours(MaxPool2D(2, stride=1), {}, x, dy)["dx"]
    np.testing.assert_array_equal(dx[0, ..., 0], [[0, 11, 0], [0, 0, 0]])


def test_overlapping_windows_add_up():
    x = np.zeros((1, 3, 3, 1))
    x[0, 1, 1] = 1
    maximum, average = (ours(cls(2, stride=1), {}, x, np.ones((1, 2, 2, 1)))["dx"] for cls in LOOPS)
    np.testing.assert_array_equal(maximum[0, ..., 0], [[0, 0, 0], [0, 4, 0], [0, 0, 0]])
    np.testing.assert_array_equal(average[0, ..., 0], [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]])


def test_pixels_that_no_window_sees_get_nothing():
    dx = ours(MaxPool2D(1, stride=2), {}, np.ones((1, 3, 3, 1)), np.ones((1, 2, 2, 1)))["dx"]
    np.testing.assert_array_equal(dx[0, ..., 0], [[1, 0, 1], [0, 0, 0], [1, 0, 1]])


def test_window_of_minus_infinity():
    """Its maximum is minus infinity, and the first pixel still takes the gradient."""
    got = ours(MaxPool2D(2), {}, np.full((1, 2, 2, 1), -np.inf), np.full((1, 1, 1, 1), 7.0))
    np.testing.assert_array_equal(got["y"], -np.inf)
    np.testing.assert_array_equal(got["dx"][0, ..., 0], [[7, 0], [0, 0]])


@each_pool
def test_nan_reaches_its_window_alone(cls):
    x = np.ones((1, 2, 4, 1))
    x[0, 1, 0] = np.nan
    y, _ = cls(2).forward({}, x)
    np.testing.assert_array_equal(np.isnan(y[0, 0, :, 0]), [True, False])


def test_nan_maximum_takes_no_gradient():
    """NaN equals nothing, so its window's gradient goes nowhere; other windows keep theirs."""
    x = np.array([[np.nan, 1, 1, 2], [1, 1, 1, 1]]).reshape(1, 2, 4, 1)
    dx = ours(MaxPool2D(2), {}, x, np.ones((1, 1, 2, 1)))["dx"]
    np.testing.assert_array_equal(dx[0, ..., 0], [[0, 0, 0, 1], [0, 0, 0, 0]])


@each_pool
@seeds(10)
def test_arrays_need_not_be_contiguous(case):
    _, x, dy = case.arrays(whole=True)
    spread = [np.asfortranarray(a)[:, ::-1].copy("F")[:, ::-1] for a in (x, dy)]
    assert_same(ours(case.layer, {}, *spread), ours(case.layer, {}, x, dy))


# Planted


class _TieToAll(MaxPool2D):
    """Right wherever there is no tie."""

    def backward(self, params, cache, dy, grads=None):
        x, y = cache
        dx = np.zeros_like(x)
        for y_at, x_at in self._taps(x.shape, y.shape[1:3]):
            dx[x_at] += dy[y_at] * (x[x_at] == y[y_at])
        return dx


class _LastOfATie(MaxPool2D):
    def backward(self, params, cache, dy, grads=None):
        (x, y), left = cache, dy.copy()
        dx = np.zeros_like(x)
        for y_at, x_at in reversed(list(self._taps(x.shape, y.shape[1:3]))):
            share = left[y_at] * (x[x_at] == y[y_at])
            dx[x_at] += share
            left[y_at] -= share
        return dx


class _PaddingCounts(AveragePool2D):
    def _counts(self, x, size):
        return np.full((1, *size, 1), float(self.size[0] * self.size[1]))


class _SumBackward(AveragePool2D):
    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, (cache[0], np.ones_like(cache[1])), dy)


class _FirstOfTheWindow(MaxPool2D):
    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, tuple(map(np.zeros_like, cache)), dy)


@pytest.mark.parametrize("wrong", (_SumBackward, _FirstOfTheWindow))
def test_planted_gradient_is_caught(wrong):
    assert not gradcheck(wrong(2), (4, 4, 2)).passed


@pytest.mark.parametrize("wrong", (_TieToAll, _LastOfATie, _PaddingCounts))
def test_planted_rule_is_caught_by_the_loops(wrong):
    layer = wrong(3, stride=2, padding="same")
    assert gradcheck(layer, (4, 4, 2)).passed
    with pytest.raises(AssertionError):
        assert_like_loops(Case(layer, (4, 4, 2)))
