"""Defines `Dataset`, the result of every loader: a training `Split`, and a validation and a test split if given."""

import contextlib
import copy
import unicodedata

import numpy as np

from tinyae.errors import DataError, ShapeError, suggest
from tinyae.options import NAMES, Optional, Sequence, Text, options, shown

from .examples import as_array
from .labels import as_factors, as_labels


class Split:
    """One split of a data set: examples, with or without labels.

    Arguments may have any form that `examples.as_array` takes, such as a DataFrame; the attributes are arrays.

    Two more attributes depend on the loader. `rows` `(N,)` holds the index of each example, counted from 0, in the file
    or folder that `holdout` divided; it is None for other data. `files` holds the paths of the images relative to
    their folder; it is None for other data.

    Parameters
    ----------
    x : (N, H, W, C) or (N, D) array
        Images, uint8 in 0..255 or float32 in [0, 1]; or rows, uint8 or finite floats. Rows are float32, or float64 if
        float32 would round away the differences between values. A `Drawn` is indexed like an array and generates the
        examples on demand.
    labels : (N,) int64, optional
        Classes, counted from 0.
    factors : (N, K) integers, optional
        The factors that generated the examples, where they are known.

    Raises
    ------
    ShapeError
        If x has no axis of features, or the number of labels differs from the number of examples.
    DataError
        If labels or factors are not integers, or x does not hold numbers.

    Example
    -------
    >>> Split(np.zeros((3, 8, 8, 1), np.uint8), labels=[0, 1, 1])
    Split(uint8 (3, 8, 8, 1), labelled)
    """

    rows = files = None

    def __init__(self, x, labels=None, factors=None):
        self.x = as_array(x)
        if self.x.ndim < 2:
            raise ShapeError(f"a split holds examples (N, ...), got an array of shape {self.x.shape}")
        self.labels = as_labels(labels, len(self.x))
        self.factors = as_factors(factors, len(self.x))

    def __len__(self):
        return len(self.x)

    def __repr__(self):
        return f"Split({self.x.dtype} {self.x.shape}, {'labelled' if self.labels is not None else 'no labels'})"


def _split(part):
    return part if isinstance(part, Split) else Split(part)


