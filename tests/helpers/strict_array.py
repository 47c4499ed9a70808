"""The device array of the strict stand-in for CuPy (see `strict_cupy`): a NumPy array behind a wall."""

import contextlib
import operator
import types

import numpy as np

# Keyword arguments of NumPy that CuPy 14.2 lacks, by function; besides them `like` and `subok` everywhere.
MISSING_KEYWORDS = {
    "argpartition": {"kind", "order"},
    "argsort": {"order", "stable"},
    "as_strided": {"writeable"},
    "clip": {"min", "max"},
    "count_nonzero": {"keepdims"},
    "einsum": {"out", "order", "casting"},
    "indices": {"sparse"},
    "isin": {"kind"},
    "partition": {"kind", "order"},
    "percentile": {"weights"},
    "quantile": {"weights"},
    "sort": {"order", "stable"},
    "std": {"mean", "correction"},
    "take": {"mode"},
    "unique": {"sorted"},
    "unravel_index": {"shape"},
    "var": {"mean", "correction"},
}
# Functions that have no `where` and `initial` in CuPy.
REDUCTIONS = frozenset(
    "all amax amin any max mean min prod std sum var nanmax nanmean nanmin nanprod nanstd nansum nanvar".split()
)
# Functions whose first argument may be a sequence: of arrays, or a shape.
JOINERS = frozenset(
    "concatenate concat stack hstack vstack dstack column_stack select lexsort ravel_multi_index".split()
)
SHAPED = frozenset("zeros ones empty full indices broadcast_shapes".split())
# Functions whose every positional argument is an operand, apart from einsum's subscripts.
OPERANDS = frozenset("allclose array_equal dot einsum inner isclose kron outer vdot where".split())
# Functions that answer on the host, from shapes and dtypes alone.
ON_HOST = frozenset(
    """
    broadcast_shapes can_cast common_type iscomplexobj isfortran isrealobj isscalar issubdtype may_share_memory
    min_scalar_type ndim promote_types result_type shape shares_memory size
    """.split()
)
# Functions that wait for device values, which decide the shape of the result or have to be checked.
SYNCING = frozenset(
    "argwhere bincount compress extract flatnonzero histogram nonzero trim_zeros union1d unique".split()
)

PYTHON_SCALARS = (bool, int, float, complex)


class HostSync(RuntimeError):
    """A device value was read on the host where it may not be."""


class State:
    host_syncs = 0
    windows = 0


def sync(what, explicit=False):
    if not explicit and not State.windows:
        raise HostSync(f"{what} of a device array waits for the device and copies to the host")
    State.host_syncs += 1


@contextlib.contextmanager
def allow_sync():
    """Inside, device values may be read by float(), int(), bool(), item() and iteration."""
    State.windows += 1
    try:
        yield
    finally:
        State.windows -= 1


def read_only(array):
    """A view of a NumPy or device array that refuses to be written to, by Python or by a kernel."""
    host = (array._host if isinstance(array, ndarray) else array).view()
    host.flags.writeable = False
    return to_device(host) if isinstance(array, ndarray) else host


class Flags:
    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata
        self.fnc, self.forc = flags.fnc, flags.forc


