"""Batches: what a step sees, as a pure function of (seed, epoch, position)."""

import numpy as np

from ..backend import Noise
from ..data.binarize import dynamic
from ..data.drawn import Drawn


class Feed:
    """The examples on the model's device, uint8 kept as it is, and their batches; what is `Drawn` is drawn for each.

    The order of epoch e is the permutation of (seed, e); the last batch of an epoch may be short. binarize: whether an
    epoch's batches are binarized, by noise of (seed, step).
    """

    def __init__(self, x, labels, backend, batch_size, seed, binarize=False):
        self.x = x if isinstance(x, Drawn) else backend.asarray(x)
        self.labels = None if labels is None else backend.asarray(labels)
        self.backend, self.batch_size, self.seed, self.count = backend, batch_size, seed, len(x)
        self.binarize = binarize
        self.steps_per_epoch = -(-self.count // batch_size)

    def epoch(self, epoch, start=0):
        """The batches of an epoch (counted from 0), from its step `start` on."""
        order = Noise(self.seed, epoch).permutation(self.count, "order")
        for step in range(start, self.steps_per_epoch):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            batch = self._batch(rows, self.backend.asarray(rows))
            if self.binarize:
                noise = self.backend.noise(self.seed, epoch * self.steps_per_epoch + step)
                batch["x"] = dynamic(batch["x"], noise)
            yield batch

    def in_order(self, size):
        """The examples in order, `size` at a time, for evaluation."""
        for first in range(0, self.count, size):
            rows = slice(first, first + size)
            yield self._batch(rows, rows)

    def evenly_spaced(self, most):
        """One batch of `most` examples at most, evenly spaced."""
        rows = np.arange(0, self.count, -(-self.count // most))
        return self._batch(rows, self.backend.asarray(rows))

    def _batch(self, rows, on_device):
        """The examples of `rows`, indices on the host, which `on_device` holds on the device."""
        drawn = isinstance(self.x, Drawn)
        batch = {"x": self.backend.asarray(self.x[rows]) if drawn else self.x[on_device]}
        return batch if self.labels is None else batch | {"labels": self.labels[on_device]}
