"""Anomaly detection: anomaly scores of images, and the area under the ROC curve of such scores."""

import numpy as np

from ..data.examples import as_array
from ..errors import DataError, ShapeError
from ..options import MODEL, SEED, Count, options
from .likelihood import importance_weighted
from .quality import errors


def roc_auc(scores, positive):
    """The area under the ROC curve.

    It is the probability that a positive example has a higher score than a negative one, where ties count one half. It
    is computed as Mann and Whitney's U from the ranks of the scores (equal scores share their mean rank):

        (sum of the positives' ranks - P (P + 1) / 2) / (P Q),     P positives and Q negatives

    Parameters
    ----------
    scores : (N,) array
        The score of each example.
    positive : (N,) array of bool
        Whether an example is positive.

    Returns
    -------
    auc : float
        From 0 to 1; 0.5 for scores without any information.

    Raises
    ------
    ShapeError
        If the shapes differ.
    DataError
        If all examples are positive or all are negative, or a score is NaN.

    Example
    -------
    >>> roc_auc([1, 2, 3, 4], [False, True, False, True])
    0.75
    """
    scores = np.asarray(as_array(scores, "scores"), np.float64)
    positive = np.asarray(as_array(positive, "positive"), bool)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ShapeError(f"ROC-AUC: expected scores (N,) and positive (N,), got {scores.shape} and {positive.shape}")
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        raise DataError(f"ROC-AUC needs positive and negative examples, got {positives} positive, {negatives} negative")
    if np.isnan(scores).any():
        raise DataError("ROC-AUC: some scores are NaN")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # highest rank, counted from 1, of each distinct score
    ranks = (last - (counts - 1) / 2)[inverse]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


@options(model=MODEL, samples=Count(1, None), seed=SEED)
def scores(model, x, labels=None, samples=10, seed=0):
    """Anomaly scores of images: a higher score means that an image is less like the training images.

    Parameters
    ----------
    model : Model
        A trained model.
    x : (N, ...) array
        Images or rows.
    labels : (N,) array, optional
        Their labels, for a model that takes labels.
    samples : int, default 10
        The number of samples of q(z|x) for each image.
    seed : int, default 0
        Seed of the noise.

    Returns
    -------
    scores : dict
        "error", (N,): the squared error of the reconstruction, summed over an image. "elbo", (N,) nats, for models with
        a likelihood: the negative evidence lower bound.
    """
    found = {"error": errors(model, x, labels)}
    if model.density:
        found["elbo"] = -importance_weighted(model, x, samples, labels, seed).elbo
    return found
