"""Where an array's numbers are, for the pointer arguments of compiled functions."""

import ctypes

HEAD = object.__basicsize__
_pointer_at = ctypes.c_void_p.from_address


def address(array):
    """Where an array's first number is, for a pointer argument: array.ctypes.data, ten times faster.

    NumPy keeps the pointer right behind the head of the object (PyArrayObject, part of its binary interface).
    """
    return _pointer_at(id(array) + HEAD).value
