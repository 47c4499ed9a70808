"""The stand-in for CuPy refuses what it should, and computes what NumPy computes where it allows."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest
from strict_cupy import HostSync, allow_sync, installed, read_only

from tinyae.backend import array_module


@pytest.fixture
def cupy():
    with installed() as module:
        yield module


@pytest.fixture
def x(cupy):
    return cupy.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))


def test_installed_comes_and_goes():
    import sys

    before = sys.modules.get("cupy")
    with installed() as module:
        assert sys.modules["cupy"] is module
        import cupy

        assert cupy is module
    assert sys.modules.get("cupy") is before


def test_array_module_finds_it(cupy, x):
    assert type(x).__module__ == "cupy" and isinstance(x, cupy.ndarray)
    assert array_module(x) is cupy
    assert cupy.get_array_module(x) is cupy and cupy.get_array_module(np.ones(1)) is np


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        lambda x: np.array([x, x]),
        np.exp,
        np.sum,
        np.shape,
        lambda x: np.concatenate([x, x]),
        lambda x: np.where(x > 0, 1.0, 0.0),
        lambda x: np.ones((2, 3)).__iadd__(x),
        lambda x: np.add(x, x),
        lambda x: np.multiply.reduce(x),
        lambda x: np.zeros((2, 3)).__setitem__(slice(None), x),
        lambda x: np.copyto(np.zeros((2, 3)), x),
    ],
)
def test_numpy_refuses_device_arrays(x, convert):
    with pytest.raises(TypeError):
        convert(x)


HOST_OPERANDS = [np.ones((2, 3), np.float32), np.float64(3), np.float32(3), np.int64(3), np.True_, [1, 2, 3], None]


@pytest.mark.parametrize("other", HOST_OPERANDS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("op", [operator.add, operator.mul, operator.truediv, operator.lt, operator.eq, operator.iadd])
def test_operators_refuse_host_operands(x, op, other):
    with pytest.raises(TypeError):
        op(x, other)
    if op is not operator.iadd:
        with pytest.raises(TypeError):
            op(other, x)


@pytest.mark.parametrize("other", HOST_OPERANDS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("name", ["add", "maximum", "dot", "matmul"])
def test_functions_refuse_host_operands(cupy, x, name, other):
    with pytest.raises(TypeError):
        getattr(cupy, name)(x, other)
    with pytest.raises(TypeError):
        getattr(cupy, name)(other, x)


@pytest.mark.parametrize(
    "call",
    [
        lambda cupy, x, host: cupy.sum([1.0, 2.0]),
        lambda cupy, x, host: cupy.sum(host),
        lambda cupy, x, host: cupy.concatenate([x, host]),
        lambda cupy, x, host: cupy.where(x > 0, x, host),
        lambda cupy, x, host: cupy.einsum("ij,ij->i", x, host),
        lambda cupy, x, host: cupy.zeros_like(host),
        lambda cupy, x, host: cupy.full((2,), np.float64(0)),
        lambda cupy, x, host: cupy.clip(x, np.float64(0), 1),
        lambda cupy, x, host: cupy.add(x, x, out=host),
        lambda cupy, x, host: cupy.sum(x, axis=0, out=np.zeros(3, np.float32)),
        lambda cupy, x, host: cupy.take(x, np.array([0, 1])),
        lambda cupy, x, host: x.dot(host.T),
        lambda cupy, x, host: x.fill(np.float64(1)),
        lambda cupy, x, host: x[np.array([0, 1])],
        lambda cupy, x, host: x[[0, 1]],
        lambda cupy, x, host: x[:, np.array([True, False, True])],
        lambda cupy, x, host: x.__setitem__(0, host[0]),
        lambda cupy, x, host: x.__setitem__(0, [1, 2, 3]),
        lambda cupy, x, host: cupy.add.at(x, np.array([0]), 1.0),
    ],
)
def test_host_arrays_and_lists_are_refused(cupy, x, call):
    with pytest.raises(TypeError):
        call(cupy, x, np.ones((2, 3), np.float32))


SYNCS = [
    lambda x: float(x[0, 0]),
    lambda x: int(x[0, 0]),
    lambda x: bool(x[0, 0] > 1),
    lambda x: x[0, 0].item(),
    lambda x: x.tolist(),
    lambda x: list(x),
    lambda x: math.sqrt(x[0, 0]),
    lambda x: f"{x[0, 0]:.3f}",
    lambda x: max(x[0, 0], x[0, 1]),
    lambda x: 1 if x[0, 0] else 0,
    lambda x: 2.0 in x[0],
    lambda x: pickle.dumps(x),
]


@pytest.mark.parametrize("read", SYNCS)
def test_values_stay_on_the_device(cupy, x, read):
    with pytest.raises(HostSync):
        read(x)
    assert cupy.host_syncs == 0
    with allow_sync():
        read(x)
    assert cupy.host_syncs > 0
    with pytest.raises(HostSync):
        read(x)


def test_no_index_from_a_device_value(x):
    with pytest.raises(TypeError):
        range(x[0, 0].astype("int64"))
    with pytest.raises(HostSync):
        x[: x[0, 0].astype("int64")]


def test_explicit_transfers_are_allowed_and_counted(cupy, x):
    host = cupy.asnumpy(x)
    assert type(host) is np.ndarray and cupy.host_syncs == 1
    host[:] = -1
    assert type(x.get()) is np.ndarray and x.get()[1, 2] == 5 and cupy.host_syncs == 3
    assert cupy.asnumpy(host) is host and cupy.host_syncs == 3
    x.set(host)
    assert x.get()[0, 0] == -1


def test_hidden_synchronisation_is_counted(cupy, x):
    for count, call in enumerate([lambda: x[x > 2], lambda: cupy.nonzero(x), lambda: cupy.where(x > 2)], start=1):
        call()
        assert cupy.host_syncs == count


def test_a_transfer_copies(cupy):
    host = np.zeros(3, np.float32)
    device = cupy.asarray(host)
    host += 1
    assert cupy.asnumpy(device).tolist() == [0, 0, 0]
    assert cupy.asarray(device) is device
    assert cupy.asarray(device, dtype="float64").dtype == np.float64
    assert cupy.ascontiguousarray(device) is device
    assert cupy.array(device) is not device


@pytest.mark.parametrize("name", ["block", "insert", "ma", "errstate", "frompyfunc", "geomspace", "random", "no_such"])
def test_missing_names(cupy, name):
    with pytest.raises(AttributeError):
        getattr(cupy, name)
    assert not hasattr(cupy, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda cupy, x: cupy.sum(x, where=x > 0),
        lambda cupy, x: x.max(initial=0.0),
        lambda cupy, x: cupy.einsum("ij->i", x, out=cupy.zeros(2, "float32")),
        lambda cupy, x: cupy.clip(x, min=0, max=1),
        lambda cupy, x: cupy.add(x, x, where=x > 0),
        lambda cupy, x: cupy.lib.stride_tricks.as_strided(x, (1,), (4,), writeable=False),
    ],
)
def test_missing_keywords(cupy, x, call):
    with pytest.raises(TypeError):
        call(cupy, x)


def test_no_in_place_matmul(cupy):
    square = cupy.eye(2)
    before = square
    square @= cupy.eye(2)
    assert square is not before  # Python falls back to a new array, as with CuPy


@pytest.mark.parametrize(
    "function",
    [
        lambda xp, x: x + 1,
        lambda xp, x: 2.0 / (x + 1),
        lambda xp, x: -x @ x.T,
        lambda xp, x: abs(x - 2) ** 2,
        lambda xp, x: xp.exp(x),
        lambda xp, x: xp.maximum(x, 2),
        lambda xp, x: x.sum(),
        lambda xp, x: xp.sum(x, axis=1, keepdims=True),
        lambda xp, x: x.mean(axis=0),
        lambda xp, x: x[0, 0],
        lambda xp, x: x[..., ::-1],
        lambda xp, x: x[None, 1:, 1],
        lambda xp, x: xp.where(x > 2, x, 0.0),
        lambda xp, x: xp.concatenate([x, x], axis=1),
        lambda xp, x: xp.stack((x, x)),
        lambda xp, x: xp.einsum("ij,kj->ik", x, x, optimize=True),
        lambda xp, x: xp.pad(x, ((1, 0), (0, 2))),
        lambda xp, x: xp.argmax(x, axis=1),
        lambda xp, x: x.reshape(-1, 2).transpose(1, 0).astype("float64"),
        lambda xp, x: xp.take(x, xp.asarray([2, 0]), axis=1),
        lambda xp, x: x[xp.asarray([1, 0])],
        lambda xp, x: x[xp.asarray([1, 0]), xp.asarray([2, 1])],
        lambda xp, x: x[x > 2],
        lambda xp, x: xp.split(x, 3, axis=1)[1],
        lambda xp, x: xp.linalg.norm(x),
        lambda xp, x: xp.tensordot(x, x, axes=([1], [1])),
        lambda xp, x: xp.lib.stride_tricks.sliding_window_view(x, (2, 2)),
        lambda xp, x: xp.broadcast_to(x, (2, 2, 3)),
        lambda xp, x: xp.allclose(x, x),
        lambda xp, x: xp.full_like(x, 3),
        lambda xp, x: xp.arange(3, dtype=x.dtype) + x,
        lambda xp, x: xp.add.reduce(x, axis=1),
        lambda xp, x: xp.zeros(tuple(np.int64(n) for n in x.shape), x.dtype),
        lambda xp, x: xp.modf(x / 2)[0],
    ],
)
def test_agrees_with_numpy(cupy, x, function):
    expected = function(np, np.arange(6, dtype=np.float32).reshape(2, 3))
    result = function(cupy, x)
    assert isinstance(result, cupy.ndarray)
    assert result.dtype == np.asarray(expected).dtype and result.shape == np.shape(expected)
    np.testing.assert_array_equal(cupy.asnumpy(result), expected)


def test_attributes(x):
    assert (x.shape, x.ndim, x.size, x.nbytes, x.itemsize, x.strides) == ((2, 3), 2, 6, 24, 4, (12, 4))
    assert x.dtype == np.float32 and len(x) == 2 and x.T.shape == (3, 2)
    assert x.flags.c_contiguous and not x.T.flags.c_contiguous and x.T.flags.f_contiguous
    assert "float32" in repr(x)


def test_host_answers(cupy, x):
    assert cupy.result_type(x, cupy.zeros(1)) == np.float64
    assert cupy.ndim(x) == 2 and cupy.shape(x) == (2, 3) and cupy.size(x) == 6
    assert cupy.shares_memory(x, x[0]) is True
    assert cupy.float32 is np.float32 and cupy.newaxis is None and cupy.pi == np.pi
    assert cupy.host_syncs == 0


def test_0d_float64_promotes(cupy, x):
    assert (x * cupy.asarray(2.0)).dtype == np.float64
    assert (x * 2.0).dtype == np.float32


def test_views_and_in_place(cupy, x):
    row, view = x[0], x
    row += 1
    x *= 2
    x[1, 0] = 0
    element = x[1, 1]
    element[...] = 7
    x[cupy.asarray([1]), cupy.asarray([2])] = -1.0
    cupy.exp(cupy.zeros(3, "float32"), out=x[0])
    assert view is x and x.astype("float32", copy=False) is x and x.astype("float32") is not x
    np.testing.assert_array_equal(cupy.asnumpy(x), [[1, 1, 1], [0, 7, -1]])
    cupy.add.at(x, (cupy.asarray([0, 0]), cupy.asarray([1, 1])), 1.0)
    assert cupy.asnumpy(x)[0, 1] == 3


def test_out_is_returned(cupy, x):
    out = cupy.empty_like(x)
    assert cupy.exp(x, out=out) is out and cupy.exp(x, out) is out
    total = cupy.empty((), "float32")
    assert cupy.sum(x, out=total) is total and x.sum(out=total) is total


def test_copies_are_deep(cupy, x):
    for twin in (copy.copy(x), copy.deepcopy({"x": x})["x"], x.copy()):
        twin += 1
    assert cupy.asnumpy(x)[0, 0] == 0 and cupy.host_syncs == 1


def test_read_only(cupy, x):
    for array in (read_only(x), read_only(np.zeros(3))):
        with pytest.raises(ValueError, match="read-only"):
            array += 1
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    x += 1  # the original is still writable


def test_a_planted_conversion_is_caught(cupy):
    """A layer with a NumPy call left in it runs on NumPy arrays and fails here."""

    def softplus_with_a_slip(x):
        return np.logaddexp(x, 0)

    def mean_with_a_slip(x):
        return x * float(x.sum())

    for slip, error in ((softplus_with_a_slip, TypeError), (mean_with_a_slip, HostSync)):
        assert slip(np.ones(2)).shape == (2,)
        with pytest.raises(error):
            slip(cupy.ones(2))


SOURCE = """
typedef REAL real;
extern "C" __global__ void scale_into(int n, real factor, const real *__restrict__ x, real *__restrict__ y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = factor * x[i];
}
"""


def test_raw_module_runs_the_source(cupy):
    kernel = cupy.RawModule(code=SOURCE, options=("-DREAL=float",)).get_function("scale_into")
    x, y = cupy.arange(1000, dtype="float32"), cupy.zeros(1000, "float32")
    kernel((2,), (32,), (np.int32(1000), np.float32(0.5), x, y))
    np.testing.assert_array_equal(cupy.asnumpy(y), np.arange(1000) * 0.5)


def test_raw_kernel_is_strict(cupy):
    module = cupy.RawModule(code=SOURCE, options=("-DREAL=float",))
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="not found"):
        module.get_function("no_such")
    kernel = module.get_function("scale_into")
    x, y = cupy.zeros(8, "float32"), cupy.zeros(8, "float32")
    n, factor = np.int32(8), np.float32(1)
    for arguments in (
        (8, factor, x, y),
        (np.int64(8), factor, x, y),
        (n, 1.0, x, y),
        (n, np.float64(1), x, y),
        (n, factor, np.zeros(8, np.float32), y),
        (n, factor, x.astype("float64"), y),
        (n, factor, x),
    ):
        with pytest.raises(TypeError):
            kernel((1,), (32,), arguments)
    with pytest.raises(ValueError, match="contiguous"):
        kernel((1,), (32,), (n, factor, x[::2], y))
    with pytest.raises(ValueError, match="read-only"):
        kernel((1,), (32,), (n, factor, x, read_only(y)))
    kernel((1,), (32,), (n, factor, read_only(x), y))
    for grid, block in ((1, (32,)), ((1,), 32), ((1.0,), (32,)), ([1], (32,))):
        with pytest.raises(TypeError):
            kernel(grid, block, (n, factor, x, y))
    for grid, block in (((0,), (32,)), ((1,), (2048,))):
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
            kernel(grid, block, (n, factor, x, y))


def test_device_and_streams(cupy):
    assert cupy.cuda.runtime.getDeviceCount() == 1 and cupy.cuda.runtime.getDevice() == 0
    with cupy.cuda.Device(0) as device:
        device.synchronize()
        assert device.id == 0
    cupy.cuda.Stream.null.synchronize()
    cupy.cuda.get_current_stream().synchronize()
    cupy.get_default_memory_pool().free_all_blocks()
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        cupy.cuda.Device(1)
