"""The systems, one file each, by the names of the command line."""

from .ae import AE
from .base import Model
from .vae import VAE

NAMES = {"ae": AE, "vae": VAE}

__all__ = ["AE", "NAMES", "VAE", "Model"]
