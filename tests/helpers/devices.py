"""The devices that tests run on, and how results from them are compared."""

import numpy as np
import strict_cupy


class Device:
    """A place for arrays: `backend` is the name that tinyae gives it, `xp` its module."""

    def __init__(self, name, xp):
        self.name, self.xp = name, xp
        self.backend = "numpy" if xp is np else "cupy"

    def __repr__(self):
        return self.name

    def array(self, x, writeable=False):
        """A host array or a nested dict of them, copied here; read-only where that can be enforced."""
        if isinstance(x, dict):
            return {key: self.array(value, writeable) for key, value in x.items()}
        array = self.xp.array(x)
        return array if writeable else self.read_only(array)

    def read_only(self, x):
        """Arrays in nested dicts and tuples as read-only views; anything else as it is."""
        if isinstance(x, dict):
            return {key: self.read_only(value) for key, value in x.items()}
        if isinstance(x, (tuple, list)):
            return type(x)(map(self.read_only, x))
        return strict_cupy.read_only(x) if isinstance(x, self.xp.ndarray) and self.name != "cupy" else x

    def host(self, x):
        """Copies on the host of the arrays in nested dicts, tuples and lists (as lists); anything else as it is."""
        if isinstance(x, dict):
            return {key: self.host(value) for key, value in x.items()}
        if isinstance(x, (tuple, list)):
            return [self.host(value) for value in x]
        if isinstance(x, (np.ndarray, np.generic)):
            return np.array(x)
        return self.xp.asnumpy(x) if isinstance(x, self.xp.ndarray) else x


def leaves(x):
    """(place, array) of every array in nested dicts, tuples and lists."""
    if isinstance(x, (dict, tuple, list)):
        items = x.items() if isinstance(x, dict) else enumerate(x)
        return [(f".{key}{place}", leaf) for key, value in items for place, leaf in leaves(value)]
    return [("", x)] if isinstance(x, (np.ndarray, np.generic)) else []


def assert_same(got, expected, tolerance=0.0):
    """Equal bit for bit, or up to rounding: `tolerance` of each array's largest value, or of 0.1 if all are smaller."""
    for (place, a), (_, b) in zip(leaves(got), leaves(expected), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), place
        atol = tolerance * np.abs(b).max(initial=0.1)
        np.testing.assert_allclose(a, b, rtol=0, atol=atol, err_msg=place)
