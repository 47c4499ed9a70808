"""The array-module switch: the same mathematics on NumPy (CPU) or CuPy (GPU).

Code that follows its input asks `array_module(x)`; code that creates arrays holds a `Backend`. The few operations worth
a second implementation stand in `primitives`, `convolution`, `pooling`, `columns`, `codes` and `noise`, one name each.
float32 on the CPU goes to functions in C++ where there is a compiler (`native`), and what these do not take to NumPy.
"""

import sys

import numpy as np

from ..errors import BackendError
from ..options import Choice
from ..wording import flag, install
from .noise import Noise, as_noise

__all__ = ["BACKENDS", "Backend", "Noise", "Portable", "array_module", "as_noise", "on_device"]

BACKENDS = ("numpy", "cupy")


def array_module(x):
    """The module (numpy or cupy) whose functions take `x`."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    return sys.modules[type(x).__module__.partition(".")[0]]


def on_device(value):
    """Whether `value` is an array of CuPy."""
    return hasattr(sys.modules.get(type(value).__module__.partition(".")[0]), "asnumpy")


class Backend:
    """Creates arrays, moves them and waits for them.

    Backend("numpy") or Backend("cupy"). Raises ConfigError for an unknown name, BackendError without CuPy or without
    a device.
    """

    def __init__(self, name="numpy"):
        self.name = name = Choice(BACKENDS).check("backend", name)
        self.xp = np if name == "numpy" else _import_cupy()

    def __repr__(self):
        return f"Backend({self.name!r})"

    def __reduce__(self):
        return Backend, (self.name,)  # modules cannot be pickled

    def asarray(self, x, dtype=None):
        """`x` on this backend's device."""
        return self.xp.asarray(x, dtype=dtype)

    def zeros(self, shape, dtype="float32"):
        return self.xp.zeros(shape, dtype=dtype)

    def noise(self, seed, step=0, given=None):
        """The counter-based noise of (seed, step) on this device."""
        return Noise(seed, step, xp=self.xp, given=given)

    def to_host(self, x):
        """`x` as a NumPy array; waits for the device."""
        return x if array_module(x) is np else self.xp.asnumpy(x)

    def synchronize(self):
        """Wait until the device has finished all it was given."""
        if self.xp is not np:
            self.xp.cuda.get_current_stream().synchronize()


class Portable:
    """Objects with arrays among their attributes, or in dicts of them: pickled and copied by way of the host."""

    def __getstate__(self):
        return {name: packed(value) for name, value in vars(self).items()}

    def __setstate__(self, state):
        vars(self).update((name, unpacked(value)) for name, value in state.items())


class _Moved:
    """A device's array on the host, and the module that it belongs to."""

    def __init__(self, array):
        self.module = array_module(array).__name__
        self.host = array_module(array).asnumpy(array)


def packed(value):
    """`value` with the arrays of a device, itself or in dicts, as something that can be pickled."""
    if isinstance(value, dict):
        return {name: packed(each) for name, each in value.items()}
    return _Moved(value) if on_device(value) else value


def unpacked(value):
    """What was `packed`."""
    if isinstance(value, dict):
        return {name: unpacked(each) for name, each in value.items()}
    return Backend(value.module).asarray(value.host) if isinstance(value, _Moved) else value


def _import_cupy():
    try:
        import cupy
    except ImportError:
        raise BackendError(
            f"backend 'cupy' needs CuPy: {install('cuda13')} (cuda12 for CUDA 12), or use {flag('backend', 'numpy')}"
        ) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # the driver's own exception type differs between CuPy's versions
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BackendError(f"backend 'cupy' finds no usable GPU ({reason}): use {flag('backend', 'numpy')}") from None
    if count == 0:
        raise BackendError(f"backend 'cupy' finds no GPU: use {flag('backend', 'numpy')}")
    return cupy
