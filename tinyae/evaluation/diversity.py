"""Whether what a model draws is of many kinds, and new.

A generator that collapsed draws few kinds: beside the data's, the histogram of its samples' classes is narrow. One that
knows its training images by heart draws those: samples are nearer to them than images that it never saw. Neither says
that samples are good, and smooth ones are near to many images (Theis, van den Oord & Bethge 2016, section 3.3).
"""

import numpy as np

from ..backend.codes import nearest_code
from ..data.examples import as_array, as_rows
from ..data.labels import as_labels, check_classes

RARE = 0.1  # of the data's share of a class: a class that is hardly drawn


def shares(labels, classes):
    """The share of each class among labels (N,): (classes,), which sums to 1."""
    labels = as_labels(labels, who="shares")
    check_classes(labels, classes, "shares")
    return np.bincount(labels, minlength=classes) / len(labels)


def entropy(p):
    """-sum p log p in nats, at most log(classes): exp(entropy) is how many classes equally often would have as much."""
    p = np.asarray(as_array(p, "shares"), np.float64)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def hardly_drawn(drawn, data):
    """The classes whose share of what is drawn is below RARE of that of the data, both (classes,)."""
    return np.flatnonzero(as_array(drawn, "shares") < RARE * as_array(data, "shares"))


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
