"""The one door to the operations: each call runs the formula, the CUDA kernel or the compiled function.

Three modules have the same functions: `numpy_operations` holds the formulas, `cupy_operations` the kernels for a GPU,
and `compiled_operations` the C++ code, several times faster in float32 on the CPU. The arrays choose, by this rule:

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


def _door(name):
    formula, kernel, compiled = (
        getattr(module, name) for module in (numpy_operations, cupy_operations, compiled_operations)
    )
    reads, fits, signature = compiled.reads, compiled.fits, inspect.signature(formula)

    @functools.wraps(formula)
    def operation(*arguments, **named):
        if named:
            bound = signature.bind(*arguments, **named)
            bound.apply_defaults()  # else what follows a parameter that is left out would be lost
            arguments = bound.args
        if native.present() is not None and reads(*arguments) and fits(*arguments):
            return compiled(*arguments)
        return (formula if array_module(arguments[0]) is np else kernel)(*arguments)

    operation.__module__ = __name__
    return operation


affine = _door("affine")
product_transposed = _door("product_transposed")
add_product = _door("add_product")
add_rows = _door("add_rows")
relu = _door("relu")
relu_gradient = _door("relu_gradient")
bce_with_logits = _door("bce_with_logits")
adam = _door("adam")
batch_norm = _door("batch_norm")
batch_norm_backward = _door("batch_norm_backward")
convolution = _door("convolution")
convolution_input_gradient = _door("convolution_input_gradient")
convolution_weight_gradient = _door("convolution_weight_gradient")
max_pool = _door("max_pool")
max_pool_gradient = _door("max_pool_gradient")
nearest_code = _door("nearest_code")
code_sums = _door("code_sums")


def compile_now():
    """Compile the C++ unless that was done before; whether there is a library then. `status` says why there is none."""
    return native.library() is not None


def status():
    """What `compile_now` found, in words."""
    return native.status()


def formulas_alone():
    """A context in which nothing is compiled, in all threads of this process."""
    return native.off()


def share_products(dtype):
    """Whether products of matrices of `dtype` on the CPU are compiled, and then shared out among threads one by one."""
    return dtype == np.float32 and native.library() is not None


def share_update(*arrays):
    """Whether an update of these arrays, of one shape, is compiled, and then shared out among threads by itself."""
    return compiled_operations.plain(*arrays) and native.present() is not None
