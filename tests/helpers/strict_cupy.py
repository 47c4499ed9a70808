"""A strict stand-in for CuPy over NumPy: what would be slow, wrong or refused on a GPU is an error here.

    with installed() as cupy:
        x = cupy.asarray(host)          # host -> device, explicitly
        y = cupy.exp(x).sum()           # a 0-d device array
        float(y)                        # HostSync: outside a window
        with allow_sync():
            float(y)                    # counted in cupy.host_syncs
        cupy.asnumpy(y)                 # explicit: always allowed, and counted too

A device array refuses to become a NumPy array by itself, to meet a NumPy array or scalar (np.float64(3) would promote)
or a list in an operation, and to give a Python value outside `allow_sync()`. It is stricter than CuPy in places: CuPy
converts a host array or a list that is an index, and iterates over an array without a word. Names and keyword arguments
that CuPy 14.2 lacks are absent. Kernels of a RawModule run from their CUDA source, on the CPU (`cuda_on_cpu.py`).

Not imitated: CuPy's own random numbers (tinyae draws from `Noise`), streams and events beyond synchronisation, flushed
denormals, indices out of range (CuPy wraps them silently, NumPy raises), the order of additions.
"""

import contextlib
import sys
import types

import cuda_on_cpu
import numpy as np
from strict_array import HostSync, State, allow_sync, ndarray, read_only, to_device, ufunc, wrapped

__all__ = ["HostSync", "allow_sync", "installed", "ndarray", "read_only"]

# Public names of NumPy 2.4 that are missing from CuPy 14.2.
MISSING = frozenset(
    """
    False_ ScalarType True_ asmatrix block bmat busday_count busday_offset busdaycalendar bytes_ char character
    clongdouble complex256 core ctypeslib datetime64 datetime_as_string datetime_data dtypes einsum_path emath errstate
    f2py flexible float128 frompyfunc fromregex geomspace get_include getbufsize geterr geterrcall histogram_bin_edges
    info insert is_busday isnat little_endian longdouble ma matrix matvec memmap nanpercentile nanquantile ndenumerate
    nditer nested_iters object_ polyder polydiv polyint rec recarray record sctypeDict setbufsize seterr seterrcall
    show_runtime spacing str_ strings test timedelta64 typecodes unstack vecdot vecmat void
    """.split()
    # CuPy has these, but here they would be NumPy's: another array type, global state, another file format.
    + ["random", "polynomial", "testing", "fft", "load", "save", "savez", "fromfile", "from_dlpack", "vectorize"]
)
MISSING_LINALG = frozenset(
    "diagonal matrix_norm multi_dot outer svdvals tensordot test trace vecdot vector_norm".split()
)


class Namespace(types.ModuleType):
    """Names of a NumPy module, wrapped when first used; `missing` ones raise AttributeError."""

    def __init__(self, name, source, missing=()):
        super().__init__(name)
        self._source, self._missing = source, missing

    def __getattr__(self, name):
        if name.startswith("_") or name in self._missing or not hasattr(self._source, name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(self._source, name)
        if isinstance(value, np.ufunc):
            value = ufunc(value)
        elif callable(value) and not isinstance(value, type):
            value = wrapped(value, name)
        setattr(self, name, value)
        return value


class Cupy(Namespace):
    """The module itself; `host_syncs` counts how often values came to the host."""

    host_syncs = property(lambda self: State.host_syncs)


def _array(a, dtype=None, copy=None, order="K", ndmin=0):
    """An array from a device array, a host array, or nested sequences of numbers or device arrays."""
    return to_device(np.array(_unwrapped(a), dtype=dtype, copy=copy, order=order, ndmin=ndmin))


def _unwrapped(a):
    if isinstance(a, ndarray):
        return a._host
    return [_unwrapped(v) for v in a] if isinstance(a, (list, tuple)) else a


def _asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    if isinstance(a, ndarray) and not copy and dtype in (None, a.dtype) and order in (None, "K", "A"):
        return a
    # A host array is always copied: the device has its own memory.
    copy = copy if isinstance(a, ndarray) else True
    return _array(a, dtype, copy, order or "K")


def _ascontiguousarray(a, dtype=None):
    if isinstance(a, ndarray) and a.flags.c_contiguous and dtype in (None, a.dtype) and a.ndim:
        return a
    return _array(a, dtype, None if isinstance(a, ndarray) else True, "C", ndmin=1)


def _asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a, order=order)


class CUDARuntimeError(RuntimeError):
    """What CuPy's runtime raises, such as without a device."""


class Device:
    """cupy.cuda.Device: only device 0 exists."""

    def __init__(self, device=0):
        if device != 0:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = device
        self.compute_capability = "90"
        self.mem_info = (2**30, 2**30)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __int__(self):
        return self.id

    def use(self):
        return self

    def synchronize(self):
        """Everything here is done at once."""


class Stream:
    def __init__(self, null=False, non_blocking=False):
        self.ptr = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def synchronize(self):
        """Everything here is done at once."""


