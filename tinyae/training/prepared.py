"""The data of a run, prepared for the training loop: checked, split, binarized and identified by fingerprints."""

import zlib

import numpy as np

from ..backend import Noise
from ..data import Dataset, Split
from ..data.binarize import check_pixels, static
from ..data.drawn import Drawn
from ..data.examples import admit, as_array, bounds, check_dtype, seen
from ..data.labels import as_labels, check_numbered, without_examples
from ..errors import ConfigError, DataError, ShapeError
from ..wording import flag
from .feed import Feed


class Prepared:
    """The data of one run, made once from a model, the data and the options of `fit` that concern data.

    All examples are checked against the model, which is not changed. Raises `DataError`, `ShapeError` and
    `ConfigError`.

    Parameters
    ----------
    model, data, test, batch_size, validation, standardize, binarize, without_class, seed: as `fit` takes them.

    Attributes
    ----------
    training: the `Feed` of the examples that the model is trained on.
    watched: {"validation" or "test": `Feed`} of the examples whose loss is reported after each epoch.
    class_names: tuple of the classes' names by label, or None. notes: list of lines for the user about these data.
    seen: what `examples.seen` says of the values, or None. origin: what `data.load` was called with, or None.
    standardization: the `Standardization` of the training examples' columns, or None.
    settings: {name: value} that a run keeps of its data, and that must be equal where the run is resumed.
    fingerprints: {name: [of examples, of labels]} of what is watched, which must be equal too.
    """

    def __init__(
        self, model, data, test=None, *, batch_size=128, validation=0.0, standardize=False, binarize=None,
        without_class=None, seed=0,
    ):  # fmt: skip
        if test is None and isinstance(data, Dataset):
            test = data.test
        data, test, self.class_names = with_names(model, data, test)
        dataset = data if isinstance(data, Dataset) else None
        own = None if dataset is None else dataset.validation
        if isinstance(without_class, str):
            if dataset is None:
                raise ConfigError(f"{flag('without_class')}: these data have no names of classes, give a number")
            without_class = dataset.find_class(without_class)
        x, labels = admitted(model, data, standardize=standardize)
        self.origin = getattr(dataset, "origin", None)
        self.notes = [] if dataset is None else list(dataset.notes)
        if model.labels:
            if self.class_names is None:
                check_numbered(labels, model.name)
            self.notes += without_examples(labels, model.classes)
        self.seen = None if model.input.integers else seen(x)
        judged = self._admit_watched(model, {"test": test, "validation": own}, standardize, named=dataset is not None)
        if binarize is not None:
            for examples in (x, *judged):
                check_pixels(binarize, examples)

        self.settings = dict(
            validation=validation, binarize=binarize, without_class=without_class, seed=seed, data=fingerprint(x),
            labels=fingerprint_labels(labels), class_names=self.class_names,
        )  # fmt: skip
        if standardize:
            self.settings["standardize"] = True
        training, watched = parts(x, labels, test, self.settings, model.input.integers, own)
        self.fingerprints = {name: [fingerprint(x), fingerprint_labels(y)] for name, (x, y) in watched.items()}
        self.standardization = _standardization(model, training[0]) if standardize else None
        self.training = Feed(*training, model.backend, batch_size, seed, binarize == "dynamic")
        self.watched = {name: Feed(*part, model.backend, batch_size, seed) for name, part in watched.items()}

    def _admit_watched(self, model, given, standardize, named):
        """[x (N, ...)] of {name: data or None}, each checked; `named`: whether an error names the part."""
        found = []
        for name, part in given.items():
            if part is None:
                continue
            try:
                found.append(admitted(model, part, self.seen, standardize)[0])
            except (DataError, ShapeError, ConfigError) as error:
                if not named:  # the caller knows which array that is
                    raise
                raise type(error)(f"the {name} part: {error}") from None
        return found


def _standardization(model, x):
    """The `Standardization` that `model.standardize(x)` learns; the model stays as it is until the run begins."""
    before = model.standardization
    model.standardize(x)
    found, model.standardization = model.standardization, before
    return found


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
    x, labels = as_split(data, model.input.integers, model.name)
    admit(model, x, known, standardize)
    if model.labels:
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
    names = model.class_names if model.labels else None
    names = names or getattr(data, "class_names", None)
    if names is None:
        return data, test, None
    names = tuple(map(str, names))

    def numbered(part):
        if not isinstance(part, Dataset):
            return part
        others = () if model.labels else (name for name in map(str, part.class_names or ()) if name not in names)
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
