"""Batches: what a step sees, as a pure function of (seed, epoch, position)."""

import zlib

import numpy as np

from ..backend import Noise
from ..data import Dataset, Split
from ..data.binarize import dynamic, static
from ..data.drawn import Drawn
from ..data.examples import admit, as_array, bounds, check_dtype
from ..data.labels import as_labels
from ..errors import ConfigError, DataError
from ..wording import flag


def as_split(data, integers=False, who="the data"):
    """(x, labels) of a Dataset's training part, a Split, an array, an (x, labels) pair or a dict with "x", as arrays.

    integers: whether examples may be maps of codes, integers of any kind. who: whose labels they are, in an error.
    """
    if isinstance(data, str):
        raise DataError(f"'{data}' is a name, not data: give tinyae.data.load('{data}')")
    if isinstance(data, Dataset):
        data = data.train
    if isinstance(data, Split):
        x, labels = data.x, data.labels
    elif isinstance(data, dict):
        if "x" not in data or data.keys() - {"x", "labels"}:  # "y" would be labels that are lost without a word
            raise DataError(f"a dict of data has 'x', and 'labels' if there are any, got {', '.join(map(str, data))}")
        x, labels = data["x"], data.get("labels")
    elif isinstance(data, tuple):
        if len(data) != 2:
            raise DataError(f"a tuple of data is (x, labels), got {len(data)} items: give examples in an array")
        x, labels = data
    else:
        x, labels = data, None
    x = as_array(x)
    if x.ndim < 2 or len(x) == 0:
        raise DataError(f"training needs examples of shape (N, ...), got an array of shape {x.shape}")
    bounds(x)
    check_dtype(x, "training", integers)
    labels = as_labels(labels, who=who)
    if labels is not None and len(labels) != len(x):
        raise DataError(f"{len(x)} examples but {len(labels)} labels")
    return x, labels


def admitted(model, data, known=None, standardize=False):
    """`as_split` of data that `model` is trained on or judged by, all of it checked against the model.

    known: what `examples.seen` said of the data that it is trained on, if these are others.
    """
    x, labels = as_split(data, model.integer_input, model.name)
    admit(model, x, known, standardize)
    if model.uses_labels:
        model.check_labels(labels, len(x))
    return x, labels


def fingerprint(x):
    """Shape, dtype and checksum of the examples, by which a resumed run knows its data."""
    checksum = x.checksum() if isinstance(x, Drawn) else zlib.crc32(np.ascontiguousarray(x))
    return f"{x.dtype} {'x'.join(map(str, x.shape))} {checksum:08x}"


def fingerprint_labels(labels):
    """The same of labels, in any form and dtype; None where there are none."""
    return None if labels is None else fingerprint(np.asarray(labels).astype(np.int64))


def with_names(model, data, test):
    """(data, test, the classes' names or None), labels numbered alike in both: as in a model that has learned named
    classes, else as in the data. A model that uses no labels is tested on any classes."""
    names = model.class_names if model.uses_labels else None
    names = names or getattr(data, "class_names", None)
    if names is None:
        return data, test, None
    names = tuple(map(str, names))

    def numbered(part):
        if not isinstance(part, Dataset):
            return part
        others = () if model.uses_labels else (name for name in map(str, part.class_names or ()) if name not in names)
        return part.numbered_as((*names, *others), model.name)

    return numbered(data), numbered(test), names


def hold_out(x, labels, fraction, seed):
    """((x, labels) to train on, (x, labels) held out): a share drawn by the seed; the order is kept on both sides."""
    if not 0 <= fraction < 1:
        raise ConfigError(f"{flag('validation')} must be a share in [0, 1), got {fraction}")
    count = round(fraction * len(x))
    if fraction and not 0 < count < len(x):
        raise ConfigError(f"{flag('validation', fraction)} of {len(x)} examples leaves one side empty")
    if not count:
        return (x, labels), None
    order = Noise(seed).permutation(len(x), "validation")
    parts = [np.sort(order[count:]), np.sort(order[:count])]
    select = x.select if isinstance(x, Drawn) else x.__getitem__
    return tuple((select(rows), None if labels is None else labels[rows]) for rows in parts)


