"""The primitives in C++, compiled on this machine at their first use: float32 on the CPU, several times faster.

A C++ compiler is all it takes, as for `torch.compile`; `build` says how. Without one, or with TINYAE_NATIVE=0 in the
environment, everything runs on NumPy alone.
"""

import threading

import numpy as np

FLOAT32 = np.dtype(np.float32)
_lock, _answer = threading.Lock(), None


def library():
    """The compiled library, a ctypes.CDLL, or None where there is none (`status` says why)."""
    return (_answer or _ask())[0]


def status():
    """What `library` found, in words."""
    return (_answer or _ask())[1]


def forget():
    """Look for the library anew at the next use."""
    global _answer
    _answer = None


def takes(*arrays):
    """Whether the compiled primitives take these arrays: float32, C-contiguous, on the CPU, and there is a library."""
    for a in arrays:
        if type(a) is not np.ndarray or a.dtype != FLOAT32 or not a.flags.c_contiguous:
            return False
    return library() is not None


def address(array):
    """Where an array's first number is, for a pointer argument."""
    return array.ctypes.data


def _ask():
    global _answer
    from . import build

    with _lock:  # two threads may ask first at once
        _answer = _answer or build.find()
        return _answer
