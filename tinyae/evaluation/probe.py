"""The linear probe: how much of the label a linear classifier reads off the codes."""

import numpy as np

from ..errors import DataError, ShapeError
from ..layers import Dense
from ..losses import cross_entropy_with_logits
from ..optim import Adam, cosine
from ..params import ParamStore

STEPS, RATE, DECAY = 300, 0.3, 1e-4


class LinearProbe:
    """Multinomial logistic regression   p(class | z) = softmax(z W + b),   z the codes scaled to mean 0, variance 1.

    `fit` minimises the mean cross-entropy plus DECAY / 2 |W|^2, which is convex, by STEPS full-batch steps of Adam from
    W = 0: nothing is drawn, and the result is that of the codes alone.
    """

    def __init__(self, classes):
        self.classes = classes

    def fit(self, codes, labels):
        """codes (N, D), labels integers (N,) in [0, classes). Returns self."""
        z, labels = self._prepare(codes, labels)
        self.layer = Dense(self.classes)
        store = ParamStore(self.layer.param_shapes(z.shape[1:]), dtype="float64")
        self.params, grads = store.tree, store.like()
        optimizer = Adam(cosine(RATE, STEPS))
        for _ in range(STEPS):
            grads.flat.fill(0)
            logits, cache = self.layer.forward(self.params, z)
            _, dlogits = cross_entropy_with_logits(logits, labels)
            self.layer.add_grads(self.params, cache, dlogits, grads.tree)
            grads.tree["weight"] += DECAY * self.params["weight"]
            optimizer.step(store, grads)
        return self

    def logits(self, codes):
        """log p(class | z) up to a constant per row: (N, D) -> (N, classes)."""
        return self.layer.forward(self.params, self._scaled(np.asarray(codes, np.float64)))[0]

    def predict(self, codes):
        """The most probable class of each code: (N, D) -> (N,)."""
        return self.logits(codes).argmax(axis=1)

    def score(self, codes, labels):
        """The share of codes whose class is predicted right."""
        return float((self.predict(codes) == labels).mean())

    def _prepare(self, codes, labels):
        """The codes scaled, and the labels, as arrays; refuses those that nothing can be learned from."""
        codes, labels = np.asarray(codes, np.float64), np.asarray(labels)
        if codes.ndim != 2 or labels.shape != codes.shape[:1]:
            raise ShapeError(f"a probe needs codes (N, D) and labels (N,), got {codes.shape} and {labels.shape}")
        if len(np.unique(labels)) < 2:
            raise DataError("a probe needs examples of two classes or more")
        self.mean, deviation = codes.mean(axis=0), codes.std(axis=0)
        self.scale = 1 / np.where(deviation > 0, deviation, 1)  # a dimension that never changes says nothing
        return self._scaled(codes), labels

    def _scaled(self, codes):
        return (codes - self.mean) * self.scale