class Dataset:
    """A data set with a name, up to three splits, and the names of its classes, factors and features.

    The attribute `origin` holds the arguments of `load`, {"data": ..., "size": ...}, and the names of a table's
    columns, {"columns": ...}; it is None for other data. A run stores it.

    Parameters
    ----------
    name : str
        The name in tables and messages.
    train : Split or its x
        The examples to train on.
    test, validation : Split or its x, optional
        The examples that are held out, and those on which the best epoch is selected.
    class_names : tuple of different str, optional
        The name of each class; label i has the name class_names[i].
    source : str, optional
        The file or folder from which the data were read.
    licence : str, optional
        The licence of the data, if it is known.
    factor_names, feature_names : tuple of different str, optional
        The names of the columns of the factors (N, K), and of rows (N, D).
    notes : tuple of str
        What the loader recognised in the files and what it left out, one line each.

    Raises
    ------
    DataError
        If class names repeat, or the number of names differs from the number of classes or columns.

    Example
    -------
    >>> data = Dataset("mine", Split(np.zeros((3, 2)), labels=[0, 1, 1]), class_names=("cat", "dog"))
    >>> data.shape, data.class_count
    ((2,), 2)
    """

    origin = None

    @options(
        name=Text(), class_names=Optional(NAMES), factor_names=Optional(NAMES), feature_names=Optional(NAMES),
        notes=Sequence(Text(), "a sequence of texts"),
    )  # fmt: skip
    def __init__(
        self, name, train, test=None, class_names=None, source=None, licence=None, factor_names=None,
        validation=None, feature_names=None, notes=(),
    ):  # fmt: skip
        self.name = name
        self.train = _split(train)
        self.test = None if test is None else _split(test)
        self.class_names = class_names
        self.source = source
        self.licence = licence
        self.factor_names = factor_names
        self.validation = None if validation is None else _split(validation)
        self.feature_names = feature_names
        self.notes = notes
        self._check_names()

    def _check_names(self):
        """Refuse class names that repeat or are fewer than the labels, and names that do not match the columns."""
        names = self.class_names
        if names is not None and len(set(map(canonical, names))) != len(names):
            raise DataError(f"{self.name}: class_names must be different, one for each class, got {shown(names)}")
        for part, split in self.parts.items():
            largest = split.labels.max(initial=-1) if isinstance(split.labels, np.ndarray) else -1
            if names is not None and largest >= len(names):
                raise DataError(
                    f"{self.name}: class_names has {len(names)} names, and the {part} split has labels up to {largest}:"
                    " give a name for each class"
                )
            rows = split.x if split.x.ndim == 2 else None
            for what, columns in (("feature_names", rows), ("factor_names", split.factors)):
                given = getattr(self, what)
                if given is not None and columns is not None and len(given) != columns.shape[1]:
                    raise DataError(
                        f"{self.name}: {what} has {len(given)} names for the {columns.shape[1]} columns in the {part} "
                        "split: give one name for each column"
                    )

    @property
    def parts(self):
        """The splits that exist, {name: `Split`}, in the order "train", "validation", "test"."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in found.items() if part is not None}

    @property
    def shape(self):
        """The shape of one example: `(H, W, C)` or `(D,)`."""
        return self.train.x.shape[1:]

    @property
    def class_count(self):
        """The number of classes: the number of their names, else the largest label + 1; None without labels."""
        if self.class_names is not None:
            return len(self.class_names)
        labels = [part.labels for part in self.parts.values() if part.labels is not None]
        return max(int(part.max()) for part in labels) + 1 if labels else None

    @options(text=Text())
    def find_class(self, text):
        """Find the label of the class called `text` (see the function `find_class`).

        Raises `DataError` if the data have no labels, and `ConfigError` if there is no such class.
        """
        if self.class_count is None:
            raise DataError(f"{self.name} has no labels, so no class {text}: give labelled data")
        return find_class(text, self.class_names, self.class_count, self.name)

    def numbered_as(self, names, whose):
        """Return this data set with its classes numbered in the order of `names`.

        Each label becomes the index of its class's name in `names`. If the classes have no names, the labels count as
        indices into `names` already. whose: the owner of `names` in the message of the `DataError` about classes that
        are missing from `names`.
        """
        ours = None if self.class_names is None else tuple(map(canonical, self.class_names))
        if ours is not None and tuple(map(str, self.class_names)) == tuple(names):
            return self
        renumbered = copy.copy(self)
        renumbered.class_names = tuple(names)
        if ours is None:
            return renumbered
        known = list(map(canonical, names))
        number = {label: known.index(name) for label, name in enumerate(ours) if name in known}
        for name, part in vars(self).items():
            if isinstance(part, Split) and part.labels is not None:
                found, places = np.unique(part.labels, return_inverse=True)
                # A label below 0 means that the class is unknown.
                unknown = [class_name(label, ours) for label in found.tolist() if label >= 0 and label not in number]
                if unknown:
                    raise DataError(
                        f"{self.name} has classes that {whose} does not have ({', '.join(unknown[:5])}): it has "
                        f"{', '.join(names[:20])}; leave the others out, or rename them"
                    )
                setattr(renumbered, name, copy.copy(part))
                numbers = np.array([number.get(label, label) for label in found.tolist()], np.int64)
                getattr(renumbered, name).labels = numbers[places]
        return renumbered

    def __repr__(self):
        return f"Dataset({self.name!r}, {', '.join(f'{name}={part!r}' for name, part in self.parts.items())})"


def find_class(text, names, count, whose):
    """Find the label of the class that is called `text`; every part of tinyae uses this rule.

    A class is called by its name. It may also be called by its number, 0 to `count` - 1, if the classes have no names
    or if no name is a number itself. whose: the owner of the classes in the message of the `ConfigError` if there is no
    such class.
    """
    known = [str(label) for label in range(count)] if names is None else list(map(canonical, names))
    text = canonical(text)
    if text in known:
        return known.index(text)
    if text.isdecimal() and len(text) < 10 and int(text) < count and not any(name.isdecimal() for name in known):
        return int(text)
    raise suggest(f"class of {whose}", text, known)


def canonical(name):
    """Normalise the name of a class, so that two spellings of one name compare equal.

    The result is in Unicode's form NFC, because macOS writes an accented letter of a folder's name as two characters.
    Bytes that Python could not decode in a locale without UTF-8 (LC_ALL=C) are decoded as UTF-8.
    """
    text = str(name)
    with contextlib.suppress(UnicodeEncodeError):  # half of a surrogate pair, which does not occur in file names
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", text)


def class_name(label, names):
    """The name of a class: its entry in `names` if there is one, else its number."""
    return str(names[label] if names is not None and 0 <= label < len(names) else label)
