"""Loads data for training: known data sets by name, your own files and folders by path.

    data = tinyae.data.load("fashion-mini")        # or a path
    x = tinyae.data.to_float(data.train.x[:100])   # float32 (100, 28, 28, 1) in [0, 1]

`digits` and `fashion-mini` come with tinyae. `mnist`, `fashion-mnist` and `cifar10` are found on disk or downloaded.
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
    """Load a data set, known by its name or read from a file or folder, as a `Dataset`.

    Data without a test split are divided: if there are ten examples or more, a fixed tenth of them becomes the test
    split (see `arrays.holdout`). `fit` selects the best epoch on the validation split. `Dataset.notes` reports what
    was recognised, changed or left out.

    Parameters
    ----------
    name_or_path : str or path
        A name from `catalogue()`, which takes precedence over a path of the same spelling, or the path of
          - a folder with four IDX files, plain or .gz, named like those in MNIST or EMNIST;
          - a folder with the six .bin files of CIFAR-10, or their .tar.gz;
          - any other folder: its images (needs the extra `viz`), see `images.load_folder` for splits and classes;
          - a .npy with an array `(N, H, W)`, `(N, H, W, C)` or `(N, D)`;
          - a .csv with rows of numbers, with or without a line of column names, see `csv_files.load_csv`;
          - a .npz with x or x_train, and optionally x_val and x_test; labels y or y_train (or labels), y_val, y_test;
            and the integer factors `(N, K)` that generated the examples: factors or factors_train, factors_val,
            factors_test.
    size : int or (H, W), optional
        Resizes every image of a folder, in pixels.
    fit : "stretch", "crop" or "pad", default "stretch"
        How an image of other proportions is brought to `size`.
    header : bool, optional
        Whether the first line of a .csv holds column names. By default this is recognised.
    label_column : str or int, optional
        The name of the .csv column that holds the labels, or its number counted from 1. By default, the column called
        label or labels.

    Returns
    -------
    data : Dataset

    Raises
    ------
    DataError
        If the data cannot be read. Its one line names the file, what is wrong and what to do.

    Example
    -------
    >>> load("digits").train
    Split(uint8 (1437, 8, 8, 1), labelled)
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
    """An option in a form that JSON can store: NumPy's integers become Python's."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


OF_IMAGES, OF_TABLES = ("size", "fit"), ("header", "label_column")


def _load_path(path, options):
    """Read a file or folder that exists, and return the arguments of its `Dataset`, the splits among them."""
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
    raise problem(path, "is not a file that tinyae can read: give a .npy, .npz, .csv or CIFAR-10 .tar.gz, or a folder")


def _two_parts(pair, class_names=None):
    return dict(zip(("train", "test"), pair, strict=True)) | {"class_names": class_names}


def _take(options, known, where):
    """Return the options if the loader of `where` takes all of them, else raise `DataError`."""
    for name in options:
        if name not in known:
            kind = "a folder of image files" if name in OF_IMAGES else "a .csv file"
            raise problem(where, f"takes no {name}, only {kind} does: leave {flag(name)} out")
    return options


def _may_be_name(given):
    return isinstance(given, str) and given.isprintable() and not (os.path.dirname(given) or os.path.splitext(given)[1])
