"""The loop, checkpoints, progress, threads."""

from .load import load
from .loop import fit

__all__ = ["fit", "load"]
