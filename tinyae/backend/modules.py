"""NumPy and CuPy: the module of an array, the module by its name, and how arrays of a device are pickled."""

import sys

import numpy as np

from ..errors import BackendError
from ..options import Choice
from ..wording import flag, install

BACKENDS = ("numpy", "cupy")


def array_module(x):
    """The module (numpy or cupy) whose functions take `x`."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    return sys.modules[type(x).__module__.partition(".")[0]]


def on_device(value):
    """Whether `value` is an array of CuPy."""
    return hasattr(sys.modules.get(type(value).__module__.partition(".")[0]), "asnumpy")


def module(name):
    """The module that `name` means. Raises ConfigError for an unknown name, BackendError without CuPy or a device."""
    return np if Choice(BACKENDS).check("backend", name) == "numpy" else _import_cupy()


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
    return module(value.module).asarray(value.host) if isinstance(value, _Moved) else value


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
