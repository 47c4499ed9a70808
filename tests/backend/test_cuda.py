"""The CUDA kernels: compiled for sm_90, run on the CPU, and run on a device where there is one."""

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_cupy import installed, read_only

import tinyae.backend
from tinyae.backend import Noise, cuda, cupy_operations

FLOATS = ("float32", "float64")
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
SOURCE = Path(tinyae.backend.__file__).with_name("kernels.cu")


@pytest.fixture
def stand_in():
    with installed() as module:
        yield module


@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("ftz", ["true", "false"])
def test_compiles_for_sm_90(tmp_path, real, ftz):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc not found: kernels.cu is not compiled")
    cubin = tmp_path / "kernels.cubin"
    options = ["-arch=sm_90", "-cubin", f"-DREAL={real}", f"-ftz={ftz}", "-Werror=all-warnings"]
    subprocess.run([nvcc, *options, "-o", cubin, SOURCE], check=True, capture_output=True)
    symbols = cubin.read_bytes()
    for name in (b"philox_uniform", b"philox_normal", b"adam", b"bce_with_logits", b"nearest_code", b"code_sums"):
        assert name in symbols


def test_kernels_are_loaded_once(stand_in):
    assert cuda.kernel("adam", "float32") is cuda.kernel("adam", np.float32)
    assert cuda.kernel("adam", "float32") is not cuda.kernel("adam", "float64")
    before = cuda.kernel("adam", "float32")
    cuda.forget_kernels()
    assert cuda.kernel("adam", "float32") is not before


def check_noise(cupy, dtype, n):
    host, device = Noise(2**63 + 5, 77, "model"), Noise(2**63 + 5, 77, "model", xp=cupy)
    np.testing.assert_array_equal(cupy.asnumpy(device.uniform("u", n, dtype)), host.uniform("u", n, dtype))
    mask, expected = cupy.asnumpy(device.bernoulli("b", n, 0.2, dtype)), host.bernoulli("b", n, 0.2, dtype)
    np.testing.assert_array_equal(mask, expected)
    # Both round the angle alike; sin, cos, log and sqrt differ by a few ulp, of values up to 5.8.
    z, expected = cupy.asnumpy(device.normal("z", n, dtype)), host.normal("z", n, dtype)
    np.testing.assert_allclose(z, expected, rtol=8 * EPS[dtype], atol=2 * EPS[dtype])


def adam_oracle(w, g, m, v, beta1, beta2, rate, epsilon, shrink):
    """One step in float64, from the formula."""
    w, g, m, v = (a.astype(np.float64) for a in (w, g, m, v))
    m = beta1 * m + g
    v = beta2 * v + g * g
    return shrink * w - rate * m / (np.sqrt(v) + epsilon), m, v


def check_adam(cupy, dtype, n, t, weight_decay, seed=0):
    rng = np.random.default_rng(seed)
    w, g, m = (rng.normal(size=n).astype(dtype) for _ in range(3))
    v = rng.random(n).astype(dtype)
    scalars = (0.9, 0.999, 1e-2 / t, 1e-8 * t, 1 - weight_decay)
    on_device = [cupy.asarray(a) for a in (w, g, m, v)]
    w_there, g_there, *moments = on_device
    cupy_operations.adam(w_there, [g_there], *moments, *scalars)
    np.testing.assert_array_equal(cupy.asnumpy(on_device[1]), g)
    results = (cupy.asnumpy(on_device[i]) for i in (0, 2, 3))
    for result, expected in zip(results, adam_oracle(w, g, m, v, *scalars), strict=True):
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=8 * EPS[dtype], atol=4 * EPS[dtype])


def bce_oracle(logit, x):
    """(loss, gradient) of one element in Python floats, written apart for either sign of the logit."""
    if logit > 0:
        return (1 - x) * logit + math.log1p(math.exp(-logit)), 1 / (1 + math.exp(-logit)) - x
    return -x * logit + math.log1p(math.exp(logit)), math.exp(logit) / (1 + math.exp(logit)) - x


def check_bce(cupy, dtype, logits, x, scale):
    logits, x = np.asarray(logits, dtype), np.asarray(x, dtype)
    each, gradient = np.array([bce_oracle(*pair) for pair in zip(logits.tolist(), x.tolist(), strict=True)]).T
    loss, dlogits = cupy_operations.bce_with_logits(cupy.asarray(logits), cupy.asarray(x), scale)
    assert loss.shape == () and loss.dtype == dtype and dlogits.shape == logits.shape and dlogits.dtype == dtype
    # Where l and l x cancel (x = 1), the error is relative to them and not to the loss.
    magnitude = np.abs(logits).sum(dtype=float) + each.sum()
    assert abs(float(cupy.asnumpy(loss)) - each.sum()) <= 8 * EPS[dtype] * magnitude
    tolerance = 4 * EPS[dtype]
    np.testing.assert_allclose(cupy.asnumpy(dlogits), scale * gradient, rtol=tolerance, atol=tolerance * abs(scale))


