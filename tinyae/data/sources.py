"""Lists the data sets that can be loaded by name: their description, the folders searched for them, their origin."""

import os

from tinyae.errors import DataError, suggest
from tinyae.wording import either

from . import cifar, dsprites, idx
from .dataset import Dataset
from .files import problem

EMBEDDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "embedded")
DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Source:
    """A data set that can be loaded by name.

    counts: the numbers of training and test examples. kind: the format, "idx" or "cifar", or "drawn" for data that are
    generated and need no files.
    base_url, files: the URL to download from, and (name, bytes, sha256) of each file; empty for embedded data sets.
    folder: one more folder to search, the embedded folder or a system package's; for generated data, their origin.
    opening: the first training labels; they distinguish data sets whose IDX files have the same names.
    factor_names: the names of the columns of `Split.factors`, where there are any.
    """

    def __init__(
        self,
        description,
        shape,
        counts,
        class_names,
        licence,
        source,
        kind="idx",
        base_url=None,
        files=(),
        folder=None,
        opening=None,
        factor_names=None,
    ):
        self.description = description
        self.shape = shape
        self.counts = counts
        self.class_names = class_names
        self.licence = licence
        self.source = source
        self.kind = kind
        self.base_url = base_url
        self.files = files
        self.folder = folder
        self.opening = opening
        self.factor_names = factor_names

    def find(self, folder):
        """Find the data: returns the folder, or an archive in it, for `read`, or None if the data are not there."""
        if self.kind == "drawn":
            return folder
        return cifar.find(folder) if self.kind == "cifar" else folder if idx.find(folder) else None

    def read(self, place):
        """Read the splits (train, test) from the result of `find`."""
        if self.kind == "drawn":
            return dsprites.split()
        return cifar.load(place) if self.kind == "cifar" else idx.load_folder(place, len(self.class_names))


KNOWN = {
    "digits": Source(
        "handwritten digits of 13 writers, UCI optical recognition (comes with tinyae)",
        (8, 8, 1),
        (1437, 360),
        DIGITS,
        "CC BY 4.0",
        "E. Alpaydin and C. Kaynak (1998), https://doi.org/10.24432/C50P49",
        folder=os.path.join(EMBEDDED, "digits"),
    ),
    "fashion-mini": Source(
        "a class-balanced part of Fashion-MNIST (comes with tinyae)",
        (28, 28, 1),
        (5000, 500),
        FASHION,
        "MIT",
        "Zalando SE (2017), https://github.com/zalandoresearch/fashion-mnist",
        folder=os.path.join(EMBEDDED, "fashion-mini"),
    ),
    "mnist": Source(
        "handwritten digits",
        (28, 28, 1),
        (60_000, 10_000),
        DIGITS,
        "CC BY-SA 3.0",
        "Y. LeCun, C. Cortes and C. J. C. Burges (1998), http://yann.lecun.com/exdb/mnist/",
        base_url="https://ossci-datasets.s3.amazonaws.com/mnist/",
        files=(
            (idx.FILES[0] + ".gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (idx.FILES[1] + ".gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (idx.FILES[2] + ".gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (idx.FILES[3] + ".gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        opening=(5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
    ),
    "fashion-mnist": Source(
        "Zalando's article images",
        (28, 28, 1),
        (60_000, 10_000),
        FASHION,
        "MIT",
        "Zalando SE (2017), https://github.com/zalandoresearch/fashion-mnist",
        base_url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files=(
            (idx.FILES[0] + ".gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (idx.FILES[1] + ".gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (idx.FILES[2] + ".gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (idx.FILES[3] + ".gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
        folder="/usr/share/datasets/fashion-mnist",  # Debian's package dataset-fashion-mnist
        opening=(9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
    ),
    "cifar10": Source(
        "colour photographs of ten kinds of things",
        (32, 32, 3),
        (50_000, 10_000),
        CIFAR,
        "not stated by its authors",
        "A. Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html",
        base_url="https://www.cs.toronto.edu/~kriz/",
        files=((cifar.ARCHIVE, 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),),
        kind="cifar",
    ),
    "dsprites": Source(
        "a square, an ellipse or a heart of known scale, rotation and place (drawn by tinyae)",
        (dsprites.SIDE, dsprites.SIDE, 1),
        (dsprites.COUNT - dsprites.TEST, dsprites.TEST),
        dsprites.SHAPES,
        "MIT",
        "after L. Matthey, I. Higgins, D. Hassabis and A. Lerchner (2017), "
        "https://github.com/google-deepmind/dsprites-dataset",
        kind="drawn",
        folder="drawn by formula",
        factor_names=dsprites.FACTORS,
    ),
}


def get(name):
    """Return the `Source` called `name`. Raises `DataError` with the nearest known name if there is none."""
    if name not in KNOWN:
        raise DataError(f"{suggest('data set', name, KNOWN)}; or give the path of a file or folder that exists")
    return KNOWN[name]


def store():
    """The folder for downloaded data sets, with a subfolder for each: $TINYAE_DATA, else ~/.cache/tinyae."""
    return os.environ.get("TINYAE_DATA") or os.path.join(os.path.expanduser("~"), ".cache", "tinyae")


def _folders(name):
    """The folders in which the data set `name` is searched, in this order."""
    source = KNOWN[name]
    if not source.files:
        return [source.folder]
    given = os.environ.get("TINYAE_DATA")
    folders = [os.path.join(given, name), given] if given else []
    folders += [source.folder] if source.folder else []
    return folders + [os.path.join(os.path.expanduser("~"), ".cache", "tinyae", name)]


def find(name):
    """Find the folder or archive that holds the known data set `name` on this machine, or None."""
    return next((place for folder in _folders(name) if (place := KNOWN[name].find(folder))), None)


def load(name):
    """Load the known data set `name` as a `Dataset`. Raises `DataError` if it is unknown, missing or corrupted."""
    source = get(name)
    place = find(name)
    if place is None:
        fetching = either(f"tinyae.data.fetch('{name}')", f"tinyae data fetch {name}")
        raise DataError(
            f"data set '{name}' is not on this machine (looked in {', '.join(_folders(name))}): "
            f"fetch it with {fetching}, or use digits or fashion-mini, which come with tinyae"
        )
    train, test = source.read(place)
    opening = tuple(train.labels[:10].tolist())
    for other in KNOWN:  # MNIST and Fashion-MNIST use the same file names
        if source.opening and opening == KNOWN[other].opening != source.opening:
            raise problem(place, f"holds {other}, not {name}: move it into a folder called {other}")
    return Dataset(name, train, test, source.class_names, place, source.licence, source.factor_names)


def catalogue():
    """List the data sets that can be loaded by name, as dicts that can be written as JSON.

    Returns
    -------
    entries : list of dict
        Keys: name, description, shape [H, W, C], train and test (counts), classes (count), licence, source, available
        (bool), where (the folder or archive found on this machine, or None), fetchable (bool).

    Example
    -------
    >>> catalogue()[0]["name"], catalogue()[0]["shape"]
    ('digits', [8, 8, 1])
    """
    entries = []
    for name, source in KNOWN.items():
        where = find(name)
        entries.append(
            {
                "name": name,
                "description": source.description,
                "shape": list(source.shape),
                "train": source.counts[0],
                "test": source.counts[1],
                "classes": len(source.class_names),
                "licence": source.licence,
                "source": source.source,
                "available": where is not None,
                "where": where,
                "fetchable": bool(source.files),
            }
        )
    return entries
