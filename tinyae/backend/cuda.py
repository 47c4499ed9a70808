"""Kernels of `kernels.cu`, compiled at run time by CuPy and launched over whole arrays.

CuPy is imported when a kernel is first used, so this module imports without it. To a kernel an array is flat memory:
the wrappers check what it cannot, that arrays are C-contiguous and of one shape and dtype.
"""

import functools
import math
from pathlib import Path

import numpy as np

from .scores import slack

__all__ = [
    "adam", "bce_with_logits", "code_sums", "forget_kernels", "kernel", "nearest_code", "philox_normal",
    "philox_uniform",
]  # fmt: skip

THREADS = 256  # per block
MOST_BLOCKS = 2048  # fills the largest GPUs of today; the grid-stride loops do the rest
SCORES = 1 << 24  # of a block of rows, in `nearest_code`
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


def adam(w, g, m, v, beta1, beta2, rate, epsilon, shrink):
    """`primitives.adam` in one pass: w, g, m, v (n,) of one dtype, the scalars Python floats."""
    _check("adam", w, g, m, v)
    scalars = (beta1, beta2, rate, epsilon, shrink)
    _launch("adam", w.dtype, w.size, np.int64(w.size), w, g, m, v, *map(np.float64, scalars))


def bce_with_logits(logits, x, scale):
    """Binary cross-entropy from logits, summed, in nats, and `scale` times its gradient: shapes () and logits.shape.

    loss = sum of l (1[l > 0] - x) + log(1 + exp(-|l|))       dlogits = scale (sigmoid(l) - x)
    """
    import cupy

    logits, x = cupy.ascontiguousarray(logits), cupy.ascontiguousarray(x)
    _check("bce_with_logits", logits, x)
    loss_each, dlogits = cupy.empty_like(logits), cupy.empty_like(logits)
    size = np.int64(logits.size)
    _launch("bce_with_logits", logits.dtype, logits.size, size, np.float64(scale), logits, x, loss_each, dlogits)
    return loss_each.sum(), dlogits


def nearest_code(z, codebook):
    """`codes.nearest_code`: scores by cuBLAS, block by block, then one thread for each row.

    Float numbers and products below 1.2e-38 count as 0. With CUPY_TF32=1, where cuBLAS rounds to 11 bits, a code may
    be only nearly the nearest.
    """
    import cupy

    dtype = np.result_type(z.dtype, codebook.dtype, np.float32)
    z, codebook = cupy.ascontiguousarray(z, dtype), cupy.ascontiguousarray(codebook, dtype)
    half = (cupy.square(codebook.astype(np.float64)).sum(axis=1) / 2).astype(dtype)
    codes, step = cupy.empty(len(z), np.int64), max(1, SCORES // len(codebook))
    for start in range(0, len(z), step):
        rows = z[start : start + step]
        scores = half[:, None] - codebook @ rows.T
        room = slack(cupy.square(rows).sum(axis=1), half.max(), codebook.shape[1])
        sizes = map(np.int64, (len(rows), *codebook.shape))
        arrays = scores, room, rows, codebook, codes[start : start + step]
        _launch("nearest_code", dtype, len(rows), *sizes, *arrays)
    return codes


def code_sums(z, codes, count):
    """`codes.code_sums`: rows sorted by code, one thread for each sum. Codes that there are not are left out."""
    import cupy

    dtype = np.result_type(z.dtype, np.float32)
    order = cupy.argsort(codes, kind="stable")
    starts = cupy.searchsorted(codes[order], cupy.arange(count + 1, dtype=codes.dtype))
    rows, sums = cupy.ascontiguousarray(z, dtype), cupy.empty((count, z.shape[1]), dtype)
    sizes = map(np.int64, (sums.size, z.shape[1]))
    _launch("code_sums", dtype, sums.size, *sizes, starts, order, rows, sums)
    return cupy.diff(starts).astype(z.dtype), sums.astype(z.dtype, copy=False)


def _philox(name, key, step, shape, dtype):
    import cupy

    out = cupy.empty(shape, dtype)
    blocks_of_eight = math.ceil(out.size / 8)
    _launch(name, dtype, blocks_of_eight, np.int64(out.size), *map(np.uint64, (*key, step)), out)
    return out


def _launch(name, dtype, threads, *arguments):
    """Run a kernel with one thread for each of `threads` items, or fewer that stride over them; none for no items."""
    blocks = min(math.ceil(threads / THREADS), MOST_BLOCKS)
    if blocks:
        kernel(name, dtype)((blocks,), (THREADS,), arguments)


def _check(name, first, *others):
    for array in (first, *others):
        if array.shape != first.shape or array.dtype != first.dtype or not array.flags.c_contiguous:
            kinds = ", ".join(f"{a.dtype}{a.shape}" for a in (first, *others))
            raise ValueError(f"{name}: expected C-contiguous arrays of one shape and dtype, got {kinds}")


@functools.cache
def _kernel(name, dtype, device):
    return _module(dtype, device).get_function(name)


@functools.cache
def _module(dtype, device):
    import cupy

    source = Path(__file__).with_name("kernels.cu").read_text(encoding="utf-8")
    return cupy.RawModule(code=source, options=(f"-DREAL={REALS[dtype]}",))
