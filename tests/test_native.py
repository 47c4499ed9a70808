"""The compiled primitives against NumPy in float64, whose results other tests hold to naive loops and to PyTorch."""

import shutil

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinyae.backend import convolution, native
from tinyae.backend.convolution import Geometry, compiled, patches


@pytest.fixture
def library():
    """The compiled library; a machine without a compiler runs NumPy, which is tested elsewhere."""
    if native.library() is None:
        pytest.skip(native.status())
    return native.library()


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
    assert compiled.takes(*singles) and not compiled.takes(*arrays)
    close(convolution.output(x4, weight4, geometry, bias4), patches.output(x, weight, geometry, bias))
    close(convolution.input_gradient(dy4, weight4, geometry, size), patches.input_gradient(dy, weight, geometry, size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "CHUNK", chunk)
        close(convolution.weight_gradient(x4, dy4, geometry, kernel), patches.weight_gradient(x, dy, geometry, kernel))


@pytest.mark.parametrize("bias", (False, True))
def test_bias_of_a_transposed_convolution_reaches_pixels_that_no_window_sees(library, bias):
    geometry, rng = Geometry(stride=(3, 3)), np.random.default_rng(0)
    dy, weight = rng.standard_normal((2, 2, 2, 4)).astype("f4"), rng.standard_normal((2, 2, 3, 4)).astype("f4")
    b = np.arange(1, 4, dtype="f4") if bias else None
    exact = patches.input_gradient(dy.astype(float), weight.astype(float), geometry, (6, 6)) + (b if bias else 0)
    close(convolution.input_gradient(dy, weight, geometry, (6, 6), b), exact)
    assert (convolution.input_gradient(dy, weight, geometry, (6, 6), b)[:, 2] == (b if bias else 0)).all()


def test_not_a_number_comes_through(library):
    x = np.ones((1, 4, 4, 2), "f4")
    x[0, 1, 1, 0] = np.nan
    y = convolution.output(x, np.ones((1, 1, 2, 3), "f4"), Geometry())
    assert np.isnan(y[0, 1, 1]).all() and np.isfinite(y).sum() == y.size - 3


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As in a process that has asked for nothing yet, with a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native._find.cache_clear()
    yield tmp_path
    native._find.cache_clear()


def test_switched_off(fresh, monkeypatch):
    monkeypatch.setenv("TINYAE_NATIVE", "0")
    assert native.library() is None and "TINYAE_NATIVE=0" in native.status()
    assert not compiled.takes(np.zeros(1, "f4"))


def test_without_a_compiler(fresh, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert native.library() is None and "no C++ compiler" in native.status()


def test_a_compiler_that_fails_is_named_with_its_reason(fresh, monkeypatch, tmp_path):
    broken = tmp_path / "broken-c++"
    broken.write_text("#!/bin/sh\necho it hurts >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert native.library() is None and "broken-c++ failed (it hurts)" in native.status()
    assert not list(tmp_path.glob("tinyae/*"))  # nothing half-made is left


def test_compiled_once_and_kept(library, fresh, monkeypatch):
    """With a source of one line, as compiling all takes seconds."""
    sources = fresh / "sources"
    sources.mkdir()
    (sources / "one.cpp").write_text('extern "C" int one() { return 1; }')
    monkeypatch.setattr(native, "SOURCES", sources)
    assert native.library().one() == 1
    (made,) = (fresh / "tinyae").iterdir()
    before = made.stat().st_mtime_ns
    native._find.cache_clear()
    assert native.library().one() == 1 and made.stat().st_mtime_ns == before
    (sources / "one.cpp").write_text('extern "C" int one() { return 2; }')
    native._find.cache_clear()
    assert native.library().one() == 2 and len(list((fresh / "tinyae").iterdir())) == 2
