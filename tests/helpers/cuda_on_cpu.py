"""Runs elementwise CUDA kernels on the CPU: the real source, compiled by g++ behind a small shim.

A launch is a loop over the grid that calls the kernel once per thread, one after the other. That is enough for kernels
without barriers, shared memory or atomics, and shows what they compute; it says nothing about races or speed. Products
and sums are not contracted to fused ones, so results may differ from a GPU's by rounding.
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

SHIM = """
#include <cmath>
struct dim3 { unsigned int x, y, z; };
static thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __device__
#define __forceinline__ inline
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
using std::cos; using std::exp; using std::fabs; using std::log; using std::log1p; using std::sin; using std::sqrt;
"""

LAUNCH = """
extern "C" void launch_{name}(const unsigned int *grid, const unsigned int *block, void **a) {{
    gridDim = {{grid[0], grid[1], grid[2]}};
    blockDim = {{block[0], block[1], block[2]}};
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x)
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; ++threadIdx.z)
    for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)
    for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x)
        {name}({arguments});
}}
"""

FLAGS = ("-O2", "-std=c++17", "-fPIC", "-shared", "-ffp-contract=off", "-Wno-unknown-pragmas", "-x", "c++")
SIGNATURE = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(\w+)\s*\(([^)]*)\)')
DTYPES = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
}


class Parameter:
    """One parameter of a kernel: `dtype`, whether it is a `pointer`, and whether it is `const`."""

    def __init__(self, text, typedefs):
        words = text.replace("*", " * ").replace("__restrict__", " ").split()
        self.pointer = "*" in words
        self.const = "const" in words
        self.ctype = " ".join(word for word in words[:-1] if word not in ("*", "const"))
        self.dtype = np.dtype(DTYPES[typedefs.get(self.ctype, self.ctype)])


class Kernel:
    """`kernel(grid, block, pointers)` runs the kernel over the grid; `pointers` are the addresses of its arguments."""

    def __init__(self, function, parameters):
        self.function, self.parameters = function, parameters

    def __call__(self, grid, block, pointers):
        three = ctypes.c_uint * 3
        self.function(three(*grid), three(*block), (ctypes.c_void_p * len(pointers))(*pointers))


@functools.cache
def load(source, options=()):
    """The kernels of a CUDA source by name, compiled with `options` (-D only). Skips the test where g++ is missing."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ not found: the CUDA kernels cannot run on the CPU")
    typedefs = dict(option[2:].split("=") for option in options)
    for known, new in re.findall(r"typedef\s+([\w ]+?)\s+(\w+);", source):
        typedefs[new] = typedefs.get(known, known)
    kernels = {
        name: [Parameter(text, typedefs) for text in arguments.split(",")]
        for name, arguments in SIGNATURE.findall(source)
    }
    launchers = "".join(
        LAUNCH.format(name=name, arguments=", ".join(_pass(i, p) for i, p in enumerate(parameters)))
        for name, parameters in kernels.items()
    )
    library = ctypes.CDLL(str(_compile(compiler, SHIM + source + launchers, options)))
    return {name: Kernel(library[f"launch_{name}"], parameters) for name, parameters in kernels.items()}


def _pass(i, parameter):
    return f"*({parameter.ctype} {'*' * parameter.pointer}*)a[{i}]"


def _compile(compiler, text, options):
    """Path of the shared library, kept in a temporary folder under the hash of what made it."""
    digest = hashlib.sha256(repr((text, options, FLAGS)).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"tinyae-cuda-on-cpu-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{digest}.so"
    if not library.exists():
        partial = folder / f"{digest}.{os.getpid()}"  # renamed when complete: other test processes may look meanwhile
        command = [compiler, *FLAGS, *options, "-o", str(partial), "-"]
        subprocess.run(command, input=text, text=True, check=True)
        partial.replace(library)
    return library
