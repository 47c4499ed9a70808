"""What sits between encoder and decoder."""

from . import gaussian, mixture, sparsity

__all__ = ["gaussian", "mixture", "sparsity"]
