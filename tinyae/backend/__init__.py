"""The array-module switch: the same mathematics on NumPy (CPU) or CuPy (GPU).

Code that follows its input asks `array_module(x)`; code that creates arrays holds a `Backend`. The few operations worth
a second implementation are functions of `operations`, which chooses between NumPy's formulas, the kernels of a GPU and
functions in C++. The formulas to read are in `numpy_operations`. `noise` draws the same random numbers everywhere.
"""

import numpy as np

from .modules import BACKENDS, Portable, array_module, module, on_device
from .noise import Noise, as_noise

__all__ = ["BACKENDS", "Backend", "Noise", "Portable", "array_module", "as_noise", "on_device"]


class Backend:
    """Creates arrays, moves them and waits for them.

    Backend("numpy") or Backend("cupy"). Raises ConfigError for an unknown name, BackendError without CuPy or without
    a device.
    """

    def __init__(self, name="numpy"):
        self.xp = module(name)
        self.name = self.xp.__name__

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
