"""Convolutions and convolutional models in tinyae, on worker threads as `tinyae.fit` runs them."""

import functools
import os
import time

import numpy as np

from tinyae.backend import Noise
from tinyae.backend.memory import keep_freed_memory
from tinyae.backend.operations import compile_now
from tinyae.layers import Conv2D, ConvTranspose2D
from tinyae.optim import Adam
from tinyae.training.step import Step
from tinyae.training.workers import cores, workers

from .convolution_cases import CASES, LAYERS, LR

SIZE = 2048  # the size of the matrices by which sgemm is measured


class Contender:
    packages = ("numpy",)

    def __init__(self, native=True):
        """native: with the compiled library, or on NumPy alone."""
        if not native:
            os.environ["TINYAE_NATIVE"] = "0"
        keep_freed_memory()
        compile_now()  # before anything is measured
        self.context = workers()  # kept, since it ends the threads when it goes
        self.team = self.context.__enter__()
        self.each = map if self.team is None else self.team.map

    @functools.cache  # noqa: B019 (one contender a process)
    def case(self, name):
        return LayerRun(CASES[name], self.each) if name in LAYERS else ModelRun(CASES[name], self.team)

    def rate(self, seconds=0.5):
        """Operations a second of large products, one on each worker thread."""
        a, count = np.ones((SIZE, SIZE), np.float32), cores()
        best, stop = 0, time.perf_counter() + seconds
        while time.perf_counter() < stop:
            started = time.perf_counter()
            list(self.each(lambda _: a @ a, range(count)))
            best = max(best, count * 2 * SIZE**3 / (time.perf_counter() - started))
        return best


class LayerRun:
    """A layer on the two halves of its batch."""

    def __init__(self, case, each):
        self.each, (x, weight, bias, dy) = each, case.arrays()
        kind = ConvTranspose2D if case.transposed else Conv2D
        self.layer = kind(case.filters, case.kernel, case.stride)
        self.params, half = {"weight": weight, "bias": bias}, case.batch // 2
        self.halves = (x[:half], dy[:half]), (x[half:], dy[half:])

    def forward(self):
        self.results = list(self.each(lambda half: self.layer.forward(self.params, half[0]), self.halves))

    def backward(self):
        def back(i):
            grads = {name: np.zeros_like(array) for name, array in self.params.items()}
            return self.layer.backward(self.params, self.results[i][1], self.halves[i][1], grads), grads

        (dx0, grads), (dx1, others) = self.each(back, range(2))
        for name, other in others.items():
            grads[name] += other
        return [dx0, dx1], grads

    def check(self):
        self.forward()
        dxs, grads = self.backward()
        ys = [y for y, _ in self.results]
        found = ys, dxs, *([g] for g in grads.values())
        return [float(sum(np.abs(a).sum(dtype=float) for a in arrays)) for arrays in found]


class ModelRun:
    def __init__(self, case, team):
        self.trainer, self.count = Step(case.build(), Adam(LR), team=team), 0

    def step(self, x, noise):
        terms = self.trainer.gradients({"x": x}, Noise(0, self.count, given={"z": noise}))
        self.trainer.update()
        self.count += 1
        return terms["loss"]

    def check(self, *batches):
        trainer, found = self.trainer, []
        for x, noise in batches:
            loss = trainer.gradients({"x": x}, Noise(0, given={"z": noise}))["loss"]
            named = zip(*(part.named.values() for part in trainer.grads), strict=True)
            found += [loss, sum(float(np.linalg.norm(sum(parts).astype(float))) for parts in named)]
        before = trainer.store.flat.copy()
        trainer.update()
        return [*found, float(np.median(abs(trainer.store.flat - before)))]
