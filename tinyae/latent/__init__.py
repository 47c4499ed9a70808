"""What sits between encoder and decoder."""

from . import gaussian, mixture, quantize, sparsity

__all__ = ["gaussian", "mixture", "quantize", "sparsity"]
