"""`pixelcnn` in tinyae, on worker threads as `tinyae.fit` runs it."""

import os

from tinyae.backend import Noise
from tinyae.backend.memory import keep_freed_memory
from tinyae.backend.operations import compile_now
from tinyae.networks import raster
from tinyae.optim import Adam
from tinyae.training.step import Step
from tinyae.training.workers import workers

from .pixelcnn import LR


class Contender:
    def __init__(self, name):
        if name == "tinyae-numpy":
            os.environ["TINYAE_NATIVE"] = "0"
        if name == "tinyae-anew":
            raster.incremental = raster.naive
        keep_freed_memory()
        compile_now()  # before anything is measured
        self.context = workers()  # kept, since it ends the threads when it goes
        self.team = self.context.__enter__()

    def run(self, model):
        return Run(model, self.team)


class Run:
    def __init__(self, model, team):
        self.model, self.trainer, self.count = model, Step(model, Adam(LR), team=team), 0

    def step(self, codes):
        terms = self.trainer.gradients({"x": codes}, Noise(0, self.count))
        self.trainer.update()
        self.count += 1
        return terms["loss"]

    def draw(self, n):
        return self.model.sample(n)