class ndarray:
    """A device array: a NumPy array `_host` that only this file touches."""

    __module__ = "cupy"
    __slots__ = ("_host", "__weakref__")
    __hash__ = None
    __array_priority__ = 100

    def __init__(self, shape, dtype=float, order="C"):
        self._host = np.zeros(shape, dtype, order)

    # Refused: to become, or to meet, a NumPy array.

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion of a device array to a NumPy array: use cupy.asnumpy(x)")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        raise TypeError(f"numpy.{ufunc.__name__} of a device array, or of one and a host array: use the array's module")

    def __array_function__(self, function, kinds, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} of a device array: use the array's module")

    # Allowed in a window: to become a Python value.

    def __bool__(self):
        sync("bool()")
        return bool(self._host)

    def __int__(self):
        sync("int()")
        return int(self._host)

    def __float__(self):
        sync("float()")
        return float(self._host)

    def __complex__(self):
        sync("complex()")
        return complex(self._host)

    def __format__(self, spec):
        sync("format()")
        return format(self._host.item() if self.ndim == 0 else self._host, spec)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        sync("iteration")
        return (self[i] for i in range(len(self)))

    def item(self, *args):
        sync("item()")
        return self._host.item(*args)

    def tolist(self):
        sync("tolist()")
        return self._host.tolist()

    def tobytes(self, order="C"):
        sync("tobytes()")
        return self._host.tobytes(order)

    def __reduce__(self):
        sync("pickling")
        return to_device, (self._host,)

    def get(self, stream=None, order="C", out=None, blocking=True):
        """A host copy: explicit, so allowed anywhere, and counted."""
        sync("get()", explicit=True)
        if out is None:
            return self._host.copy(order)
        out[...] = self._host
        return out

    def set(self, array, stream=None):
        """Overwrite with a host array of the same shape and dtype."""
        if not isinstance(array, np.ndarray) or array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError("set() takes a NumPy array of the same shape and dtype")
        self._host[...] = array

    # Free: what is known without the values.

    def __repr__(self):
        return f"<device array, {self.dtype}, shape {self.shape}>"

    def __len__(self):
        return len(self._host)

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: Flags(self._host.flags))
    data = property(lambda self: types.SimpleNamespace(ptr=self._host.ctypes.data))
    T = property(lambda self: to_device(self._host.T))
    mT = property(lambda self: to_device(self._host.mT))
    real = property(lambda self: to_device(self._host.real))
    imag = property(lambda self: to_device(self._host.imag))

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __getitem__(self, key):
        key, advanced = _index(key)
        if any(k.dtype == bool for k in advanced):
            sync("a boolean mask", explicit=True)  # its result's shape depends on the values
        # With an Ellipsis x[0, 0] is a 0-d view, as on the device, and not a copied scalar.
        return to_device(self._host[key] if advanced or Ellipsis in key else self._host[*key, ...])

    def __setitem__(self, key, value):
        key, _ = _index(key)
        self._host[key] = _operand(value, "assignment")


def _index(key):
    """(index for NumPy, the arrays in it); refuses host arrays and lists."""
    key = key if isinstance(key, tuple) else (key,)
    advanced = [k._host for k in key if isinstance(k, ndarray)]
    for k in key:
        if not (k is None or k is Ellipsis or isinstance(k, (slice, ndarray, int, np.integer))):
            raise TypeError(f"index of type {type(k).__name__}: only integers, slices and device arrays are indices")
        if isinstance(k, slice) and any(isinstance(part, ndarray) for part in (k.start, k.stop, k.step)):
            raise HostSync("a slice with a device value for a bound waits for the device")
    return tuple(k._host if isinstance(k, ndarray) else k for k in key), advanced


def to_device(host):
    array = ndarray.__new__(ndarray)
    array._host = np.asarray(host)
    return array


