"""The operations in C++, compiled on this machine at the first training: float32 on the CPU, several times faster.

A C++ compiler is all it takes, as for `torch.compile`; `build` says how. Without one, or with TINYAE_NATIVE=0 in the
environment, everything runs on NumPy alone. So does everything before the first training: compiling takes longer than
to encode some thousands of images.
"""

import contextlib
import os
import threading

LATER = None, "not compiled yet"
_lock, _answer = threading.Lock(), None


def _in_a_child():
    """A forked child lacks the thread that may hold the lock to compile, and asks for itself."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_child)


def library():
    """The library, a ctypes.CDLL, compiled now unless it is there; None where there can be none (`status` says why)."""
    if present() is None and _answer is LATER:
        _ask(make=True)
    return _answer[0]


def present():
    """The library if it is compiled already, or None."""
    return (_answer or _ask(make=False))[0]


def status():
    """What `library` found, in words."""
    library()
    return _answer[1]


def forget():
    """Look for the library anew at the next use."""
    global _answer
    _answer = None


@contextlib.contextmanager
def off():
    """NumPy alone meanwhile, in all threads of this process."""
    global _answer
    before, _answer = _answer, (None, "off for now")
    try:
        yield
    finally:
        _answer = before


def _ask(make):
    global _answer
    from . import build

    with _lock:  # two threads may ask first at once
        if _answer is None or make and _answer is LATER:
            _answer = build.find(make) or LATER
        return _answer
