"""Whether what a model draws is of many kinds, and new.

A generator that collapsed draws few kinds: beside the data's, the histogram of its samples' classes is narrow. One that
knows its training images by heart draws those: samples are nearer to them than images that it never saw. Neither says
that samples are good, and smooth ones are near to many images (Theis, van den Oord & Bethge 2016, section 3.3).
"""

import numpy as np

from ..backend.operations import nearest_code
from ..data.examples import as_array, as_rows
from ..data.labels import as_labels, check_classes
from ..errors import DataError, ShapeError
from ..options import Count, options

RARE = 0.1  # of the data's share of a class: a class that is hardly drawn


@options(classes=Count())
def shares(labels, classes):
    """The share of each class among labels (N,): (classes,), which sums to 1."""
    labels = as_labels(labels, who="shares")
    check_classes(labels, classes, "shares")
    return np.bincount(labels, minlength=classes) / len(labels)


def entropy(p):
    """-sum p log p in nats, at most log(classes): exp(entropy) is how many classes equally often would have as much."""
    p = _as_shares(p)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def hardly_drawn(drawn, data):
    """The classes whose share of what is drawn is below RARE of that of the data, both (classes,)."""
    drawn, data = _as_shares(drawn), _as_shares(data)
    if drawn.shape != data.shape:
        raise ShapeError(f"hardly_drawn: expected two arrays of shares (classes,), got {drawn.shape} and {data.shape}")
    return np.flatnonzero(drawn < RARE * data)


def _as_shares(p):
    """Shares of classes as an array (classes,) of float64. Raises `DataError` and `ShapeError`."""
    p = np.asarray(as_array(p, "shares"), np.float64)
    if p.ndim != 1 or not p.size:
        raise ShapeError(f"shares: expected one for each class, (classes,), got {p.shape}")
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("shares are numbers from 0 to 1, one for each class: divide the counts by their sum")
    return p


def nearest_images(x, among):
    """The image of `among` (M, ...) nearest to each of x (N, ...), uint8 or floats: (its index, distance), (N,) each.

    The distance is the root of the mean squared difference of a value.
    """
    x, among = rows(x), rows(among)
    nearest = nearest_code(x, among)
    return nearest, np.sqrt(((x - among[nearest]) ** 2).mean(axis=1, dtype=np.float64))


def rows(x):
    """Images (N, ...), uint8 or floats, as rows (N, D) of float32."""
    return as_rows(x, "float32")
