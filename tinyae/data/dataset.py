"""What every loader returns: a `Dataset` of a training `Split` and, where there are any, validation and test."""

import contextlib
import copy
import unicodedata

import numpy as np

from tinyae.errors import DataError, ShapeError, suggest
from tinyae.options import NAMES, Optional, Sequence, Text, options, shown

from .examples import as_array
from .labels import as_factors, as_labels


class Split:
    """Examples with or without labels.

    x: images `(N, H, W, C)`, uint8 in 0..255 or float32 in [0, 1]; or rows `(N, D)`, uint8 or any
      finite float32, float64 where float32 would lose digits that tell values apart.
      A `Drawn` is indexed like an array, and draws what is asked for.
    labels: int64 `(N,)`, classes counted from 0, or None.
    factors: integers `(N, K)`, what the examples were made from, where it is known, or None.
    rows: integers `(N,)`, the places of the examples in the file or folder that `holdout` split, from 0; None where it
      split none. files: of a folder of images, the path of each below the folder, else None.

    Each may be given in any form that `examples.as_array` takes, such as a DataFrame; the attributes are arrays.
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
    """A named data set.

    name: str. train: `Split`, or its x; validation, test: the same, or None. class_names: the name of each class, by
    its label. factor_names: of the columns of factors. feature_names: of the columns of rows (N, D). Names are tuples
    of different str, or None.
    source: where the data were read from. licence: str, or None if unknown.
    notes: tuple of str, one line each: what the loader recognised in the files, and what it left out.
    origin: what `load` was called with, {"data": ..., "size": ...}, and the names of a table's columns, {"columns":
      ...}, or None; a run keeps it.
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
        """Refuse equal class names, fewer of them than labels, and other numbers of names than of columns."""
        names = self.class_names
        if names is not None and len(set(map(canonical, names))) != len(names):
            raise DataError(f"{self.name}: class_names are different names, one for each class, got {shown(names)}")
        for part, split in self.parts.items():
            largest = split.labels.max(initial=-1) if isinstance(split.labels, np.ndarray) else -1
            if names is not None and largest >= len(names):
                raise DataError(
                    f"{self.name}: class_names has {len(names)} names, and the {part} part has labels up to {largest}: "
                    "give a name for each class"
                )
            rows = split.x if split.x.ndim == 2 else None
            for what, columns in (("feature_names", rows), ("factor_names", split.factors)):
                given = getattr(self, what)
                if given is not None and columns is not None and len(given) != columns.shape[1]:
                    raise DataError(
                        f"{self.name}: {what} has {len(given)} names for {columns.shape[1]} columns of the {part} part"
                    )

    @property
    def parts(self):
        """{name: `Split`} of the parts that there are, in the order "train", "validation", "test"."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in found.items() if part is not None}

    @property
    def shape(self):
        """The shape of one example: `(H, W, C)` or `(D,)`."""
        return self.train.x.shape[1:]

    @property
    def class_count(self):
        """How many classes there are: as named, or up to the largest label; None without labels."""
        if self.class_names is not None:
            return len(self.class_names)
        labels = [part.labels for part in self.parts.values() if part.labels is not None]
        return max(int(part.max()) for part in labels) + 1 if labels else None

    @options(text=Text())
    def find_class(self, text):
        """The label of the class that `text` means, as `find_class` finds it. `DataError` without labels, `ConfigError`
        if there is no such class."""
        if self.class_count is None:
            raise DataError(f"{self.name} has no labels, so no class {text}: give labelled data")
        return find_class(text, self.class_names, self.class_count, self.name)

    def numbered_as(self, names, whose):
        """This Dataset with its classes numbered as in `names`: each label becomes the place of its class's name there.

        Where the classes have no names, a label is the number of a class in `names` already. whose: for the message of
        the `DataError` about classes that are not among `names`.
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
                # A label below 0 says that the class is not known.
                unknown = [class_name(label, ours) for label in found.tolist() if label >= 0 and label not in number]
                if unknown:
                    raise DataError(
                        f"{self.name} has classes that {whose} does not know ({', '.join(unknown[:5])}): it knows "
                        f"{', '.join(names[:20])}; leave the others out, or rename them"
                    )
                setattr(renumbered, name, copy.copy(part))
                numbers = np.array([number.get(label, label) for label in found.tolist()], np.int64)
                getattr(renumbered, name).labels = numbers[places]
        return renumbered

    def __repr__(self):
        return f"Dataset({self.name!r}, {', '.join(f'{name}={part!r}' for name, part in self.parts.items())})"


def find_class(text, names, count, whose):
    """The label of the class that `text` means, everywhere in tinyae: the class of that name.

    Where classes have no names, a class is called by its number, from 0 to `count` - 1. So it may be where no name is a
    number itself. whose: for the message of the `ConfigError` if there is no such class.
    """
    known = [str(label) for label in range(count)] if names is None else list(map(canonical, names))
    text = canonical(text)
    if text in known:
        return known.index(text)
    if text.isdecimal() and len(text) < 10 and int(text) < count and not any(name.isdecimal() for name in known):
        return int(text)
    raise suggest(f"class of {whose}", text, known)


def canonical(name):
    """A class's name in the form in which equal names are equal: Unicode's NFC, as a folder's name may be written as
    "e" and an accent (macOS does so), and read as UTF-8 where a locale without it has left bytes (LC_ALL=C).
    """
    text = str(name)
    with contextlib.suppress(UnicodeEncodeError):  # half of a pair of code units, which no file's name has
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", text)


def class_name(label, names):
    """What a class is called: by its name in `names`, else by its number."""
    return str(names[label] if names is not None and 0 <= label < len(names) else label)
