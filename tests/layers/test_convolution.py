"""Convolution, transposed and masked: against loops, PyTorch and finite differences; as linear maps; within memory."""

import tracemalloc
from itertools import product

import image_cases as cases
import image_oracles as oracles
import numpy as np
import pytest
from devices import assert_same
from image_cases import Case, ours

from tinyae import gradcheck
from tinyae.backend import operations
from tinyae.backend.convolution import Geometry, compiled, patches
from tinyae.layers import Conv2D, ConvTranspose2D, MaskedConv2D

DRAWS = {"Conv2D": cases.conv, "ConvTranspose2D": cases.transposed, "MaskedConv2D": cases.masked}
each_kind = pytest.mark.parametrize("kind", DRAWS)


def seeds(count):
    return pytest.mark.parametrize("seed", range(count))


@pytest.fixture
def case(kind, seed):
    return DRAWS[kind](seed)


def by_loops(case, params, x, dy):
    """What `ours` should give."""
    weight, options, layer = params["weight"], case.numbers(), case.layer
    bias = params.get("bias", 0)
    options["groups"] = layer.groups
    if isinstance(layer, ConvTranspose2D):
        extra = layer.output_padding
        if layer.padding == "same":  # H s rows, also where the kernel does not reach the last ones
            axes = zip(layer.stride, layer.kernel_size, layer.dilation, strict=True)
            extra = tuple(max(0, s - (k - 1) * d - 1) for s, k, d in axes)
        results = {
            "y": oracles.transposed_convolution(x, weight, **options, extra=extra) + bias,
            "dx": oracles.convolution(dy, weight, **options),
            "weight": oracles.convolution_weight_gradient(dy, x, weight.shape[:2], **options),
        }
    else:
        mask = oracles.mask(layer.kernel_size, layer.mask) if isinstance(layer, MaskedConv2D) else 1
        results = {
            "y": oracles.convolution(x, weight * mask, **options) + bias,
            "dx": oracles.convolution_input_gradient(dy, weight * mask, x.shape[1:3], **options),
            "weight": oracles.convolution_weight_gradient(x, dy, weight.shape[:2], **options) * mask,
        }
    return results | ({"bias": dy.sum((0, 1, 2))} if "bias" in params else {})


def assert_like_loops(case):
    """Exactly: sums of products of small integers have no rounding in any order."""
    arrays = case.arrays(whole=True)
    assert_same(ours(case.layer, *arrays), by_loops(case, *arrays))


@each_kind
@seeds(100)
def test_layer_like_loops(case):
    assert_like_loops(case)


@pytest.mark.parametrize("dtype", cases.TOLERANCE)
@each_kind
@seeds(200)
def test_layer_like_torch(kind, case, dtype):
    pytest.importorskip("torch")
    import torch_images

    cases.assert_like_torch(torch_images.IMAGE_TWINS[kind], case, dtype)


@each_kind
@seeds(25)
def test_gradients_of_drawn_layers(case):
    report = gradcheck(case.layer, case.shape, batch=case.n, directions=1)
    assert report.passed, report


def test_draws_reach_all_options():
    """The draws above say something about every option only if they have it."""
    drawn = [cases.conv(seed) for seed in range(200)]
    options = [(case.layer, case.numbers(), case.layer.output_shape(case.shape), case) for case in drawn]
    for wanted in (
        lambda layer, numbers, out, case: layer.padding == "same" and len(set(sum(numbers["padding"], ()))) > 1,
        lambda layer, numbers, out, case: layer.padding == "valid",
        lambda layer, numbers, out, case: layer.kernel_size == (1, 1),
        lambda layer, numbers, out, case: layer.stride[0] > layer.kernel_size[0],
        lambda layer, numbers, out, case: layer.stride[0] != layer.stride[1],
        lambda layer, numbers, out, case: layer.groups == 3 and max(layer.dilation) > 1,
        lambda layer, numbers, out, case: out[:2] == (1, 1) and layer.padding == "valid",
        lambda layer, numbers, out, case: case.n == 1 and case.shape[2] == 1,
        lambda layer, numbers, out, case: max(sum(numbers["padding"], ())) > case.shape[0],
    ):
        assert any(wanted(*each) for each in options)


