"""Checks arrays that come from a user's files, and holds out a test split where the data have none."""

import math

import numpy as np

from tinyae.wording import number

from ..backend import memory
from .dataset import Split
from .files import problem

BLOCK = 1 << 16  # rows checked at a time
# Numbers that often stand for a missing value: sentinels in measurements, and NumPy's fill value of masked arrays.
MARKERS = {-99.0, -999.0, -9999.0, -99999.0, 9999.0, 99999.0, 999999.0, 1e20, float(np.float32(1e20))}
DIGITS = 1e-5  # rounding errors below this fraction of a column's standard deviation do no harm
MAX_CLASSES = 65_536  # one-hot rows and embeddings are sized by the largest label, so an absurd label must be refused


def check_header(dtype, shape, limit, where):
    """Check an array's header before its data are read, and return the array's size in bytes.

    limit: the largest number of bytes that the file can deliver. Raises `DataError` for Python objects (unpickling can
    run code), for other dtypes that are not plain numbers, and for a shape that the file cannot hold.
    """
    if dtype.hasobject:
        raise problem(where, "holds Python objects, which tinyae never unpickles: save plain numbers")
    if dtype.kind not in "biuf":
        raise problem(where, f"has dtype {dtype}, not plain numbers: save uint8 or float32")
    if any(size < 0 for size in shape):
        raise problem(where, f"has a negative size in its shape {shape}: the file is corrupted, copy it again")
    count = math.prod(shape) * dtype.itemsize
    if count > limit:
        raise problem(where, f"promises {count:,} bytes but can hold at most {limit:,}: it is cut short or corrupted")
    if count > memory.physical():
        raise problem(where, f"takes {count:,} bytes, more than this machine's memory: use fewer or smaller examples")
    return count


def check_examples(x, where):
    """Check examples and convert them to the form that `Split` documents: uint8 or floats, images with a channel axis.

    x: `(N, D)`, `(N, H, W)` or `(N, H, W, C)`. Booleans become 0 and 255. Other integers must lie in 0..255, float
    images in [0, 1]. Every float must be finite. Floats become float32, but rows in float64 stay float64 if float32
    would round away the differences between their values. Raises `DataError`.
    """
    if x.ndim not in (2, 3, 4):
        raise problem(where, f"has shape {x.shape}: give (N, H, W, C) or (N, H, W) images, or (N, D) rows")
    if x.size == 0:
        raise problem(where, f"holds no values, its shape is {x.shape}: give at least one example")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] > 4:
        raise problem(where, f"has shape {x.shape}, channels first: give (N, H, W, C), x.transpose(0, 2, 3, 1)")
    x = _check_floats(x, where) if x.dtype.kind == "f" else _check_integers(x, where)
    return x[..., None] if x.ndim == 3 else x


def _check_integers(x, where):
    if x.dtype.kind == "b":
        return x.astype(np.uint8) * 255
    low, high = int(x.min()), int(x.max())
    if low < 0 or high > 255:
        raise problem(where, f"has integers from {low} to {high}, pixels need 0..255: rescale them, or save float32")
    if (low, high) == (0, 1):  # as pixels in 0..255 these would all be black
        raise problem(where, "has only the integers 0 and 1, pixels need 0..255: multiply by 255, or save booleans")
    return x.astype(np.uint8, copy=False)


def _check_floats(x, where):
    wrong = ~np.isfinite(x)
    count = np.count_nonzero(wrong)
    if count:
        first = tuple(int(i) for i in np.unravel_index(wrong.argmax(), x.shape))
        raise problem(where, f"has {count:,} NaN or infinite values, the first at index {first}: replace them")
    low, high = float(x.min()), float(x.max())
    if x.ndim > 2 and (low < 0 or high > 1):
        advice = "divide by 255" if low >= 0 and 1 < high <= 255 else "use (x - x.min()) / (x.max() - x.min())"
        span = f"has values from {number(x.min())} to {number(x.max())}"
        raise problem(where, f"{span}, float images need [0, 1]: {advice}")
    if max(-low, high) > float(np.finfo(np.float32).max):
        raise problem(where, f"has values from {low:g} to {high:g}, beyond float32: rescale them")
    return x.astype(np.float64 if x.ndim == 2 and _needs_float64(x) else np.float32, copy=False)


