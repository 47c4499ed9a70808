"""What sits between encoder and decoder."""

from . import gaussian, mixture

__all__ = ["gaussian", "mixture"]