# The operations themselves


@pytest.fixture
def operation(seed):
    """(geometry, x, weight, dy) of a drawn convolution, in integers, and the options for the loops."""
    case = cases.conv(seed)
    params, x, dy = case.arrays(whole=True)
    options = case.numbers() | {"groups": case.layer.groups}
    return Geometry(**options), x, params["weight"], dy, options


@seeds(60)
def test_operations_like_loops(operation):
    geometry, x, weight, dy, options = operation
    size, kernel_size = x.shape[1:3], weight.shape[:2]
    got = [
        operations.convolution(x, weight, geometry),
        operations.convolution_input_gradient(dy, weight, geometry, size),
        operations.convolution_weight_gradient(x, dy, geometry, kernel_size),
    ]
    expected = [
        oracles.convolution(x, weight, **options),
        oracles.convolution_input_gradient(dy, weight, size, **options),
        oracles.convolution_weight_gradient(x, dy, kernel_size, **options),
    ]
    assert_same(got, expected)


@seeds(100)
def test_adjoint(operation):
    """<A x, dy> = <x, A' dy> = <w, dw>: the three operations are one trilinear form."""
    geometry, x, weight, dy, _ = operation
    form = (operations.convolution(x, weight, geometry) * dy).sum()
    assert (x * operations.convolution_input_gradient(dy, weight, geometry, x.shape[1:3])).sum() == form
    assert (weight * operations.convolution_weight_gradient(x, dy, geometry, weight.shape[:2])).sum() == form


@seeds(20)
def test_bias_is_added_to_every_pixel(operation):
    geometry, x, weight, dy, _ = operation
    bias = np.arange(1.0, 1 + weight.shape[3])
    assert_same(operations.convolution(x, weight, geometry, bias), operations.convolution(x, weight, geometry) + bias)


SPREADS = {
    "strided": lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
    "reversed": lambda a: a[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1],
    "channels first": lambda a: a.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1),
    "Fortran": np.asfortranarray,
}


@pytest.mark.parametrize("spread", SPREADS)
@each_kind
@seeds(10)
def test_arrays_need_not_be_contiguous(case, spread):
    params, x, dy = case.arrays(whole=True)
    assert_same(ours(case.layer, params, *map(SPREADS[spread], (x, dy))), ours(case.layer, params, x, dy))


# Chunks


@pytest.mark.parametrize("chunk", (1, 500, 1 << 30))
@each_kind
@seeds(15)
def test_chunks_do_not_show(case, chunk, monkeypatch):
    case.n = 7
    arrays = case.arrays(whole=True)
    expected = ours(case.layer, *arrays)
    monkeypatch.setattr(patches, "CHUNK", chunk)
    monkeypatch.setattr(compiled, "CHUNK", chunk)
    assert_same(ours(case.layer, *arrays), expected)


MEDIUM = [
    Case(Conv2D(24, 3), (28, 28, 12), 9),
    Case(Conv2D(16, 5, stride=2, groups=2), (27, 30, 8), 9),
    Case(Conv2D(8, 3, dilation=3, padding="valid"), (32, 30, 16), 9),
    Case(Conv2D(3, 7), (30, 28, 4), 9),
    Case(MaskedConv2D(16, 7, "B"), (28, 28, 8), 9),
    Case(ConvTranspose2D(12, 4, stride=2), (14, 15, 24), 9),
    Case(ConvTranspose2D(8, 3, stride=2, padding=1, output_padding=1), (14, 14, 16), 9),
]


