"""tinyae: autoencoders from scratch on NumPy and CuPy, every gradient written by hand.

    import tinyae

    data = tinyae.data.load("fashion-mini")
    model = tinyae.models.VAE(latent_dim=2)
    tinyae.fit(model, data, epochs=10, out="runs/first")
    images = model.sample(16)
    model = tinyae.load("runs/first")
"""

from . import data, latent, layers, losses, models, optim
from .gradcheck import gradcheck
from .training import fit, load

__version__ = "0.1.0"

__all__ = ["data", "fit", "gradcheck", "latent", "layers", "load", "losses", "models", "optim"]
