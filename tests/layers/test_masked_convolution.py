"""Masked convolution: masked taps do nothing, only the others are computed, and a pixel alone has the map's bits.

Values and gradients against loops and PyTorch over drawn options: test_convolution.
"""

from itertools import product

import image_cases as cases
import numpy as np
import pytest
from devices import assert_same
from image_cases import Case, ours

from tinyae.backend import operations
from tinyae.backend.convolution import Geometry
from tinyae.backend.convolution.region import region
from tinyae.errors import ConfigError, ShapeError
from tinyae.layers import MaskedConv2D


def seeds(count):
    return pytest.mark.parametrize("seed", range(count))


def masked_taps(layer):
    """Where in the kernel nothing is seen, by the definition: in raster order, after the centre, and at it for "A"."""
    height, width = layer.kernel_size
    seen = height // 2 * width + width // 2 + (layer.mask == "B")
    return divmod(np.arange(seen, height * width), width)


@seeds(60)
def test_masked_taps_have_no_influence_and_no_gradient(seed):
    case = cases.masked(seed)
    params, x, dy = case.arrays()
    hidden = masked_taps(case.layer)
    poisoned = params | {"weight": params["weight"].copy()}
    poisoned["weight"][hidden] = np.nan
    results = ours(case.layer, poisoned, x, dy)
    assert_same(results, ours(case.layer, params, x, dy))
    assert not results["weight"][hidden].any()


def test_gradients_are_added_to_what_is_there():
    case = Case(MaskedConv2D(3, (3, 5), "B"), (4, 5, 2))
    params, x, dy = case.arrays(whole=True)
    grads = {name: np.full_like(value, 7.0) for name, value in params.items()}
    case.layer.backward(params, x, dy, grads)
    assert_same(grads, {name: ours(case.layer, params, x, dy)[name] + 7 for name in grads})


def unseen(layer, x, i, j):
    """x with NaN in all pixels that (i, j) must not see."""
    x = x.copy()
    x[:, i, j + (layer.mask == "B") :] = np.nan
    x[:, i + 1 :] = np.nan
    return x


def pixels(layer, params, x, size):
    """The map put together from `at`, each pixel from a map that holds nothing that it must not see."""
    rows = [[layer.at(params, unseen(layer, x, i, j), i, j) for j in range(size[1])] for i in range(size[0])]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def drawn(seed):
    """A layer of stride 1 over a map of any size, with widths on both sides of all borders between tiles."""
    rng = np.random.default_rng(seed)
    kernel_size = tuple(map(int, rng.choice([1, 3, 5, 7], 2)))
    channels, filters = int(rng.choice([1, 3, 16, 64, 70])), int(rng.choice([2, 4, 5, 17, 64, 66, 97]))
    layer = MaskedConv2D(filters, kernel_size, "AB"[rng.integers(2)], dilation=int(rng.choice([1, 1, 2])))
    return Case(layer, (*map(int, rng.integers(1, 8, 2)), channels), int(rng.choice([1, 2, 9])), seed)


@pytest.mark.parametrize("dtype", cases.TOLERANCE)
@pytest.mark.parametrize("native", (True, False))
@seeds(20)
def test_pixel_has_the_bits_of_the_map(seed, native, dtype, monkeypatch):
    if not native:
        monkeypatch.setattr("tinyae.backend.native._answer", (None, "off"))
    case = drawn(seed)
    params, x, _ = case.arrays(dtype)
    y, _ = case.layer.forward(params, x)
    np.testing.assert_array_equal(pixels(case.layer, params, x, case.shape), y)


@pytest.mark.parametrize("native", (True, False))
@seeds(10)
def test_images_and_regions_have_the_bits_of_the_whole(seed, native, monkeypatch):
    """Of any ordinary convolution too: rows of the vertical stack of a gated PixelCNN, say."""
    if not native:
        monkeypatch.setattr("tinyae.backend.native._answer", (None, "off"))
    rng = np.random.default_rng(seed)
    kernel_shape = (*map(int, rng.integers(1, 5, 2)), *map(int, rng.choice([3, 16, 64, 80], 2)))
    x = rng.standard_normal((int(rng.integers(1, 9)), 9, 8, kernel_shape[2])).astype("f4")
    weight, bias = rng.standard_normal(kernel_shape).astype("f4"), rng.standard_normal(kernel_shape[3]).astype("f4")
    geometry = Geometry(padding=((3, -1), (2, 2)), dilation=(1, int(rng.integers(1, 3))))
    y = operations.convolution(x, weight, geometry, bias, fast=False)
    for rows, columns in (((0, 1), (0, y.shape[2])), ((2, 5), (1, 4)), ((0, y.shape[1]), (3, 4))):
        part = region(rows, columns, x, weight, geometry, bias, fast=False)
        np.testing.assert_array_equal(part, y[:, slice(*rows), slice(*columns)])
    np.testing.assert_array_equal(operations.convolution(x[-1:], weight, geometry, bias, fast=False), y[-1:])


