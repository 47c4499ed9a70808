"""The one door to the operations: each call takes the formula, the CUDA kernel or the compiled function.

Three modules have the same functions: `numpy_operations` holds the formulas, `cupy_operations` those of a GPU, and
`compiled_operations` those in C++, several times faster in float32 on the CPU. The arrays choose, by this rule:

1. An operation is compiled where the library is there, every array is a NumPy array that it can read (float32, aligned,
   C-contiguous unless the operation takes any strides), and the shapes are those it is written for. Both conditions
   stand above each function of `compiled_operations`, since it reads memory without looking.
2. Everything else takes the formula of the first argument's array module, which broadcasts, or raises.
"""

import functools
import inspect

import numpy as np

from . import compiled_operations, cupy_operations, native, numpy_operations
from .modules import array_module

NAMES = ("batch_norm", "batch_norm_backward")


def _door(name):
    formula, kernel, compiled = (
        getattr(module, name) for module in (numpy_operations, cupy_operations, compiled_operations)
    )
    reads, fits, signature = compiled.reads, compiled.fits, inspect.signature(formula)

    @functools.wraps(formula)
    def operation(*arguments, **named):
        if named:
            arguments = signature.bind(*arguments, **named).args
        for value in arguments:
            if not reads(value):
                return (formula if array_module(arguments[0]) is np else kernel)(*arguments)
        if fits(*arguments) and native.present() is not None:
            return compiled(*arguments)
        return formula(*arguments)

    operation.__module__ = __name__
    return operation


batch_norm, batch_norm_backward = map(_door, NAMES)
