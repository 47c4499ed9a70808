"""The rules that arrays from outside must meet, and the split for data that come without a test part."""

import math

import numpy as np

from tinyae.wording import number

from ..backend import memory
from .dataset import Split
from .files import problem

BLOCK = 1 << 16  # rows looked at together
# What often stands for a missing value: in measurements, and as what NumPy fills masked arrays with.
MARKERS = {-99.0, -999.0, -9999.0, -99999.0, 9999.0, 99999.0, 999999.0, 1e20, float(np.float32(1e20))}
DIGITS = 1e-5  # of a column's standard deviation, lost in rounding without harm
MAX_CLASSES = 65_536  # one-hot rows and embeddings are sized by the largest label, so a wild one must not pass


def check_header(dtype, shape, limit, where):
    """Refuse an array by its header alone, before its data are read; returns its size in bytes.

    `limit`: the most bytes that the file can deliver. Raises `DataError` for objects (they need pickle, which can run
    code), for what is not a plain number, and for a shape that the file cannot hold.
    """
    if dtype.hasobject:
        raise problem(where, "holds Python objects, which tinyae never unpickles: save plain numbers")
    if dtype.kind not in "biuf":
        raise problem(where, f"has dtype {dtype}, not plain numbers: save uint8 or float32")
    if any(size < 0 for size in shape):
        raise problem(where, f"has a negative size in its shape {shape}: the file is damaged")
    count = math.prod(shape) * dtype.itemsize
    if count > limit:
        raise problem(where, f"promises {count:,} bytes but can hold at most {limit:,}: it is cut short or damaged")
    if count > memory.physical():
        raise problem(where, f"takes {count:,} bytes, more than there is memory: use fewer or smaller examples")
    return count


def check_examples(x, where):
    """Check examples and bring them to the form that `Split` documents: uint8 or floats, images with a channel axis.

    x: `(N, D)`, `(N, H, W)` or `(N, H, W, C)`. Booleans become 0 and 255; other integers must lie in 0..255; float
    images must lie in [0, 1]; every float must be finite. Floats become float32; rows in float64 stay so where float32
    would lose digits that tell their values apart. Raises `DataError`.
    """
    if x.ndim not in (2, 3, 4):
        raise problem(where, f"has shape {x.shape}: give (N, H, W, C) or (N, H, W) images, or (N, D) rows")
    if x.size == 0:
        raise problem(where, f"holds nothing, its shape is {x.shape}: give at least one example")
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
    if (low, high) == (0, 1):  # as pixels these would all be black
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
    """Whether rounding rows to float32 would move some column's values by more than DIGITS of its standard deviation,
    as it does to times in seconds since 1970 or to coordinates of one town. Standardised later, that is what shows."""
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
    """Notes on the columns of rows (N, D) whose least or largest value is one that often stands for a missing one, far
    from all others. describe: a function of a column's index that names it."""
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
    """Bring the rows of all parts to float64 where one of them needs it (see `check_examples`)."""
    kinds = {part.x.dtype.str[1:] for part in parts}
    if kinds == {"f4", "f8"}:
        for part in parts:
            part.x = part.x.astype(np.float64)


def check_labels(labels, count, where, classes=None):
    """Check `(N,)` integer labels for `count` examples and return them as int64. Raises `DataError`.

    classes: labels must lie in 0..classes-1 (default: `MAX_CLASSES`).
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
    """Split examples 90/10 into (train, test); test is None below ten examples.

    The same tenth on every machine and NumPy: Philox's raw bits, the same everywhere, give each index a number; the
    N // 10 indices with the smallest numbers are the test part, and both parts keep the given order (`Split.rows`).
    """
    count = len(x)
    rank = np.argsort(np.random.Philox(key=0).random_raw(count), kind="stable")
    test, train = np.sort(rank[: count // 10]), np.sort(rank[count // 10 :])
    parts = []
    for rows in (train, test) if len(test) else (train,):
        parts.append(Split(*(None if a is None else a[rows] for a in (x, labels, factors))))
        parts[-1].rows = rows
    return tuple(parts) if len(parts) == 2 else (parts[0], None)
