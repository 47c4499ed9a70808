"""What every loader returns: a `Dataset` of a training `Split` and, where there are any, validation and test."""

from tinyae.errors import DataError, suggest

from .examples import as_array
from .labels import as_labels


class Split:
    """Examples with or without labels.

    x: images `(N, H, W, C)`, uint8 in 0..255 or float32 in [0, 1]; or rows `(N, D)`, uint8 or any
      finite float32, float64 where float32 would lose digits that tell values apart.
      A `Drawn` is indexed like an array, and draws what is asked for.
    labels: int64 `(N,)`, classes counted from 0, or None.
    factors: integers `(N, K)`, what the examples were made from, where it is known, or None.

    Each may be given in any form that `examples.as_array` takes, such as a DataFrame; the attributes are arrays.
    """

    def __init__(self, x, labels=None, factors=None):
        self.x = as_array(x)
        self.labels = as_labels(labels, len(self.x))
        self.factors = None if factors is None else as_array(factors, "factors")

    def __len__(self):
        return len(self.x)

    def __repr__(self):
        return f"Split({self.x.dtype} {self.x.shape}, {'labelled' if self.labels is not None else 'no labels'})"


class Dataset:
    """A named data set.

    name: str. train: `Split`. validation, test: `Split` or None. class_names, factor_names: tuple of str or None.
    feature_names: of the columns of rows (N, D), tuple of str or None.
    source: where the data were read from. licence: str, or None if unknown.
    notes: tuple of str, one line each: what the loader recognised in the files, and what it left out.
    origin: what `load` was called with, {"data": ..., "size": ...}, or None; a run keeps it.
    """

    origin = None

    def __init__(
        self, name, train, test=None, class_names=None, source=None, licence=None, factor_names=None,
        validation=None, feature_names=None, notes=(),
    ):  # fmt: skip
        self.name = name
        self.train = train
        self.test = test
        self.class_names = class_names
        self.source = source
        self.licence = licence
        self.factor_names = factor_names
        self.validation = validation
        self.feature_names = feature_names
        self.notes = tuple(notes)

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

    def find_class(self, text):
        """The label of the class that is called `text`, or has that number. `DataError` without labels,
        `ConfigError` if there is no such class."""
        if self.class_count is None:
            raise DataError(f"{self.name} has no labels, so no class {text}: give labelled data")
        names = self.class_names or [str(label) for label in range(self.class_count)]
        if text in names:
            return names.index(text)
        if text.isdecimal() and int(text) < self.class_count:
            return int(text)
        raise suggest(f"class of {self.name}", text, names)

    def __repr__(self):
        return f"Dataset({self.name!r}, {', '.join(f'{name}={part!r}' for name, part in self.parts.items())})"
