"""Whether the samples of a model are diverse, and whether they are new.

With mode collapse, samples have fewer classes than the data, so the entropy of their classes is lower. If training
images are memorised, samples are nearer to them than test images are. Neither measures how good samples are, and a
blurred image is near to many images (Theis, van den Oord & Bethge 2016, section 3.3).
"""

import numpy as np

from ..backend.operations import nearest_code
from ..data.examples import as_array, as_rows
from ..data.labels import as_labels, check_classes
from ..errors import DataError, ShapeError
from ..options import Count, options

RARE = 0.1  # a class is rare among samples if its share is below this multiple of its share of the data


@options(classes=Count())
def shares(labels, classes):
    """The share of each class among labels (N,): an array (classes,) with the sum 1."""
    labels = as_labels(labels, who="shares")
    check_classes(labels, classes, "shares")
    return np.bincount(labels, minlength=classes) / len(labels)


def entropy(p):
    """The entropy -sum p log p of shares p (classes,), in nats; at most log(classes), for equal shares."""
    p = _as_shares(p)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def hardly_drawn(drawn, data):
    """The classes that are rare among samples, an array of labels. drawn, data: shares (classes,) of both."""
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
        raise DataError("shares must be numbers from 0 to 1, one for each class: divide the counts by their sum")
    return p


def nearest_images(x, among):
    """Find the image of `among` (M, ...) nearest to each image of x (N, ...); both are uint8 or floats.

    Returns (indices (N,), distances (N,)); a distance is the root mean square difference of the values.
    """
    x, among = rows(x), rows(among)
    nearest = nearest_code(x, among)
    return nearest, np.sqrt(((x - among[nearest]) ** 2).mean(axis=1, dtype=np.float64))


def rows(x):
    """Images (N, ...), uint8 or floats, as rows (N, D) of float32."""
    return as_rows(x, "float32")