HARD_LOGITS = [-1e4, 1e4, -1e4, 1e4, -1e4, 1e4, 0.0, -0.0, 90.0, -90.0, 1e-30, 3.0, -3.0]
HARD_TARGETS = [0.0, 0.0, 1.0, 1.0, 0.5, 0.5, 0.0, 1.0, 1.0, 0.0, 0.3, 0.7, 0.7]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 8, 9, 2560, 70_001])
def test_noise_on_the_cpu(stand_in, dtype, n):
    check_noise(stand_in, dtype, n)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "t", "weight_decay"), [(1, 1, 0.0), (1000, 1, 0.1), (1000, 1000, 0.0), (0, 3, 0.1)])
def test_adam_on_the_cpu(stand_in, dtype, n, t, weight_decay):
    check_adam(stand_in, dtype, n, t, weight_decay)


def test_adam_of_zero_gradient_stays(stand_in):
    w, zeros = stand_in.ones(5, "float32"), [stand_in.zeros(5, "float32") for _ in range(3)]
    cupy_operations.adam(w, zeros[:1], *zeros[1:], 0.9, 0.999, 1e-3, 1e-8, 1.0)
    assert stand_in.asnumpy(w).tolist() == [1] * 5


@pytest.mark.parametrize("dtype", FLOATS)
def test_bce_at_hard_logits_on_the_cpu(stand_in, dtype):
    check_bce(stand_in, dtype, HARD_LOGITS, HARD_TARGETS, 0.25)


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 1)), min_size=1, max_size=40),
    scale=st.sampled_from([1.0, 1 / 128, -0.3]),
    dtype=st.sampled_from(FLOATS),
)
def test_bce_on_the_cpu(pairs, scale, dtype):
    with installed() as cupy:
        check_bce(cupy, dtype, *zip(*pairs, strict=True), scale)


def test_bce_takes_strided_and_read_only_inputs(stand_in):
    logits = stand_in.arange(12, dtype="float32").reshape(3, 4).T
    x = read_only(stand_in.full((4, 3), 0.5, "float32"))
    loss, dlogits = cupy_operations.bce_with_logits(logits, x, 1.0)
    host, expected = stand_in.asnumpy(logits), stand_in.asnumpy(dlogits)
    np.testing.assert_allclose(1 / (1 + np.exp(-host)) - 0.5, expected, rtol=1e-6)
    np.testing.assert_allclose(stand_in.asnumpy(loss), (np.logaddexp(host, 0) - 0.5 * host).sum(), rtol=1e-6)


def test_arrays_are_checked(stand_in):
    a, b = stand_in.zeros((4, 4), "float32"), stand_in.zeros((4, 4), "float64")
    with pytest.raises(ValueError, match="^bce_with_logits: expected C-contiguous arrays of one shape and dtype"):
        cupy_operations.bce_with_logits(a, b, 1.0)
    with pytest.raises(ValueError, match="^adam: expected C-contiguous"):
        cupy_operations.adam(a, [a.T], a, a, 0.9, 0.999, 1e-3, 1e-8, 1.0)
    with pytest.raises(ValueError, match="^adam"):
        cupy_operations.adam(a, [a[0]], a, a, 0.9, 0.999, 1e-3, 1e-8, 1.0)


@pytest.mark.parametrize("most_blocks", [1, 3])
def test_any_launch_gives_the_same(stand_in, monkeypatch, most_blocks):
    """With fewer threads than elements the loops stride."""
    monkeypatch.setattr(cuda, "MOST_BLOCKS", most_blocks)
    monkeypatch.setattr(cuda, "THREADS", 32)
    check_noise(stand_in, "float32", 5001)
    check_adam(stand_in, "float64", 5001, 3, 0.01)
    check_bce(stand_in, "float64", np.linspace(-5, 5, 1001), np.linspace(0, 1, 1001), 1.0)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", FLOATS)
def test_on_a_device(cupy_device, dtype):
    cupy = cupy_device.xp
    for n in (1, 9, 1_000_003):
        check_noise(cupy, dtype, n)
        check_adam(cupy, dtype, n, 3, 0.01)
    check_bce(cupy, dtype, HARD_LOGITS, HARD_TARGETS, 0.25)
    check_bce(cupy, dtype, np.linspace(-50, 50, 100_001), np.linspace(0, 1, 100_001), -0.5)
