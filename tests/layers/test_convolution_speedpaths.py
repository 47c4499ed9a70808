"""Convolution's other ways to the same numbers on NumPy alone: F(2, 3) over rows, and scattering into few channels.

Both are compared with the plain way, which the tests of the layers compare with naive loops and with PyTorch.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyae.backend import operations
from tinyae.backend.convolution import Geometry, patches, winograd
from tinyae.backend.operations import convolution, convolution_input_gradient, convolution_weight_gradient


@pytest.fixture(autouse=True, scope="module")
def numpy_alone():
    with operations.formulas_alone():
        yield


SIZES, MARGINS = st.integers(4, 19), st.tuples(st.integers(0, 3), st.integers(0, 3))


def all_three(x, dy, weight, bias, geometry):
    """The results of all three, with inputs that cannot be written to."""
    for array in (x, dy, weight, bias):
        array.setflags(write=False)
    return (
        convolution(x, weight, geometry, bias),
        convolution_input_gradient(dy, weight, geometry, x.shape[1:3]),
        convolution_weight_gradient(x, dy, geometry, weight.shape[:2]),
    )


def problem(seed, x_shape, kernel_shape, geometry):
    rng = np.random.default_rng(seed)
    size = geometry.output_size(x_shape[1:3], kernel_shape[:2])
    shapes = x_shape, (x_shape[0], *size, kernel_shape[3]), kernel_shape, (kernel_shape[3],)
    return [rng.standard_normal(shape) for shape in shapes]


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 7), size=st.tuples(SIZES, SIZES), kw=st.integers(1, 4),
    channels=st.sampled_from([16, 17, 40]), filters=st.sampled_from([16, 19, 32]), padding=st.tuples(MARGINS, MARGINS),
)  # fmt: skip
def test_fast_algorithm_agrees_with_the_plain_one(n, size, kw, channels, filters, padding):
    geometry = Geometry(padding=padding)
    arrays = problem(0, (n, *size, channels), (3, kw, channels, filters), geometry)
    for found, exact in zip(
        all_three(*(a.astype("f4") for a in arrays), geometry), all_three(*arrays, geometry), strict=True
    ):
        assert found.dtype == np.float32 and found.shape == exact.shape
        assert abs(found - exact).max() <= 2e-5 * abs(exact).max()


def test_which_convolutions_are_fast():
    shape, size = (3, 3, 32, 32), (28, 28)
    x = np.zeros((1, *size, 32), np.float32)
    assert winograd.pays(x, shape, Geometry(), size)
    assert not winograd.pays(x.astype(float), shape, Geometry(), size)  # float64 stays exact
    assert not winograd.pays(x, (5, 3, 32, 32), Geometry(), size)
    assert not winograd.pays(x, (3, 3, 32, 8), Geometry(), size)
    assert not winograd.pays(x, shape, Geometry(), (1, 28))
    for geometry in (Geometry(stride=(1, 2)), Geometry(dilation=(2, 1)), Geometry(groups=2)):
        assert not winograd.pays(x, shape, geometry, size)


def test_fast_parts_of_a_batch_are_chunked_by_shape():
    """Two chunks and a rest, against one image at a time."""
    geometry = Geometry(padding=((1, 1), (1, 1)))
    x, dy, weight, bias = (a.astype("f4") for a in problem(1, (9, 28, 28, 32), (3, 3, 32, 32), geometry))
    y, dx, dw = all_three(x, dy, weight, bias, geometry)
    alone = [all_three(x[i : i + 1], dy[i : i + 1], weight, bias, geometry) for i in range(9)]
    np.testing.assert_allclose(y, np.concatenate([one[0] for one in alone]), rtol=0, atol=1e-4)
    np.testing.assert_allclose(dx, np.concatenate([one[1] for one in alone]), rtol=0, atol=1e-4)
    np.testing.assert_allclose(dw, sum(one[2] for one in alone), rtol=0, atol=1e-5 * abs(dw).max())


@pytest.mark.parametrize("channels", [1, 2, 3])
@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3), size=st.tuples(SIZES, SIZES), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)), dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(MARGINS, MARGINS),
)  # fmt: skip
def test_scattering_agrees_with_gathering(channels, n, size, kernel, stride, dilation, padding):
    geometry = Geometry(stride, padding, dilation)
    if min(geometry.output_size(size, kernel)) < 1:
        return
    _, dy, weight, _ = problem(2, (n, *size, channels), (*kernel, channels, 8 * channels), geometry)
    scattered = convolution_input_gradient(dy, weight, geometry, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "SCATTERED_CHANNELS", 0)
        gathered = convolution_input_gradient(dy, weight, geometry, size)
    np.testing.assert_allclose(scattered, gathered, rtol=0, atol=1e-12 * max(1, abs(gathered).max()))


def test_nothing_is_read_before_it_is_written(monkeypatch):
    """Fresh memory is made of signalling NaN here: to calculate with it is a warning, which is an error."""

    def poisoned(shape, dtype):
        array = np.zeros(shape, dtype)
        array.view("u4")[...] = 0x7FA00000
        return array

    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(3, 8, 9, 64)).astype("f4") for _ in range(2))
    weight, bias = rng.normal(size=(3, 3, 64, 64)).astype("f4"), rng.normal(size=64).astype("f4")
    geometry = Geometry(padding=((1, 1), (1, 1)))
    fresh = convolution(x, weight, geometry, bias), convolution_weight_gradient(x, dy, geometry, (3, 3))
    monkeypatch.setattr(np, "empty", poisoned)
    again = convolution(x, weight, geometry, bias), convolution_weight_gradient(x, dy, geometry, (3, 3))
    for a, b in zip(again, fresh, strict=True):
        np.testing.assert_array_equal(a, b)
