"""What models share whose networks work against each other: phases, and what goes wrong in them."""

import numpy as np

from .base import Model

WON = 0.98  # of the examples told right over an epoch: from there on a discriminator teaches nothing
NARROW = 0.1  # of the data's spread: below, what is drawn is nearly always the same


class Adversary(Model):
    """A subclass gives `phases`, and each phase's step writes its forward and its backward out. What a phase does not
    train is frozen: it passes gradients on, and has none in `grads`.

    The term "accuracy" is the share of real and drawn examples that the discriminator tells apart, and "loss" that of
    the phase which trains what makes images.
    """

    generative = True
    last_is_best = True  # each side's loss says how good the other one is

    def step(self, batch, rng, grads=None, train=True, batch_size=None):
        """The terms of all phases at the present parameters; for evaluation, without gradients."""
        terms, caches = {}, {}
        for phase in self.phases:
            found, kept = phase.step(batch, rng.child(phase.name), None, train, batch_size)
            terms, caches = terms | found, caches | kept
        return terms, caches

    def report(self, batch):
        """`spread`: of drawn images beside that of the batch, 1 if they are as different from one another."""
        x = self.backend.to_host(self.prepare(batch)["x"])
        drawn = self.sample(min(len(x), 64), seed=1)
        return {"spread": spread(drawn) / max(spread(x[:64]), 1e-12)}

    def alarms(self, record):
        found, told = [], record["train"].get("accuracy", 0)
        if told > WON:
            found.append(
                f"epoch {record['epoch']}: the discriminator tells {told:.1%} right, so the other side learns little "
                "from it. A lower lr of its own, dropout or smoothing may help"
            )
        if record.get("spread", 1) < NARROW:
            found.append(
                f"epoch {record['epoch']}: the samples collapsed, their spread is {record['spread']:.2f} of the data's"
            )
        return found


def spread(x):
    """Root mean squared deviation of examples (N, ...) from their mean example."""
    return float(np.sqrt(np.mean((x - x.mean(axis=0)) ** 2)))