def _needs_float64(x):
    """Whether rounding to float32 would move the values of a column by more than DIGITS of its standard deviation.

    It does so for times in seconds since 1970, or for coordinates within one town; standardising would magnify the
    error.
    """
    if x.dtype.itemsize <= 4:
        return False
    mean, lost, squares = x.mean(axis=0, dtype=np.float64), 0.0, 0.0
    for start in range(0, len(x), BLOCK):
        rows = x[start : start + BLOCK].astype(np.float64)
        lost = np.maximum(lost, np.abs(rows - rows.astype(np.float32)).max(axis=0))
        squares = squares + ((rows - mean) ** 2).sum(axis=0)
    spread = np.sqrt(squares / len(x))
    constant = spread <= 1e-12 * np.abs(mean)
    return bool((~constant & (lost > DIGITS * spread)).any())


def marked_as_missing(x, describe="column {}".format):
    """Notes on columns of rows (N, D) that seem to mark missing values by a number.

    Such a number is in MARKERS, is the least or the largest of its column, and lies far from all others.
    describe: a function that returns the name of a column by its index.
    """
    notes = []
    if x.ndim != 2 or x.dtype.kind != "f":
        return notes
    for i, ends in enumerate(zip(x.min(axis=0), x.max(axis=0), strict=True)):
        for value in set(ends) & MARKERS:
            others = x[x[:, i] != value, i]
            if len(others) and np.abs(others - value).min() > np.ptp(others):
                rows = f"{len(x) - len(others):,} of {len(x):,} rows"
                notes.append(f"{describe(i)} is {value:g} in {rows}: replace it if it stands for a missing value")
    return notes


def same_digits(parts):
    """Convert the rows of all splits to float64 if one of them needs it (see `check_examples`)."""
    kinds = {part.x.dtype.str[1:] for part in parts}
    if kinds == {"f4", "f8"}:
        for part in parts:
            part.x = part.x.astype(np.float64)


def check_labels(labels, count, where, classes=None):
    """Check integer labels `(N,)` of `count` examples and return them as int64. Raises `DataError`.

    classes: the labels must lie in 0..classes-1 (default: `MAX_CLASSES`).
    """
    classes = classes or MAX_CLASSES
    if labels.ndim != 1:
        raise problem(where, f"has labels of shape {labels.shape}: give one integer per example, shape (N,)")
    if len(labels) != count:
        raise problem(where, f"has {len(labels):,} labels for {count:,} examples: give one per example")
    if labels.dtype.kind not in "iu":
        raise problem(where, f"has labels of dtype {labels.dtype}: give integers, classes counted from 0")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise problem(where, f"has labels from {low} to {high}, outside 0..{classes - 1}: count classes from 0")
    return labels.astype(np.int64, copy=False)


def holdout(x, labels=None, factors=None):
    """Split examples 90/10 into (train, test). The test split is None if there are fewer than ten examples.

    Every machine and every version of NumPy holds out the same tenth. Raw Philox bits, equal everywhere, give each
    index a random number, and the N // 10 indices with the smallest numbers form the test split. Both splits keep the
    given order (`Split.rows`).
    """
    count = len(x)
    rank = np.argsort(np.random.Philox(key=0).random_raw(count), kind="stable")
    test, train = np.sort(rank[: count // 10]), np.sort(rank[count // 10 :])
    parts = []
    for rows in (train, test) if len(test) else (train,):
        parts.append(Split(*(None if a is None else a[rows] for a in (x, labels, factors))))
        parts[-1].rows = rows
    return tuple(parts) if len(parts) == 2 else (parts[0], None)
