"""tinyae: autoencoders from scratch on NumPy and CuPy, every gradient written by hand.

    import tinyae

    data = tinyae.data.load("fashion-mini")
    model = tinyae.models.VAE(latent_dim=2)
    tinyae.fit(model, data, epochs=10, out="runs/first")
    images = model.sample(16)
    model = tinyae.load("runs/first")
"""

from . import startup  # noqa: F401  (first: it guards the imports that take time)

# isort: split
import importlib

from . import latent, layers, losses, optim
from .gradcheck import gradcheck

__version__ = "0.1.0"

__all__ = [
    "data", "evaluation", "explore", "fit", "gradcheck", "latent", "layers", "load", "losses", "models", "optim",
    "plot",
]  # fmt: skip


def __getattr__(name):
    """Import these names on first use, so that `import tinyae` stays fast."""
    if name in ("fit", "load"):
        return getattr(importlib.import_module(".training", __name__), name)
    if name in ("data", "evaluation", "explore", "models", "plot", "training"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'tinyae' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