@pytest.mark.parametrize("chunk", (20_000, None))
@pytest.mark.parametrize("compiles", (True, False))
@pytest.mark.parametrize("dtype", cases.TOLERANCE)
@pytest.mark.parametrize("medium", MEDIUM, ids=lambda case: repr(case.layer))
def test_several_chunks_like_torch(medium, dtype, compiles, chunk, monkeypatch):
    pytest.importorskip("torch")
    import torch_images

    for way in (patches, compiled):
        monkeypatch.setattr(way, "CHUNK", chunk or way.CHUNK)
    if not compiles:
        monkeypatch.setattr("tinyae.backend.native._answer", (None, "off"))
    cases.assert_like_torch(torch_images.IMAGE_TWINS[type(medium.layer).__name__], medium, dtype)


@pytest.mark.parametrize("layer", [Conv2D(8, 5), ConvTranspose2D(8, 5)], ids=repr)
@pytest.mark.parametrize("work", ("forward", "backward"))
def test_memory_is_that_of_the_images(layer, work):
    """Laid out whole, the patches of the 64 images would take 25 times their memory."""
    case = Case(layer, (32, 32, 8), 64)
    params, x, dy = case.arrays("float32")
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    tracemalloc.start()
    try:
        if work == "forward":
            layer.forward(params, x)
        else:
            layer.backward(params, x, dy, grads)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * (x.nbytes + dy.nbytes)


# One in terms of another


@seeds(30)
def test_transposed_is_the_gradient_of_convolution(seed):
    """Each is forward to the other's backward."""
    case = cases.transposed(seed)
    params, x, dy = case.arrays(whole=True)
    kernel = {"weight": params["weight"]}
    options = {**case.numbers(), "groups": case.layer.groups, "bias": False}
    conv = Conv2D(case.shape[2], case.layer.kernel_size, **options)
    y, dx = case.layer.forward(params, x)[0] - params.get("bias", 0), case.layer.backward(params, x, dy)
    assert_same(conv.backward(kernel, dy, x), y)
    assert_same(conv.forward(kernel, dy)[0], dx)