Stream.null = Stream(null=True)


class MemoryPool:
    def used_bytes(self):
        return 0

    def total_bytes(self):
        return 0

    def free_all_blocks(self):
        """Nothing is pooled here."""


class RawModule:
    """CUDA source whose kernels run on the CPU."""

    def __init__(self, code=None, *, options=(), backend="nvrtc"):
        if not isinstance(code, str) or not isinstance(options, tuple):
            raise TypeError("RawModule takes code as a str and options as a tuple")
        self._code, self._options = code, options

    def get_function(self, name):
        kernels = cuda_on_cpu.load(self._code, self._options)
        if name not in kernels:
            raise CUDARuntimeError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        return RawKernel(name, kernels[name])


class RawKernel:
    """A kernel: kernel(grid, block, args), args typed as the source declares them, which a GPU takes on trust."""

    def __init__(self, name, kernel):
        self.name, self._kernel = name, kernel

    def __call__(self, grid, block, args, *, shared_mem=0):
        for what, sizes in (("grid", grid), ("block", block)):
            if not isinstance(sizes, tuple) or not 1 <= len(sizes) <= 3 or not all(type(s) is int for s in sizes):
                raise TypeError(f"{self.name}: {what} must be a tuple of one to three ints, got {sizes!r}")
            if min(sizes) < 1:
                raise CUDARuntimeError(f"CUDA_ERROR_INVALID_VALUE: {what} {sizes}")
        block = (block + (1, 1))[:3]
        if block[0] * block[1] * block[2] > 1024:
            raise CUDARuntimeError(f"CUDA_ERROR_INVALID_VALUE: block {block} has over 1024 threads")
        if len(args) != len(self._kernel.parameters):
            raise TypeError(f"{self.name}: expected {len(self._kernel.parameters)} arguments, got {len(args)}")
        cells = [self._cell(i, a, p) for i, (a, p) in enumerate(zip(args, self._kernel.parameters, strict=True))]
        self._kernel((grid + (1, 1))[:3], block, [cell.ctypes.data for cell in cells])

    def _cell(self, i, argument, parameter):
        """A one-element host array that holds the scalar, or the array's address: what a launch points at."""
        where = f"{self.name}: argument {i}"
        if not parameter.pointer:
            if not isinstance(argument, np.generic) or argument.dtype != parameter.dtype:
                raise TypeError(f"{where} must be numpy.{parameter.dtype}, got {type(argument).__name__}")
            return np.array([argument])
        if not isinstance(argument, ndarray) or argument.dtype != parameter.dtype:
            kind = getattr(argument, "dtype", type(argument).__name__)
            raise TypeError(f"{where} must be a device array of {parameter.dtype}, got {kind}")
        if not argument.flags.c_contiguous:
            raise ValueError(f"{where} must be C-contiguous")
        if not parameter.const and not argument._host.flags.writeable:
            raise ValueError(f"{where} is read-only and the kernel writes to it")
        return np.array([argument._host.ctypes.data], np.uintp)


def _module():
    cupy = Cupy("cupy", np, MISSING)
    cupy.__version__ = "14.2.0"
    cupy.ndarray, cupy.ufunc, cupy.RawModule = ndarray, ufunc, RawModule
    cupy.array = lambda obj, dtype=None, copy=True, order="K", ndmin=0: _array(obj, dtype, copy, order, ndmin)
    cupy.asarray = cupy.asanyarray = _asarray
    cupy.ascontiguousarray, cupy.asnumpy = _ascontiguousarray, _asnumpy
    cupy.get_array_module = lambda *args: cupy if any(isinstance(a, ndarray) for a in args) else np
    cupy.is_available = lambda: True
    pool = MemoryPool()
    cupy.get_default_memory_pool = cupy.get_default_pinned_memory_pool = lambda: pool
    cupy.linalg = Namespace("cupy.linalg", np.linalg, MISSING_LINALG)
    cupy.lib = types.SimpleNamespace(
        stride_tricks=Namespace("cupy.lib.stride_tricks", np.lib.stride_tricks, {"broadcast_to", "broadcast_arrays"})
    )
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 0, CUDARuntimeError=CUDARuntimeError)
    cupy.cuda = types.SimpleNamespace(
        Device=Device,
        Stream=Stream,
        get_current_stream=lambda: Stream.null,
        is_available=lambda: True,
        runtime=runtime,
    )
    return cupy


@contextlib.contextmanager
def installed():
    """Put a fresh stand-in into sys.modules["cupy"]; afterwards take it and the kernels compiled through it away."""
    before = sys.modules.get("cupy")
    State.host_syncs = State.windows = 0
    cupy = _module()
    _forget_kernels()
    sys.modules["cupy"] = cupy
    try:
        yield cupy
    finally:
        _forget_kernels()
        del sys.modules["cupy"]
        if before is not None:
            sys.modules["cupy"] = before


def _forget_kernels():
    cuda = sys.modules.get("tinyae.backend.cuda")
    if cuda is not None:
        cuda.forget_kernels()
