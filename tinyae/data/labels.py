"""Converts labels of any form to integers (N,), one for each example by position, and checks them."""

import numpy as np

from ..backend import on_device
from ..errors import DataError, ShapeError
from .examples import as_array
from .files import problem


def as_labels(labels, count=None, who="the data"):
    """Convert labels to int64 (N,), by position. None and an array on a device are returned unchanged.

    labels: one integer or boolean for each of `count` examples, in any form that `as_array` takes. Raises `DataError`
    and `ShapeError`.
    """
    if labels is None or on_device(labels):
        return labels
    labels = as_array(labels, "labels", "number the classes: names, labels = numpy.unique(labels, return_inverse=True)")
    if labels.ndim != 1 or (count is not None and len(labels) != count):
        wanted = "one label for each example" if count is None else f"a label for each of {count} examples"
        raise ShapeError(f"{who}: expected {wanted}, got shape {labels.shape}")
    if labels.dtype.kind not in "biu":
        raise DataError(f"{who}: labels are integers that number the classes from 0, got {labels.dtype}")
    found = labels.astype(np.int64, copy=False)
    if labels.dtype.kind == "u" and (found < 0).any():
        raise DataError(f"{who}: labels number the classes from 0, got {labels.max()}")
    return found


def as_factors(factors, count, where="the split"):
    """Convert the factors that generated each of `count` examples to an array of integers (N, K). None stays None.

    where: the owner of the factors in the message of the `DataError`.
    """
    if factors is None:
        return None
    factors = as_array(factors, "factors")
    if factors.ndim != 2 or len(factors) != count or not factors.size or factors.dtype.kind not in "iu":
        given = f"{factors.dtype} {factors.shape}"
        raise problem(where, f"has factors {given}: give integers (N, K), a row for each of {count:,} examples")
    return factors


def one_for_all(labels, count):
    """Repeat a single label `count` times; other labels are returned unchanged."""
    single = getattr(labels, "ndim", 0 if np.isscalar(labels) else 1) == 0
    return np.full(count, labels) if single else labels


def check_classes(labels, classes, who, least=0):
    """Raise `DataError` unless all labels (N,) are classes from `least` (0, or -1 for unknown) to `classes` - 1."""
    if labels is None:
        raise DataError(f"{who} needs labels, and there are none: give labelled data")
    if labels.size and not least <= labels.min() <= labels.max() < classes:
        unknown = ", or -1 if unknown" if least else ""
        raise DataError(
            f"{who} has {classes} classes, so labels are 0 to {classes - 1}{unknown}, got {labels.min()} to "
            f"{labels.max()}: use labels of that range, or train with another number of classes"
        )


def check_numbered(labels, who):
    """Raise `DataError` if the labels (N,) leave out most of the integers up to the largest label."""
    found = np.unique(labels[labels >= 0])
    if len(found) and found[-1] + 1 > 2 * len(found):
        raise DataError(
            f"{who}: the labels {_some(found)} are {len(found)} of {found[-1] + 1} classes, and the others have no "
            "examples: number the classes from 0, by names, labels = numpy.unique(labels, return_inverse=True)"
        )


def without_examples(labels, classes):
    """A list with one line about the classes, 0 to `classes` - 1, that have no label in `labels` (N,); else []."""
    missing = np.setdiff1d(np.arange(classes), labels)
    what = f"class{'es' * (len(missing) > 1)} {_some(missing)} of 0 to {classes - 1}"
    return [f"there are no examples of {what}: what is sampled of them means nothing"] if len(missing) else []


def _some(numbers):
    return ", ".join(map(str, numbers[:5])) + ", ..." * (len(numbers) > 5)
