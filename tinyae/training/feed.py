"""Mini-batches of examples, as a pure function of the seed, the epoch and the position in it."""

import numpy as np

from ..backend import Noise
from ..data.binarize import dynamic
from ..data.drawn import Drawn


class Feed:
    """Examples on the model's device, and their mini-batches.

    Images in uint8 stay so. `Drawn` examples are rendered for each batch. Epoch e has the permutation that (seed, e)
    gives; its last batch may be smaller. binarize: whether the batches of an epoch are binarized, with noise that
    depends on (seed, step).
    """

    def __init__(self, x, labels, backend, batch_size, seed, binarize=False):
        self.x = x if isinstance(x, Drawn) else backend.asarray(x)
        self.labels = None if labels is None else backend.asarray(labels)
        self.backend, self.batch_size, self.seed, self.count = backend, batch_size, seed, len(x)
        self.binarize = binarize
        self.steps_per_epoch = -(-self.count // batch_size)

    def epoch(self, epoch, start=0):
        """Yield the batches of an epoch, counted from 0, from its step `start` on."""
        order = Noise(self.seed, epoch).permutation(self.count, "order")
        for step in range(start, self.steps_per_epoch):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            batch = self._batch(rows, self.backend.asarray(rows))
            if self.binarize:
                noise = self.backend.noise(self.seed, epoch * self.steps_per_epoch + step)
                batch["x"] = dynamic(batch["x"], noise)
            yield batch

    def in_order(self, size):
        """Yield the examples in order, `size` at a time, for evaluation."""
        for first in range(0, self.count, size):
            rows = slice(first, first + size)
            yield self._batch(rows, rows)

    def evenly_spaced(self, most):
        """One batch of at most `most` examples, evenly spaced."""
        rows = np.arange(0, self.count, -(-self.count // most))
        return self._batch(rows, self.backend.asarray(rows))

    def _batch(self, rows, on_device):
        """The batch with the indices `rows`. on_device: the same indices on the device."""
        drawn = isinstance(self.x, Drawn)
        batch = {"x": self.backend.asarray(self.x[rows]) if drawn else self.x[on_device]}
        return batch if self.labels is None else batch | {"labels": self.labels[on_device]}
