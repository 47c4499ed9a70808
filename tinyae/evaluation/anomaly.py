"""Anomaly detection: a score per image, and how well scores tell two kinds of images apart."""

import numpy as np

from ..data.examples import as_array
from ..errors import DataError, ShapeError
from ..options import MODEL, SEED, Count, options
from .likelihood import importance_weighted
from .quality import errors


def roc_auc(scores, positive):
    """The area under the ROC curve: the chance that a positive example scores higher than a negative one, ties half.

    scores (N,), positive (N,) booleans. Computed as Mann and Whitney's U from the ranks of the scores (equal scores
    share their mean rank):   (sum of the positives' ranks - P (P + 1) / 2) / (P Q), P positives and Q negatives.
    """
    scores = np.asarray(as_array(scores, "scores"), np.float64)
    positive = np.asarray(as_array(positive, "positive"), bool)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ShapeError(f"ROC-AUC: expected scores (N,) and positive (N,), got {scores.shape} and {positive.shape}")
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        raise DataError(f"ROC-AUC needs examples of both kinds, got {positives} positive and {negatives} negative")
    if np.isnan(scores).any():
        raise DataError("ROC-AUC: some scores are NaN")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the highest rank, from 1, of each distinct score
    ranks = (last - (counts - 1) / 2)[inverse]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


@options(model=MODEL, samples=Count(1, None), seed=SEED)
def scores(model, x, labels=None, samples=10, seed=0):
    """{"elbo": (N,), "error": (N,)}: the higher, the more an image looks like nothing the model was trained on.

    elbo: the negative evidence lower bound in nats, from `samples` draws of q(z|x); models without a likelihood have
    none. error: the squared error of the reconstruction.
    """
    found = {"error": errors(model, x, labels)}
    if model.density:
        found["elbo"] = -importance_weighted(model, x, samples, labels, seed).elbo
    return found