def leave_out(x, labels, without):
    """(x, labels) less the examples of the class `without`."""
    if labels is None:
        raise ConfigError(f"class {without} cannot be left out: the data have no labels")
    kept = np.flatnonzero(labels != without)
    if not 0 < len(kept) < len(labels):
        raise ConfigError(f"class {without} cannot be left out: it has {len(labels) - len(kept)} of {len(x)} examples")
    return (x.select(kept) if isinstance(x, Drawn) else x[kept]), labels[kept]


def parts(x, labels, test, settings, integers=False, validation=None):
    """((x, labels) to train on, {name: (x, labels)} to watch), by a run's settings.

    test, validation: what `as_split` takes, or None; with a validation part no share of x is held out. What is watched
    is binarized once even where training draws anew, so that its loss is always that of one set.
    """
    binarize, without, watched = settings["binarize"], settings["without_class"], {}
    if binarize == "static":
        x = static(x, "train")
    if without is not None:
        x, labels = leave_out(x, labels, without)
    if validation is not None and settings["validation"]:
        raise ConfigError(f"the data have a validation part of their own: leave {flag('validation')} out")
    training, held_out = hold_out(x, labels, settings["validation"], settings["seed"])
    if held_out is not None:
        watched["validation"] = static(held_out[0], "validation") if binarize == "dynamic" else held_out[0], held_out[1]
    for name, part in (("validation", validation), ("test", test)):
        if part is None:
            continue
        x, labels = as_split(part, integers)
        x = x if binarize is None else static(x, name)
        found = without is not None and labels is not None and (labels == without).any()
        watched[name] = leave_out(x, labels, without) if found else (x, labels)
    return training, watched


class Feed:
    """The examples on the model's device, uint8 kept as it is, and their batches; what is `Drawn` is drawn for each.

    The order of epoch e is the permutation of (seed, e); the last batch of an epoch may be short. binarize: whether an
    epoch's batches are binarized, by noise of (seed, step).
    """

    def __init__(self, x, labels, backend, batch_size, seed, binarize=False):
        self.x = x if isinstance(x, Drawn) else backend.asarray(x)
        self.labels = None if labels is None else backend.asarray(labels)
        self.backend, self.batch_size, self.seed, self.count = backend, batch_size, seed, len(x)
        self.binarize = binarize
        self.steps_per_epoch = -(-self.count // batch_size)

    def epoch(self, epoch, start=0):
        """The batches of an epoch (counted from 0), from its step `start` on."""
        order = Noise(self.seed, epoch).permutation(self.count, "order")
        for step in range(start, self.steps_per_epoch):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            batch = self._batch(rows, self.backend.asarray(rows))
            if self.binarize:
                noise = self.backend.noise(self.seed, epoch * self.steps_per_epoch + step)
                batch["x"] = dynamic(batch["x"], noise)
            yield batch

    def in_order(self, size):
        """The examples in order, `size` at a time, for evaluation."""
        for first in range(0, self.count, size):
            rows = slice(first, first + size)
            yield self._batch(rows, rows)

    def spread(self, most):
        """One batch of `most` examples at most, evenly spaced."""
        rows = np.arange(0, self.count, -(-self.count // most))
        return self._batch(rows, self.backend.asarray(rows))

    def _batch(self, rows, on_device):
        """The examples of `rows`, indices on the host, which `on_device` holds on the device."""
        drawn = isinstance(self.x, Drawn)
        batch = {"x": self.backend.asarray(self.x[rows]) if drawn else self.x[on_device]}
        return batch if self.labels is None else batch | {"labels": self.labels[on_device]}
