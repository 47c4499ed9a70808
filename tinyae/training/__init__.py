"""The loop, checkpoints, progress, threads."""

from ..checkpoint.files import load
from .loop import fit

__all__ = ["fit", "load"]
