"""The training step in tinyae, as `tinyae.fit` runs it."""

import os

from tinyae.backend import Noise
from tinyae.backend.memory import keep_freed_memory
from tinyae.backend.operations import compile_now
from tinyae.models import VAE
from tinyae.optim import Adam
from tinyae.training.step import Step as TrainingStep
from tinyae.training.workers import workers

from .dense_vae import HIDDEN, LATENT, LR, PIXELS


class Step:
    def __init__(self, data, weights, native=True):
        """native: with the compiled library, or on NumPy alone."""
        if not native:
            os.environ["TINYAE_NATIVE"] = "0"
        keep_freed_memory()
        compile_now()  # before anything is measured
        self.data, self.count = data, 0
        model = VAE(input_shape=(PIXELS,), latent_dim=LATENT, hidden=(HIDDEN,))
        for name, array in model.named_parameters().items():
            array[...] = weights[name]
        self.team = workers()
        self.step = TrainingStep(model, Adam(LR), team=self.team.__enter__())

    def __call__(self, rows, noise=None):
        rng = Noise(0, self.count, given=None if noise is None else {"z": noise})
        terms = self.step.gradients({"x": self.data[rows]}, rng)
        self.step.update()
        self.count += 1
        return terms["loss"]

    def wait(self):
        """NumPy has finished when it returns."""