@pytest.mark.parametrize("groups", (2, 3, 6))
def test_groups_are_separate_convolutions(groups):
    case = Case(Conv2D(12, (3, 2), stride=(1, 2), groups=groups), (5, 6, 6))
    params, x, dy = case.arrays(whole=True)
    got = ours(case.layer, params, x, dy)
    single = Conv2D(12 // groups, (3, 2), stride=(1, 2))
    for g in range(groups):
        c, o = (slice(g * n // groups, (g + 1) * n // groups) for n in (6, 12))
        part = ours(single, {name: w[..., o] for name, w in params.items()}, x[..., c], dy[..., o])
        assert_same({"y": got["y"][..., o], "dx": got["dx"][..., c]}, {"y": part["y"], "dx": part["dx"]})
        assert_same([got["weight"][..., o], got["bias"][o]], [part["weight"], part["bias"]])


@pytest.mark.parametrize("dilation", ((2, 2), (3, 1)))
@pytest.mark.parametrize("stride", (1, 2, 3))
def test_dilation_is_a_kernel_with_zeros(dilation, stride):
    case = Case(Conv2D(2, (3, 2), stride, dilation=dilation), (9, 8, 3))
    params, x, dy = case.arrays(whole=True)
    (rows, columns), (kh, kw) = dilation, case.layer.kernel_size
    stuffed = np.zeros(((kh - 1) * rows + 1, (kw - 1) * columns + 1, 3, 2))
    stuffed[::rows, ::columns] = params["weight"]
    got = ours(case.layer, params, x, dy)
    expected = ours(Conv2D(2, stuffed.shape[:2], stride), params | {"weight": stuffed}, x, dy)
    assert_same(got, expected | {"weight": expected["weight"][::rows, ::columns]})


# "same"


@pytest.mark.parametrize("n, kernel, stride, dilation", [*product((1, 2, 5, 8), (1, 2, 3, 4), (1, 2, 3), (1, 2))])
def test_same_padding(n, kernel, stride, dilation):
    layer = Conv2D(1, (kernel, 1), (stride, 1), dilation=(dilation, 1))
    assert layer.output_shape((n, 3, 1)) == (-(-n // stride), 3, 1)
    (expected, _) = oracles.same_padding((n, 3), (kernel, 1), (stride, 1), (dilation, 1))
    assert layer.geometry((n, 3)).padding == (expected, (0, 0))


def test_same_pads_the_end_when_odd():
    y, _ = Conv2D(1, 2, bias=False).forward({"weight": np.ones((2, 2, 1, 1))}, np.ones((1, 3, 3, 1)))
    np.testing.assert_array_equal(y[0, ..., 0], [[4, 4, 2], [4, 4, 2], [2, 2, 1]])


# Masks: what a pixel sees


@pytest.mark.parametrize("kernel_size", ((5, 7), (3, 3), (1, 5), (5, 1), (1, 1)))
@pytest.mark.parametrize("kind", "AB")
def test_pixel_sees_those_before(kernel_size, kind, height=3, width=4):
    layer = MaskedConv2D(1, kernel_size, kind)
    params = {"weight": np.full((*kernel_size, 1, 1), 2.0), "bias": np.zeros(1)}
    pixels = list(product(range(height), range(width)))
    reach_rows, reach_columns = (k // 2 for k in kernel_size)
    for i, j in pixels:
        dy = np.zeros((1, height, width, 1))
        dy[0, i, j] = 1
        dx = layer.backward(params, np.zeros_like(dy), dy)[0, ..., 0]
        before = {p for p in pixels if p < (i, j) or (kind == "B" and p == (i, j))}
        near = {(a, b) for a, b in before if abs(a - i) <= reach_rows and abs(b - j) <= reach_columns}
        assert set(zip(*map(np.ndarray.tolist, dx.nonzero()), strict=True)) == near


# Planted: wrong gradients for the gradient check, wrong functions for the loops


class _KernelNotFlipped(Conv2D):
    def backward(self, params, cache, dy, grads=None):
        super().backward(params, cache, dy, grads)
        return super().backward({"weight": params["weight"][::-1, ::-1]}, cache, dy)


class _PhaseOffByOne(Conv2D):
    def backward(self, params, cache, dy, grads=None):
        return np.roll(super().backward(params, cache, dy, grads), 1, axis=2)


class _PaddingOnTheWrongSide(Conv2D):
    def geometry(self, size):
        geometry = super().geometry(size)
        geometry.padding = tuple(side[::-1] for side in geometry.padding)
        return geometry


class _WrongSideBackward(Conv2D):
    def backward(self, params, cache, dy, grads=None):
        wrong = _PaddingOnTheWrongSide(self.filters, self.kernel_size, self.stride)
        return wrong.backward(params, cache, dy, grads)


class _GradientOfMaskedTaps(MaskedConv2D):
    add_grads = Conv2D.add_grads


class _FlippedKernel(Conv2D):
    """Convolution as mathematicians define it."""

    def forward(self, params, x, *options, **named):
        return super().forward(_flipped(params), x, *options, **named)

    def backward(self, params, cache, dy, grads=None):
        return super().backward(_flipped(params), cache, dy, grads)

    def add_grads(self, params, cache, dy, grads):
        super().add_grads(params, cache, dy, _flipped(grads))


def _flipped(params):
    """Views: what is added to them is added to params."""
    return {name: w[::-1, ::-1] if w.ndim == 4 else w for name, w in params.items()}


@pytest.mark.parametrize(
    "wrong",
    [
        _KernelNotFlipped(2, 3),
        _PhaseOffByOne(2, 3, stride=2),
        _WrongSideBackward(2, 4, stride=2),
        _WrongSideBackward(2, 2),
        _GradientOfMaskedTaps(2, 3, "A"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_planted_gradient_is_caught(wrong):
    assert not gradcheck(wrong, (5, 5, 2)).passed


@pytest.mark.parametrize(
    "wrong", [_PaddingOnTheWrongSide(2, 2), _FlippedKernel(2, 3)], ids=lambda layer: type(layer).__name__
)
def test_planted_function_is_caught_though_its_gradient_is_right(wrong):
    assert gradcheck(wrong, (5, 5, 2)).passed
    with pytest.raises(AssertionError):
        assert_like_loops(Case(wrong, (5, 5, 2)))
