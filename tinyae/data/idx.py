"""Reads IDX files, the format of MNIST: two zero bytes, a type, the number of axes, big-endian sizes, the data."""

import os
import re
import struct

import numpy as np

from .arrays import check_examples, check_header, check_labels
from .dataset import Split
from .files import clear_errors, listed, open_file, problem, read_exactly

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NAMED = re.compile(r"(?:(.+)[-_])?(train|t10k|test)[-_](images|labels)[-_.]idx[13]-ubyte(?:\.gz)?")


def read(path):
    """Read the array of an IDX file, plain or gzip, with any IDX type and 1 to 4 axes. Raises `DataError`."""
    with open_file(path) as (stream, limit):
        magic = bytes(stream.read(4))
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] not in (1, 2, 3, 4):
            raise problem(path, f"is not an IDX file (begins with {magic.hex(' ') or 'nothing'}): check what it is")
        axes = magic[3]
        shape = struct.unpack(f">{axes}I", read_exactly(stream, 4 * axes, path, last=False))
        dtype = np.dtype(TYPES[magic[2]])
        count = check_header(dtype, shape, limit, path)
        return np.frombuffer(read_exactly(stream, count, path), dtype).reshape(shape)


def find(folder):
    """Find the four `FILES` in `folder`, also as .gz or as `train-images.idx3-ubyte`; returns {name: path}."""
    found = {}
    for name in FILES:
        dotted = name.replace("-idx", ".idx")
        for candidate in (name + ".gz", name, dotted + ".gz", dotted):
            path = os.path.join(folder, candidate)
            if os.path.lexists(path):
                found[name] = path
                break
    return found


def find_all(folder):
    """Find the four files as `find` does, else files named like EMNIST's, `emnist-letters-test-images-idx3-ubyte.gz`.

    Such names start with the name of the data set, and may have test in place of t10k. Raises `DataError` if the folder
    holds the files of several data sets.
    """
    found = find(folder)
    if len(found) == len(FILES):
        return found
    sets = {}
    with clear_errors(folder):
        names = sorted(os.listdir(folder), key=lambda name: (not name.endswith(".gz"), name))
    for name in names:
        if match := NAMED.fullmatch(name):
            own, part, kind = match[1] or "", "train" if match[2] == "train" else "t10k", match[3]
            file = next(file for file in FILES if file.startswith(f"{part}-{kind}"))
            sets.setdefault(own, {}).setdefault(file, os.path.join(folder, name))
    if len(sets) > 1:
        raise problem(folder, f"holds several IDX data sets, {listed(sorted(sets))}: give one a folder of its own")
    return next(iter(sets.values()), {})


def load_folder(folder, classes=None, found=None):
    """Read (train, test) from a folder with the four IDX files. Raises `DataError`.

    classes: the labels must lie in 0..classes-1. found: {name: path} of the files, by default the result of `find`.
    """
    found = find(folder) if found is None else found
    missing = [name for name in FILES if name not in found]
    if missing:
        raise problem(folder, f"has no {' and no '.join(missing)} (plain or .gz): an IDX data set needs all four files")
    train, test = (_read_pair(found[images], found[labels], classes) for images, labels in (FILES[:2], FILES[2:]))
    if train.x.shape[1:] != test.x.shape[1:] or train.x.dtype != test.x.dtype:
        raise problem(folder, f"has training examples {train} unlike its test examples {test}: check its files")
    return train, test


def _read_pair(images_path, labels_path, classes):
    x = check_examples(read(images_path), images_path)
    labels = read(labels_path)
    return Split(x, check_labels(labels, len(x), labels_path, classes))