def _operand(value, where):
    """The NumPy array or Python scalar that stands for an operand on the device."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(f"{where}: NumPy {type(value).__name__} on the host, mixed with device arrays")
    if isinstance(value, PYTHON_SCALARS):
        return value
    raise TypeError(f"{where}: unsupported operand of type {type(value).__name__}")


def _argument(value, where, sequence_of_arrays=False):
    """An argument of a function: an operand, or a shape, axes, a dtype, a name, ... without arrays inside."""
    if isinstance(value, (ndarray, np.ndarray, np.generic)) and not isinstance(value, np.integer):
        return _operand(value, where)
    if isinstance(value, (list, tuple)):
        if not sequence_of_arrays and any(isinstance(v, ndarray) for v in value):
            raise TypeError(f"{where}: unsupported operand, a {type(value).__name__} of device arrays")
        return type(value)(_argument(v, where, sequence_of_arrays) for v in value)
    return value


def _result(value):
    if isinstance(value, (np.ndarray, np.generic, bool)):
        return to_device(value)
    if isinstance(value, (tuple, list)):
        return type(value)(map(_result, value)) if not hasattr(value, "_fields") else type(value)(*map(_result, value))
    return value


def _output(out, where):
    """`out` unwrapped: a device array, or a tuple of them."""
    if out is None or isinstance(out, ndarray):
        return out if out is None else out._host
    if isinstance(out, tuple):
        return tuple(_output(o, where) for o in out)
    raise TypeError(f"{where}: out= must be a device array, got {type(out).__name__}")


def _returned(result, out):
    """`out` itself, as NumPy and CuPy return it, or the wrapped result."""
    if isinstance(out, tuple):
        out = out[0] if len(out) == 1 else None
    return _result(result) if out is None else out


class ufunc:
    """A NumPy ufunc over device arrays and Python scalars."""

    __module__ = "cupy"

    def __init__(self, function):
        self._function, self.__name__ = function, function.__name__
        self.nin, self.nout = function.nin, function.nout

    def __call__(self, *args, out=None, **kwargs):
        where = f"cupy.{self.__name__}"
        for name in kwargs:
            if name not in ("casting", "dtype"):
                raise TypeError(f"{where}: unexpected keyword argument {name!r}")
        args, positional_out = args[: self.nin], args[self.nin :]
        out = positional_out or out
        if out is not None:
            kwargs["out"] = _output(out, where)
        return _returned(self._function(*(_operand(a, where) for a in args), **kwargs), out)

    def at(self, a, indices, b=None):
        """Unbuffered a[indices] op= b; on a device the order of additions to one element is not fixed."""
        key, _ = _index(indices)
        arguments = () if b is None else (_operand(b, f"cupy.{self.__name__}.at"),)
        self._function.at(a._host, key, *arguments)

    def outer(self, a, b):
        where = f"cupy.{self.__name__}.outer"
        return _result(self._function.outer(_operand(a, where), _operand(b, where)))

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        where = f"cupy.{self.__name__}.reduce"
        host = _operand(array, where)
        return _returned(self._function.reduce(host, axis, dtype, _output(out, where), keepdims), out)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        where = f"cupy.{self.__name__}.accumulate"
        return _returned(self._function.accumulate(_operand(array, where), axis, dtype, _output(out, where)), out)


def wrapped(function, name, missing_keywords=None):
    """A NumPy function over device arrays, with CuPy's limits."""
    where = f"cupy.{name}"
    if missing_keywords is None:
        missing_keywords = MISSING_KEYWORDS.get(name, set())
    absent = {"like", "subok"} | missing_keywords | ({"where", "initial"} if name in REDUCTIONS else set())

    def call(*args, **kwargs):
        if absent & kwargs.keys():
            raise TypeError(f"{where}() of CuPy has no keyword argument {min(absent & kwargs.keys())!r}")
        if args and isinstance(args[0], (list, tuple)) and name not in JOINERS | SHAPED:
            raise TypeError(f"{where}: unsupported operand of type {type(args[0]).__name__}")
        if name in OPERANDS:
            args = [a if isinstance(a, str) else _operand(a, where) for a in args]
        else:
            args = [_argument(a, where, name in JOINERS) for a in args]
        out = kwargs.pop("out", None)
        kwargs = {k: _argument(v, where) for k, v in kwargs.items()}
        if name in SYNCING or (name == "where" and len(args) == 1):
            sync(where, explicit=True)
        if out is not None:
            kwargs["out"] = _output(out, where)
        result = function(*args, **kwargs)
        return result if name in ON_HOST else _returned(result, out)

    call.__name__ = call.__qualname__ = name
    return call


def _method(name):
    # Unlike the function, the method clip has the keywords min and max in CuPy too.
    call = wrapped(getattr(np.ndarray, name), name, set() if name == "clip" else None)

    def method(self, *args, **kwargs):
        result = call(self, *args, **kwargs)
        return self if isinstance(result, ndarray) and result._host is self._host else result  # astype(copy=False)

    return method


METHODS = """
    all any argmax argmin argpartition argsort astype choose clip compress conj conjugate copy cumprod cumsum diagonal
    dot fill flatten max mean min nonzero partition prod put ravel repeat reshape round searchsorted sort squeeze std
    sum swapaxes take trace transpose var view
""".split()
for _name in METHODS:
    setattr(ndarray, _name, _method(_name))


def _binary(function, name):
    def forward(self, other):
        return _result(function(self._host, _operand(other, f"operator {name}")))

    def reflected(self, other):
        return _result(function(_operand(other, f"operator {name}"), self._host))

    return forward, reflected


def _in_place(function, name):
    def method(self, other):
        function(self._host, _operand(other, f"operator {name}="))
        return self

    return method


for _name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split():
    _function = getattr(operator, f"__{_name}__")
    _forward, _reflected = _binary(_function, _name)
    setattr(ndarray, f"__{_name}__", _forward)
    setattr(ndarray, f"__r{_name}__", _reflected)
    if _name != "matmul":  # CuPy has no __imatmul__
        setattr(ndarray, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__"), _name))
for _name in "lt le eq ne gt ge".split():
    setattr(ndarray, f"__{_name}__", _binary(getattr(operator, f"__{_name}__"), _name)[0])
for _name in "neg pos abs invert".split():
    _function = getattr(operator, f"__{_name}__")
    setattr(ndarray, f"__{_name}__", lambda self, function=_function: _result(function(self._host)))
