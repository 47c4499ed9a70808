"""Adversaries in tinyae, on worker threads as `tinyae.fit` runs them."""

import functools

from tinyae.backend import Noise
from tinyae.optim import Adam
from tinyae.training.step import Step

from . import convolution_tinyae
from .adversaries import CASES, LR


class Contender(convolution_tinyae.Contender):
    @functools.cache  # noqa: B019 (one contender a process)
    def case(self, name):
        return Run(CASES[name], self.team)


class Run:
    def __init__(self, case, team, dropout=True):
        self.case, self.team, self.count = case, team, 0
        model = case.build(dropout)
        self.phases = [
            Step(model, Adam(LR * phase.rate, beta1=phase.momentum), team=team, phase=phase) for phase in model.phases
        ]

    def step(self, x):
        """What each phase minimised."""
        losses = []
        for step in self.phases:
            if self.count % step.phase.every == 0:
                terms = step.gradients({"x": x, "labels": self.case.labels}, Noise(0, self.count))
                step.update()
                losses.append(terms[step.phase.objective])
        self.count += 1
        return losses

    def check(self, *batches):
        """The losses of the first steps on the batches, without dropout, of a run of their own."""
        run = Run(self.case, self.team, dropout=False)
        return [loss for batch in batches for loss in run.step(*batch)]
