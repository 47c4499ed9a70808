"""The training step in tinyae."""

from tinyae.backend import Noise
from tinyae.models import VAE
from tinyae.optim import Adam

from .dense_vae import HIDDEN, LATENT, LR, PIXELS


class Step:
    def __init__(self, data, weights):
        self.data, self.count = data, 0
        self.model = VAE(input_shape=(PIXELS,), latent_dim=LATENT, hidden=(HIDDEN,))
        for name, array in self.model.named_parameters().items():
            array[...] = weights[name]
        self.grads = self.model.store.like()
        self.adam = Adam(LR)

    def __call__(self, rows, noise=None):
        rng = Noise(0, self.count, given=None if noise is None else {"z": noise})
        self.grads.flat[:] = 0
        terms, _ = self.model.step(self.model.prepare({"x": self.data[rows]}), rng, self.grads.tree)
        self.adam.step(self.model.store, self.grads)
        self.count += 1
        return terms["loss"]

    def wait(self):
        """NumPy has finished when it returns."""
