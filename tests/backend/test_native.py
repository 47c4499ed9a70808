"""The compiled operations against NumPy in float64, whose results other tests hold to naive loops and to PyTorch."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinyae.backend import compiled_operations, native, operations
from tinyae.backend.convolution import Geometry, compiled, patches
from tinyae.backend.operations import convolution, convolution_input_gradient, convolution_weight_gradient
from tinyae.params import add_product

SIDE, TAPS, STEP, MARGIN = st.integers(1, 19), st.integers(1, 5), st.integers(1, 3), st.integers(0, 3)


def pairs(values):
    return st.tuples(values, values)


def close(found, exact):
    assert found.dtype == np.float32 and found.shape == exact.shape
    assert abs(found - exact).max(initial=0) <= 1e-5 * max(1, abs(exact).max(initial=0))


@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(1, 5), size=pairs(SIDE), kernel=pairs(TAPS), stride=pairs(STEP), dilation=pairs(STEP),
    padding=pairs(pairs(MARGIN)), groups=st.sampled_from([1, 1, 2, 3]), channels=st.sampled_from([1, 2, 3, 8, 17]),
    filters=st.sampled_from([1, 2, 3, 5, 8, 11, 16, 20, 33, 64, 70]), chunk=st.sampled_from([1, 3000, 1 << 16]),
)  # fmt: skip
def test_convolution(n, size, kernel, stride, dilation, padding, groups, channels, filters, chunk):
    if native.library() is None:
        pytest.skip(native.status())
    geometry = Geometry(stride, padding, dilation, groups)
    windows = geometry.output_size(size, kernel)
    assume(min(windows) >= 1)
    rng = np.random.default_rng(0)
    shapes = (n, *size, channels * groups), (*kernel, channels, filters * groups), (filters * groups,)
    arrays = [rng.standard_normal(shape) for shape in (*shapes, (n, *windows, filters * groups))]
    singles = [array.astype("f4") for array in arrays]
    for array in singles:
        array.setflags(write=False)
    (x, weight, bias, dy), (x4, weight4, bias4, dy4) = arrays, singles
    reads = compiled_operations.convolution.reads
    assert all(map(reads, singles)) and not any(map(reads, arrays))
    close(convolution(x4, weight4, geometry, bias4), patches.output(x, weight, geometry, bias))
    close(convolution_input_gradient(dy4, weight4, geometry, size), patches.input_gradient(dy, weight, geometry, size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "CHUNK", chunk)
        close(convolution_weight_gradient(x4, dy4, geometry, kernel), patches.weight_gradient(x, dy, geometry, kernel))


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 3), size=pairs(SIDE), kw=st.integers(1, 4), padding=pairs(pairs(MARGIN)),
    channels=st.sampled_from([4, 17, 64]), filters=st.sampled_from([4, 19, 70]), chunk=st.sampled_from([1, 1 << 16]),
)  # fmt: skip
def test_fast_algorithm(n, size, kw, padding, channels, filters, chunk):
    if native.library() is None:
        pytest.skip(native.status())
    geometry = Geometry(padding=padding)
    windows = geometry.output_size(size, (3, kw))
    assume(min(windows) >= 1)
    rng = np.random.default_rng(0)
    shapes = (n, *size, channels), (3, kw, channels, filters), (filters,), (channels,), (n, *windows, filters)
    x, weight, bias, other_bias, dy = (rng.standard_normal(shape) for shape in shapes)
    x4, weight4, bias4, other4, dy4 = (array.astype("f4") for array in (x, weight, bias, other_bias, dy))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "FAST_CHANNELS", 1)
        patch.setattr(compiled, "CHUNK", chunk)
        compiled._fast_plan.cache_clear()  # a cached plan depends on CHUNK
        assert compiled._pays(geometry, weight.shape)
        close(convolution(x4, weight4, geometry, bias4), patches.output(x, weight, geometry, bias))
        dx = patches.input_gradient(dy, weight, geometry, size)
        close(convolution_input_gradient(dy4, weight4, geometry, size), dx)
        close(convolution_input_gradient(dy4, weight4, geometry, size, other4), dx + other_bias)
        dw = patches.weight_gradient(x, dy, geometry, (3, kw))
        close(convolution_weight_gradient(x4, dy4, geometry, (3, kw)), dw)
    compiled._fast_plan.cache_clear()


def test_which_convolutions_are_fast():
    shape = (3, 3, 64, 64)
    assert compiled._pays(Geometry(padding=((1, 1), (0, 2))), shape)
    assert not compiled._pays(Geometry(), (5, 3, 64, 64)) and not compiled._pays(Geometry(), (3, 3, 64, 32))
    for geometry in (Geometry(stride=(1, 2)), Geometry(dilation=(2, 1)), Geometry(groups=2)):
        assert not compiled._pays(geometry, shape)


@pytest.mark.parametrize("bias", (False, True))
def test_bias_of_a_transposed_convolution_reaches_pixels_that_no_window_sees(library, bias):
    geometry, rng = Geometry(stride=(3, 3)), np.random.default_rng(0)
    dy, weight = rng.standard_normal((2, 2, 2, 4)).astype("f4"), rng.standard_normal((2, 2, 3, 4)).astype("f4")
    b = np.arange(1, 4, dtype="f4") if bias else None
    exact = patches.input_gradient(dy.astype(float), weight.astype(float), geometry, (6, 6)) + (b if bias else 0)
    close(convolution_input_gradient(dy, weight, geometry, (6, 6), b), exact)
    assert (convolution_input_gradient(dy, weight, geometry, (6, 6), b)[:, 2] == (b if bias else 0)).all()


@pytest.mark.parametrize("channels", (1, 3, 8, 16, 20))
@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3), image=pairs(st.integers(3, 9)), size=pairs(st.integers(1, 3)), stride=pairs(STEP),
    padding=pairs(pairs(st.integers(0, 0) | st.integers(0, 2))), values=st.sampled_from([2, 1000]),
)  # fmt: skip
def test_max_pool(channels, n, image, size, stride, padding, values):
    """Values drawn from two make ties."""
    if native.library() is None:
        pytest.skip(native.status())
    assume(all(max(p) < s for p, s in zip(padding, size, strict=True)))
    geometry, rng = Geometry(stride, padding), np.random.default_rng(0)
    windows = geometry.output_size(image, size)
    assume(min(windows) >= 1)
    x = rng.integers(values, size=(n, *image, channels)).astype("f4")
    dy = rng.standard_normal((n, *windows, channels)).astype("f4")
    y = operations.max_pool(x, size, geometry, windows)
    exact = operations.max_pool(x.astype(float), size, geometry, windows)
    close(y, exact)
    dx = operations.max_pool_gradient(x, y, dy, size, geometry)
    close(dx, operations.max_pool_gradient(x.astype(float), exact, dy.astype(float), size, geometry))


def test_max_pool_of_not_a_number(library):
    x = np.ones((1, 2, 4, 3), "f4")
    x[0, 1, 1, 2] = np.nan
    y = operations.max_pool(x, (2, 2), Geometry((2, 2)), (1, 2))
    np.testing.assert_array_equal(y[0, 0], [[1, 1, np.nan], [1, 1, 1]])


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 200), inputs=st.integers(1, 300), units=st.integers(1, 150))
def test_dense_products(n, inputs, units):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape) for shape in ((n, inputs), (inputs, units), (units,)))
    x4, weight4, bias4 = (array.astype("f4") for array in (x, weight, bias))
    close(operations.affine(x4, weight4, bias4), x @ weight + bias)
    close(operations.affine(x4, weight4), x @ weight)
    close(operations.product_transposed(x4, weight4.T.copy()), x @ weight)
    grads = {"w": np.ones((inputs, units), "f4")}
    add_product(grads, "w", x4, (x @ weight).astype("f4"))
    close(grads["w"], 1 + x.T @ (x @ weight))


@pytest.mark.parametrize("rows", (1, 7, 256, 5000))
@pytest.mark.parametrize("columns", (1, 8, 33))
def test_add_rows(rows, columns):
    x = np.random.default_rng(0).standard_normal((rows, columns)) + 1
    grads = {"bias": np.full(columns, 2, "f4")}
    operations.add_rows(grads["bias"], x.astype("f4").reshape(rows, 1, columns))
    np.testing.assert_allclose(grads["bias"], 2 + x.sum(0), rtol=1e-5)


@pytest.mark.parametrize("shape", ((1, 3), (7, 16), (3, 11, 13, 5), (700, 33)))
def test_batch_norm(shape):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(shape) * 3 + 100, rng.standard_normal(shape) + 1
    scale, shift, mean, var = *rng.standard_normal((3, shape[-1])), rng.random(shape[-1])
    x4, dy4, scale4, shift4, mean4, var4 = (a.astype("f4") for a in (x, dy, scale, shift, mean, var))
    exact = operations.batch_norm(x, scale, shift, 0.1)
    for found, right in zip(operations.batch_norm(x4, scale4, shift4, 0.1), exact, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-4)
    close(
        operations.batch_norm(x4, scale4, shift4, 0.1, mean4, var4)[0],
        operations.batch_norm(x, scale, shift, 0.1, mean, var)[0],
    )
    for constant in (False, True):
        exact = operations.batch_norm_backward(dy, x, scale, mean, var, constant)
        for found, right in zip(
            operations.batch_norm_backward(dy4, x4, scale4, mean4, var4, constant), exact, strict=True
        ):
            close(found, right)


def test_relu():
    x = np.array([-1, 0.5, np.nan, 3], "f4")
    np.testing.assert_array_equal(operations.relu(x), [0, 0.5, np.nan, 3])
    y, dy = np.array([0, 0.5, np.nan, 3], "f4"), np.arange(1, 5, dtype="f4")
    np.testing.assert_array_equal(operations.relu_gradient(y, dy), [0, 2, 0, 4])


@pytest.mark.parametrize("count", (1, 17, 1024, 5000))
def test_bce_with_logits(count):
    rng = np.random.default_rng(0)
    logits, x = rng.standard_normal(count) * 30, rng.random(count)
    logits[: min(9, count)] = [0, 1e4, -1e4, 1e-6, -1e-6, 88, -88, 1e30, -1e30][:count]
    x4, logits4 = x.astype("f4"), logits.astype("f4")
    total, dlogits = operations.bce_with_logits(logits4, x4, 0.25)
    exact_total, exact = operations.bce_with_logits(logits4.astype(float), x4.astype(float), 0.25)
    assert total == pytest.approx(exact_total, rel=1e-6)
    np.testing.assert_allclose(dlogits, exact, rtol=1e-6, atol=3e-8)  # p - x cancels


def test_bce_of_not_a_number(library):
    logits = np.zeros(40, "f4")
    logits[33] = np.nan
    total, dlogits = operations.bce_with_logits(logits, np.zeros(40, "f4"), 1.0)
    assert np.isnan(total) and np.isnan(dlogits).sum() == 1


def test_bce_is_as_exact_as_numpy_for_every_size_of_logit(library):
    logits = np.concatenate([s * np.logspace(-20, 2, 401) for s in (1, -1)]).astype("f4")
    for x in (0.0, 1.0):
        each = [operations.bce_with_logits(logit, np.full(1, x, "f4"), 1.0)[0] for logit in logits.reshape(-1, 1)]
        exact = np.logaddexp(0, (1 - 2 * x) * logits.astype(float))
        np.testing.assert_allclose(each, exact, rtol=4e-7, atol=1e-30)


def test_not_a_number_comes_through(library):
    x = np.ones((1, 4, 4, 2), "f4")
    x[0, 1, 1, 0] = np.nan
    y = convolution(x, np.ones((1, 1, 2, 3), "f4"), Geometry())
    assert np.isnan(y[0, 1, 1]).all() and np.isfinite(y).sum() == y.size - 3


def singles(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype("f4") for shape in shapes]


def read_only(array):
    array.setflags(write=False)
    return array


def added(shape, add, *arguments):
    grads = {"w": np.zeros(shape, "f4") if isinstance(shape, tuple) else shape}
    add(grads, "w", *arguments)
    return grads["w"]


def add_rows(grads, name, x):
    operations.add_rows(grads[name], x)


def moved(w, gradients, m, v):
    operations.adam(w, gradients, m, v, 0.9, 0.99, 0.1, 1e-8)
    return w


X, W, BIAS, DY, FLAT = singles((6, 5), (5, 8), (8,), (6, 8), (300,))  # matrices
IMAGES, KERNEL, OUT = singles((2, 6, 7, 4), (3, 3, 4, 8), (2, 4, 5, 8))
SAME, SAME_OUT = Geometry(padding=((1, 1), (1, 1))), singles((2, 6, 7, 8))[0]
TOP, PAIRS = IMAGES[:, :6:2, :6:2].copy(), Geometry((2, 2))
ODD = np.frombuffer(b"." + X.tobytes(), np.uint8)[1:].view("f4").reshape(X.shape)  # not aligned
MISFITS = {
    "affine: bias of one number": lambda: operations.affine(X, W, BIAS[:1]),
    "affine: short bias": lambda: operations.affine(X, W, BIAS[:7]),
    "affine: float64 bias": lambda: operations.affine(X, W, BIAS.astype(float)),
    "affine: strided bias": lambda: operations.affine(X, W, np.repeat(BIAS, 2)[::2]),
    "affine: wide x": lambda: operations.affine(X.repeat(2, axis=1), W),
    "affine: x of three axes": lambda: operations.affine(X[None], W),
    "affine: x at an odd address": lambda: operations.affine(ODD, W),
    "transposed: wide weight": lambda: operations.product_transposed(DY, X),
    "add_product: other numbers of rows": lambda: added((5, 8), add_product, X, DY[:4].copy()),
    "add_product: small sum": lambda: added((4, 8), add_product, X, DY),
    "add_product: sum that is read-only": lambda: added(read_only(W.copy()), add_product, X, DY),
    "add_rows: short sum": lambda: added((7,), add_rows, DY),
    "add_rows: sum that is read-only": lambda: added(read_only(BIAS.copy()), add_rows, DY),
    "relu_gradient: short dy": lambda: operations.relu_gradient(DY, DY[:5].copy()),
    "relu_gradient: dy of a row": lambda: operations.relu_gradient(DY, BIAS),
    "bce: short x": lambda: operations.bce_with_logits(DY, DY[:5].copy(), 1.0),
    "bce: x of a row": lambda: operations.bce_with_logits(DY, BIAS, 1.0)[1],
    "adam: short gradient": lambda: moved(FLAT.copy(), [FLAT, FLAT[1:].copy()], FLAT * 0, FLAT * 0),
    "adam: short moment": lambda: moved(FLAT.copy(), [FLAT], FLAT * 0, FLAT[1:] * 0),
    "adam: read-only": lambda: moved(read_only(FLAT.copy()), [FLAT], FLAT * 0, FLAT * 0),
    "batch_norm: short shift": lambda: operations.batch_norm(DY, BIAS, BIAS[:7].copy(), 0.1)[0],
    "batch_norm: scale of one number": lambda: operations.batch_norm(DY, BIAS[:1].copy(), BIAS, 0.1)[0],
    "batch_norm: short mean": lambda: operations.batch_norm(DY, BIAS, BIAS, 0.1, BIAS[:7].copy(), abs(BIAS))[0],
    "batch_norm: float64 var": lambda: operations.batch_norm(DY, BIAS, BIAS, 0.1, BIAS, abs(BIAS.astype(float)))[0],
    "batch_norm_backward: short dy": lambda: operations.batch_norm_backward(DY[:5].copy(), DY, BIAS, BIAS, BIAS),
    "batch_norm_backward: long vector": lambda: operations.batch_norm_backward(DY, DY, BIAS, BIAS, FLAT),
    "max_pool: small dy": lambda: operations.max_pool_gradient(IMAGES, TOP, TOP[:, :2].copy(), (2, 2), PAIRS),
    "max_pool: fewer results": lambda: operations.max_pool_gradient(IMAGES, TOP[:1], TOP[:1], (2, 2), PAIRS),
    "max_pool: fewer images": lambda: operations.max_pool_gradient(IMAGES[:1], TOP, TOP, (2, 2), PAIRS),
    "convolution: channels": lambda: convolution(IMAGES[..., :3].copy(), KERNEL, Geometry()),
    "convolution: more channels": lambda: convolution(IMAGES.repeat(2, axis=3), KERNEL, Geometry()),
    "convolution: short bias": lambda: convolution(IMAGES, KERNEL, Geometry(), BIAS[:7]),
    "convolution: bias of one number": lambda: convolution(IMAGES, KERNEL, Geometry(), BIAS[:1]),
    "convolution: float64 bias": lambda: convolution(IMAGES, KERNEL, Geometry(), BIAS.astype(float)),
    "input gradient: filters": lambda: convolution_input_gradient(OUT[..., :7], KERNEL, Geometry(), (6, 7)),
    "input gradient: short bias": lambda: convolution_input_gradient(OUT, KERNEL, Geometry(), (6, 7), BIAS[:3]),
    "weight gradient: small dy": lambda: convolution_weight_gradient(IMAGES, OUT, SAME, (3, 3)),
    "weight gradient: large dy": lambda: convolution_weight_gradient(IMAGES, SAME_OUT, Geometry(), (3, 3)),
    "weight gradient: fewer results": lambda: convolution_weight_gradient(IMAGES, OUT[:1], Geometry(), (3, 3)),
}


def outcome(call):
    try:
        return call()
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_numpys_to_broadcast_or_refuse(library, name, monkeypatch):
    """The compiled operations would read or write beyond an array."""
    found = outcome(MISFITS[name])
    monkeypatch.setattr(compiled, "FAST_CHANNELS", 1)
    fast = outcome(MISFITS[name])
    with native.off():
        expected = outcome(MISFITS[name])
    if isinstance(expected, type):
        assert found is fast is expected
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(fast, expected, rtol=1e-5, atol=1e-5)


def test_no_examples(library):
    none = np.zeros((0, 6, 7, 4), "f4")
    y = convolution(none, KERNEL, SAME)
    assert y.shape == (0, 6, 7, 8) and convolution_input_gradient(y, KERNEL, SAME, (6, 7)).shape == none.shape
    assert not convolution_weight_gradient(none, y, SAME, (3, 3)).any()
    assert operations.max_pool(none, (2, 2), PAIRS, (3, 3)).shape == (0, 3, 3, 4)
    assert operations.affine(X[:0], W, BIAS).shape == (0, 8) and operations.relu(none).shape == none.shape
    assert operations.product_transposed(DY[:0], W).shape == (0, 5)
    assert not added((5, 8), add_product, X[:0], DY[:0]).any()
    assert not added((8,), add_rows, DY[:0]).any()
    assert operations.batch_norm(DY[:0], BIAS, BIAS, 0.1, BIAS, abs(BIAS))[0].shape == (0, 8)


def test_addresses():
    a = np.arange(24.0).reshape(2, 3, 4)
    for array in (a, a[1], a[:, 1:, ::-1], np.asfortranarray(a), np.empty((0, 3)), np.array(3.0), a.astype("f4")):
        assert native.address.address(array) == array.ctypes.data
