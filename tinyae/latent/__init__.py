"""What sits between encoder and decoder."""

from . import gaussian

__all__ = ["gaussian"]
