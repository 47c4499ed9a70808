"""Hypothesis without chance or a clock; the devices that tests run on; tests marked `gpu` skip where there is none."""

import functools
import os
import signal

import numpy as np
import pytest
import strict_cupy
from devices import Device
from hypothesis import settings

from tinyae.backend import Backend, native
from tinyae.errors import BackendError

settings.register_profile("tinyae", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("tinyae")

# PyTorch is an oracle here, which needs no speed: its AVX2 convolutions (oneDNN's) end the process on some processors.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "SSE41")

# A process in the background of a shell ignores Ctrl-C, and with nohup the end of the terminal. The processes that
# tests start must not inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_sessionstart():
    """Compile before the first test: bits and times of the tests do not hang on which one trains first."""
    native.library()


@functools.cache
def no_gpu():
    """Why tests marked `gpu` cannot run here, or None."""
    try:
        Backend("cupy")
    except BackendError as error:
        return str(error)


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and no_gpu():
        pytest.skip(f"no GPU: {no_gpu()}")


@pytest.fixture
def numpy_device():
    return Device("numpy", np)


@pytest.fixture
def strict_device():
    with strict_cupy.installed() as cupy:
        yield Device("strict", cupy)


@pytest.fixture
def cupy_device():
    import cupy

    return Device("cupy", cupy)


@pytest.fixture(params=["numpy", "strict"])
def device(request):
    """NumPy, then the strict stand-in."""
    return request.getfixturevalue(f"{request.param}_device")


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def gpu(request):
    """What stands for a GPU, then a GPU."""
    return request.getfixturevalue(f"{request.param}_device")


@pytest.fixture
def library():
    """The compiled library; a machine without a compiler runs NumPy, which is tested elsewhere."""
    if native.library() is None:
        pytest.skip(native.status())
    return native.library()


@pytest.fixture(scope="module")
def torch_on_one_thread():
    """For a module's tests: small models are slower on several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def registry():
    """The registry of layers, which afterwards is as it was before the test."""
    from tinyae.layers import REGISTRY

    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)
