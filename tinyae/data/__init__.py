"""Data for training: sets by name, files and folders by path.

    data = tinyae.data.load("fashion-mini")        # or a path
    x = tinyae.data.to_float(data.train.x[:100])   # float32 (100, 28, 28, 1) in [0, 1]

`digits` and `fashion-mini` come with tinyae; `mnist`, `fashion-mnist` and `cifar10` are found on disk or fetched.
"""

import os

import numpy as np

from tinyae.errors import DataError
from tinyae.options import Path, plain
from tinyae.wording import flag

from . import cifar, csv_files, idx, images, numpy_files, sources
from .dataset import Dataset, Split
from .download import fetch
from .examples import to_float
from .files import problem
from .layout import wrapped
from .sources import catalogue

__all__ = ["DataError", "Dataset", "Split", "catalogue", "fetch", "load", "to_float"]


def load(name_or_path, size=None, fit=None, header=None, label_column=None):
    """Load a data set as a `Dataset`.

    name_or_path: a name from `catalogue()` (a str; a known name goes before a path of the same spelling), or a path to
      - a folder with four IDX files, named as MNIST's or EMNIST's, plain or .gz;
      - a folder with CIFAR-10's six .bin files, or their .tar.gz;
      - any other folder: its images (needs the extra `viz`), see `images.load_folder` for its parts and classes;
      - a .npy with `(N, H, W)`, `(N, H, W, C)` or `(N, D)`;
      - a .csv of rows of numbers, with or without a line of names, see `csv_files.load_csv`;
      - a .npz with x or x_train, and optionally x_val, x_test, y or labels or y_train, y_val, y_test, and factors or
        factors_train, factors_val, factors_test: `(N, K)` integers, what the examples were made from.
    size: (H, W) or int, for a folder of images: resize them all. fit: "stretch" (default), "crop" or "pad", how.
    header, label_column: for a .csv, whether the first line holds names (by default that is recognised), and the name
    or number, from 1 on, of the column of labels (by default the one called label or labels).

    Where the data come as one part, a fixed tenth of the examples becomes the test part if there are ten or more (see
    `arrays.holdout`). A validation part is what `fit` chooses the best epoch by. What was recognised, changed or left
    out stands in `Dataset.notes`. Raises `DataError` with one line that names the file, what is wrong and what to do.
    """
    path = Path().check("name_or_path", name_or_path)
    options = {"size": size, "fit": fit, "header": plain(header), "label_column": label_column}
    options = {name: value for name, value in options.items() if value is not None}
    if isinstance(name_or_path, str) and name_or_path in sources.KNOWN:
        _take(options, (), name_or_path)
        data = sources.load(name_or_path)
        data.origin = {"data": name_or_path, "size": None}
        return data
    if not os.path.exists(path):
        if _may_be_name(name_or_path):
            sources.get(path)  # raises, with the nearest name
        raise problem(path, "no such file or folder that may be read: check the path")
    parts = _load_path(path, options)
    name = os.path.basename(os.path.abspath(path)).removesuffix(".gz").removesuffix(".tar")
    for ending in (".npy", ".npz", ".csv"):
        name = name.removesuffix(ending)
    data = Dataset(name, source=path, **parts)
    data.origin = {"data": os.path.abspath(path), "size": None} | {name: _plain(v) for name, v in options.items()}
    if data.feature_names is not None:
        data.origin["columns"] = list(data.feature_names)
    return data


def _plain(value):
    """An option as JSON can keep it: NumPy's integers as Python's."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


OF_IMAGES, OF_TABLES = ("size", "fit"), ("header", "label_column")


def _load_path(path, options):
    """`Dataset` arguments, its parts among them, from a file or folder that exists."""
    if os.path.isdir(path):
        for folder in wrapped(path):
            if found := idx.find_all(folder):
                _take(options, (), path)
                return _two_parts(idx.load_folder(folder, found=found))
            if place := cifar.find(folder):
                _take(options, (), path)
                return _two_parts(cifar.load(place), sources.CIFAR)
        return images.load_folder(path, **_take(options, OF_IMAGES, path))
    if path.lower().endswith((".csv", ".csv.gz")):
        return csv_files.load_csv(path, **_take(options, OF_TABLES, path))
    _take(options, (), path)
    if path.lower().endswith(".npy"):
        return numpy_files.load_npy(path)
    if path.lower().endswith(".npz"):
        return numpy_files.load_npz(path)
    if path.lower().endswith((".tar.gz", ".tgz")):
        return _two_parts(cifar.load(path), sources.CIFAR)
    if idx.NAMED.fullmatch(os.path.basename(path)):
        raise problem(path, "is one of the four files of an IDX data set: give the folder that holds them")
    raise problem(path, "is no data file that tinyae reads: give a .npy, .npz, .csv or CIFAR-10 .tar.gz, or a folder")


def _two_parts(pair, class_names=None):
    return dict(zip(("train", "test"), pair, strict=True)) | {"class_names": class_names}


def _take(options, known, where):
    """The options, all of them known to the loader of `where`, or DataError."""
    for name in options:
        if name not in known:
            kind = "a folder of image files" if name in OF_IMAGES else "a .csv file"
            raise problem(where, f"takes no {name}, only {kind} does: leave {flag(name)} out")
    return options


def _may_be_name(given):
    return isinstance(given, str) and given.isprintable() and not (os.path.dirname(given) or os.path.splitext(given)[1])
