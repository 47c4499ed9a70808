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
    """The data of one run, prepared once by the options of `fit` that concern data.

    All examples are checked against the model, which is not changed. The attributes are

    training        the `Feed` of the training examples
    watched         {"validation" or "test": `Feed`} of the examples whose loss is reported after each epoch
    class_names     the names of the classes by label, a tuple, or None
    notes           messages for the user about these data, a list
    seen            the kind of values that `examples.seen` found, or None
    origin          the arguments that `data.load` was called with, or None
    standardization the `Standardization` of the training examples' columns, or None
    settings        {name: value} of the data, stored with a run; a resumed run needs equal ones
    fingerprints    {name: [of the examples, of the labels]} of watched data; a resumed run needs equal ones

    Parameters
    ----------
    model, data, test, batch_size, validation, standardize, binarize, without_class, seed
        See `fit`.

    Raises
    ------
    DataError, ShapeError, ConfigError
        If the data or the options do not suit the model or each other.
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
                raise ConfigError(f"{flag('without_class')}: these data have no class names, give the class's number")
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
        """Check {name: data or None} against the model; returns [x (N, ...)]. named: whether errors name the split."""
        found = []
        for name, part in given.items():
            if part is None:
                continue
            try:
                found.append(admitted(model, part, self.seen, standardize)[0])
            except (DataError, ShapeError, ConfigError) as error:
                if not named:  # the caller passed a single array
                    raise
                raise type(error)(f"the {name} split: {error}") from None
        return found


def _standardization(model, x):
    """The `Standardization` that `model.standardize(x)` finds; the model is unchanged until the run begins."""
    before = model.standardization
    model.standardize(x)
    found, model.standardization = model.standardization, before
    return found


def as_split(data, integers=False, who="the data"):
    """Arrays (x, labels) from a Dataset (its training split), a Split, an array, an (x, labels) pair, or a dict.

    integers: whether examples may be integers, such as maps of codes. who: the owner of the labels in an error message.
    """
    if isinstance(data, str):
        raise DataError(f"'{data}' is a name, not data: give tinyae.data.load('{data}')")
    if isinstance(data, Dataset):
        data = data.train
    if isinstance(data, Split):
        x, labels = data.x, data.labels
    elif isinstance(data, dict):
        if "x" not in data or data.keys() - {"x", "labels"}:  # a key "y" would silently lose the labels
            raise DataError(f"a dict of data needs 'x', and may have 'labels', got {', '.join(map(str, data))}")
        x, labels = data["x"], data.get("labels")
    elif isinstance(data, tuple):
        if len(data) != 2:
            raise DataError(f"a tuple of data is (x, labels), got {len(data)} items: give the examples as an array")
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
    """`as_split` of training or evaluation data, with all examples checked against the model.

    known: what `examples.seen` found in the training data, if `data` are others.
    """
    x, labels = as_split(data, model.input.integers, model.name)
    admit(model, x, known, standardize)
    if model.labels:
        model.check_labels(labels, len(x))
    return x, labels


def fingerprint(x):
    """Dtype, shape and checksum of the examples, which a resumed run compares with those before."""
    checksum = x.checksum() if isinstance(x, Drawn) else zlib.crc32(np.ascontiguousarray(x))
    return f"{x.dtype} {'x'.join(map(str, x.shape))} {checksum:08x}"


def fingerprint_labels(labels):
    """The fingerprint of labels, independent of their dtype; None without labels."""
    return None if labels is None else fingerprint(np.asarray(labels).astype(np.int64))


def with_names(model, data, test):
    """Number the classes of data and test alike; returns (data, test, class names or None).

    The order of the classes is the model's, if it was trained on named classes, or else the order in the data. A model
    that takes no labels may be tested on other classes.
    """
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
    """Split into ((x, labels) to train on, (x, labels) held out or None): a random share, in the original order."""
    if not 0 <= fraction < 1:
        raise ConfigError(f"{flag('validation')} must be a share in [0, 1), got {fraction}")
    count = round(fraction * len(x))
    if fraction and not 0 < count < len(x):
        raise ConfigError(f"{flag('validation', fraction)} of {len(x)} examples leaves a split empty: choose another")
    if not count:
        return (x, labels), None
    order = Noise(seed).permutation(len(x), "validation")
    parts = [np.sort(order[count:]), np.sort(order[:count])]
    select = x.select if isinstance(x, Drawn) else x.__getitem__
    return tuple((select(rows), None if labels is None else labels[rows]) for rows in parts)


def leave_out(x, labels, without):
    """(x, labels) without the examples of the class `without`."""
    if labels is None:
        raise ConfigError(f"class {without} cannot be left out: the data have no labels")
    kept = np.flatnonzero(labels != without)
    if not 0 < len(kept) < len(labels):
        raise ConfigError(f"class {without} cannot be left out: it has {len(labels) - len(kept)} of {len(x)} examples")
    return (x.select(kept) if isinstance(x, Drawn) else x[kept]), labels[kept]


def parts(x, labels, test, settings, integers=False, validation=None):
    """((x, labels) to train on, {name: (x, labels)} to watch), according to a run's settings.

    test, validation: data as `as_split` takes them, or None; with a validation split no share of x may be held out.
    Watched examples are binarized once, also with "dynamic", so that the losses of all epochs can be compared.
    """
    binarize, without, watched = settings["binarize"], settings["without_class"], {}
    if binarize == "static":
        x = static(x, "train")
    if without is not None:
        x, labels = leave_out(x, labels, without)
    if validation is not None and settings["validation"]:
        raise ConfigError(f"the data have a validation split of their own: leave {flag('validation')} out")
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
