"""The dense probe: a small network that classifies codes, for classes that a linear classifier cannot separate."""

import numpy as np

from ..backend import Noise
from ..data.examples import as_points
from ..layers import Dense, Sequential, Tanh
from ..losses import cross_entropy_with_logits
from ..optim import Adam, cosine
from ..options import SEED, options
from ..params import ParamStore
from ..training.workers import workers
from .probe import LinearProbe

UNITS, STEPS, BATCH, RATE = 64, 1000, 512, 0.01


class DenseProbe(LinearProbe):
    """A classifier of codes like `LinearProbe`, with two hidden layers.

        p(class | z) = softmax(W3 tanh(W2 tanh(W1 z + b1) + b2) + b3)

    `fit` minimises the mean cross-entropy of N codes plus |W|^2 / 2N, which is a prior N(0, 1) on all parameters W;
    without it, a few hundred codes are memorised. It takes STEPS steps of Adam on mini-batches of BATCH codes, with a
    learning rate that falls from RATE to 0 along a cosine.

    Parameters
    ----------
    classes : int
        The number of classes.
    seed : int, default 0
        Seed of the initial weights and the mini-batches.
    """

    @options(seed=SEED)
    def __init__(self, classes, seed=0):
        super().__init__(classes)
        self.seed = seed
        self.layer = Sequential(Dense(UNITS), Tanh(), Dense(UNITS), Tanh(), Dense(self.classes))

    def fit(self, codes, labels):
        """Fit codes (N, D) to labels, integers (N,) in [0, classes); returns self."""
        z, labels = self._prepare(codes, labels)
        z, shape = z.astype(np.float32), z.shape[1:]
        store = ParamStore(self.layer.param_shapes(shape))
        store.fill(self.layer.init(shape, Noise(self.seed).child("init")))
        self.params, grads = store.tree, store.like()
        optimizer = Adam(cosine(RATE, STEPS))
        with workers():  # BLAS threads slow such small products down, most of all on busy cores
            for step in range(STEPS):
                rows = (Noise(self.seed, step).uniform("rows", (BATCH,), "float64") * len(z)).astype(np.int64)
                np.divide(store.flat, len(z), out=grads.flat)
                logits, cache = self.layer.forward(self.params, z[rows])
                _, dlogits = cross_entropy_with_logits(logits, labels[rows])
                self.layer.add_grads(self.params, cache, dlogits, grads.tree)
                optimizer.step(store, grads)
        return self

    def logits(self, codes):
        """The logits of the classes: (N, D) -> (N, classes)."""
        z = self._scaled(as_points(codes, "the codes"))
        return self.layer.forward(self.params, z)[0]

    def probabilities(self, codes):
        """p(class | z): (N, D) -> (N, classes)."""
        logits = self.logits(codes)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)
