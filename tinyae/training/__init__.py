"""Training: `fit` and `load`, the loop and its steps, the run's folder, monitors, progress and worker threads."""

from .fitting import fit
from .load import load

__all__ = ["fit", "load"]