@pytest.mark.parametrize("native, size", ((True, (6, 6)), (False, (8, 28))))
def test_fast_algorithm_would_show(native, size, library, monkeypatch):
    """The rounding that a masked convolution avoids is there to be avoided: three rows above, and enough channels."""
    if not native:
        monkeypatch.setattr("tinyae.backend.native._answer", (None, "off"))
    case = Case(MaskedConv2D(64, 7, "A"), (*size, 64), 1)
    params, x, _ = case.arrays("float32")
    expected, output = pixels(case.layer, params, x, case.shape), operations.convolution
    np.testing.assert_array_equal(case.layer.forward(params, x)[0], expected)
    monkeypatch.setattr(operations, "convolution", lambda *arguments, fast: output(*arguments))
    assert (case.layer.forward(params, x)[0] != expected).any()


@seeds(40)
def test_pixel_under_every_padding(seed, device):
    case = cases.masked(seed)
    layer = case.layer
    layer.stride = (1, 1)
    params, x, _ = case.arrays(whole=True)
    y, _ = layer.forward(params, x)
    params, x = device.array(params), device.array(x)
    for i, j in product(*map(range, y.shape[1:3])):
        assert_same(device.host(layer.at(params, x, i, j)), y[:, i, j])


def test_pixel_says_what_it_cannot_do():
    case = Case(MaskedConv2D(2, 3, "A", stride=2), (4, 4, 1))
    params, x, _ = case.arrays()
    with pytest.raises(ConfigError, match=r"stride 1 .* got \(2, 2\)$"):
        case.layer.at(params, x, 0, 0)
    with pytest.raises(ShapeError, match=r"a result at \(0, 4\), got \(2, 4, 4, 1\)$"):
        MaskedConv2D(2, 3, "A").at(params, x, 0, 4)


@pytest.mark.parametrize("kind, taps", (("A", 24), ("B", 25)))
def test_only_what_is_seen_is_computed(kind, taps, monkeypatch):
    """Of 49 taps, those before the centre: in each of the three operations."""
    places = {"convolution": 1, "convolution_input_gradient": 1, "convolution_weight_gradient": 3}
    counts = {}

    def counted(name, operation):
        def call(*arguments, **options):
            found = arguments[places[name]]
            height, width = found if isinstance(found, tuple) else found.shape[:2]
            counts[name] = counts.get(name, 0) + height * width
            return operation(*arguments, **options)

        return call

    for name in places:
        monkeypatch.setattr(operations, name, counted(name, getattr(operations, name)))
    case = Case(MaskedConv2D(2, 7, kind), (5, 5, 1))
    ours(case.layer, *case.arrays())
    assert counts == dict.fromkeys(places, taps)


WIDE = [
    Case(MaskedConv2D(24, 5, "B", padding="valid"), (7, 6, 1)),  # few channels, where dx is scattered on NumPy
    Case(MaskedConv2D(64, 7, "A", padding=((1, 0), (2, 4))), (9, 8, 64)),
    Case(MaskedConv2D(66, (3, 5), "A", stride=2), (7, 9, 34)),
]


@pytest.mark.parametrize("native", (True, False))
@pytest.mark.parametrize("dtype", cases.TOLERANCE)
@pytest.mark.parametrize("case", WIDE, ids=lambda case: repr(case.layer))
def test_wide_layers_like_torch(case, dtype, native, monkeypatch):
    pytest.importorskip("torch")
    import torch_images

    if not native:
        monkeypatch.setattr("tinyae.backend.native._answer", (None, "off"))
    cases.assert_like_torch(torch_images.IMAGE_TWINS["MaskedConv2D"], case, dtype)


def test_kernel_that_sees_nothing_gives_the_bias(device):
    layer = MaskedConv2D(2, 1, "A")
    params = device.array({"weight": np.ones((1, 1, 3, 2)), "bias": np.array([5.0, -1.0])})
    x = device.array(np.ones((2, 3, 4, 3)))
    y, cache = layer.forward(params, x)
    assert_same(device.host(y), np.broadcast_to([5.0, -1.0], (2, 3, 4, 2)))
    assert_same(device.host(layer.backward(params, cache, y)), np.zeros((2, 3, 4, 3)))


def test_rows_above_are_an_ordinary_convolution():
    """Those of a vertical stack: as many rows of zeros less after the image as windows keep off its last rows."""
    case = Case(MaskedConv2D(3, (5, 1), "A", bias=False), (6, 4, 2))
    params, x, _ = case.arrays(whole=True)
    y = operations.convolution(x, params["weight"][:2], Geometry(padding=((2, -1), (0, 0))))
    assert_same(y, case.layer.forward(params, x)[0])
