"""The operations on a GPU, by CuPy. Those without a kernel are the formulas of `numpy_operations`, computed by CuPy."""

from .numpy_operations import batch_norm, batch_norm_backward

__all__ = ["batch_norm", "batch_norm_backward"]
