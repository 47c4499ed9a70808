"""Kernels of `kernels.cu`, compiled at run time by CuPy and launched over whole arrays.

CuPy is imported when a kernel is first used, so this module imports without it. To a kernel an array is flat memory:
whoever launches it checks that arrays are C-contiguous and of one shape and dtype.
"""

import functools
import math
from pathlib import Path

import numpy as np

__all__ = ["forget_kernels", "kernel", "launch", "philox_normal", "philox_uniform"]

THREADS = 256  # per block
MOST_BLOCKS = 2048  # fills the largest GPUs of today; the grid-stride loops do the rest
REALS = {"float32": "float", "float64": "double"}


def kernel(name, dtype):
    """The kernel `name` for float32 or float64 on the current device, compiled at the first call."""
    import cupy

    return _kernel(name, np.dtype(dtype).name, cupy.cuda.runtime.getDevice())


def forget_kernels():
    """Drop the loaded kernels, for a new CUDA context (and for the stand-in that tests put in CuPy's place)."""
    _kernel.cache_clear()
    _module.cache_clear()


def philox_uniform(key, step, shape, dtype):
    """Uniforms of `shape` on (0, 1), made on the device: see `Noise.uniform`. `key` is (seed, hash of the name)."""
    return _philox("philox_uniform", key, step, shape, dtype)


def philox_normal(key, step, shape, dtype):
    """Standard normals of `shape`, made on the device: see `Noise.normal`. `key` is (seed, hash of the name)."""
    return _philox("philox_normal", key, step, shape, dtype)


def _philox(name, key, step, shape, dtype):
    import cupy

    out = cupy.empty(shape, dtype)
    blocks_of_eight = math.ceil(out.size / 8)
    launch(name, dtype, blocks_of_eight, np.int64(out.size), *map(np.uint64, (*key, step)), out)
    return out


def launch(name, dtype, threads, *arguments):
    """Run a kernel with one thread for each of `threads` items, or fewer that stride over them; none for no items."""
    blocks = min(math.ceil(threads / THREADS), MOST_BLOCKS)
    if blocks:
        kernel(name, dtype)((blocks,), (THREADS,), arguments)


@functools.cache
def _kernel(name, dtype, device):
    return _module(dtype, device).get_function(name)


@functools.cache
def _module(dtype, device):
    import cupy

    source = Path(__file__).with_name("kernels.cu").read_text(encoding="utf-8")
    return cupy.RawModule(code=source, options=(f"-DREAL={REALS[dtype]}",))
