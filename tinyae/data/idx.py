"""IDX, the format of MNIST: two zero bytes, a type, the number of axes, their big-endian sizes, then the data."""

import os
import struct

import numpy as np

from .arrays import check_examples, check_header, check_labels
from .dataset import Split
from .files import open_file, problem, read_exactly

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def read(path):
    """The array in an IDX file, plain or gzip, of any IDX type and 1 to 4 axes. Raises `DataError`."""
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
    """Which of the four `FILES` stand in `folder`: {name: path}. Also finds .gz and `train-images.idx3-ubyte`."""
    found = {}
    for name in FILES:
        dotted = name.replace("-idx", ".idx")
        for candidate in (name + ".gz", name, dotted + ".gz", dotted):
            path = os.path.join(folder, candidate)
            if os.path.lexists(path):
                found[name] = path
                break
    return found


def load_folder(folder, classes=None):
    """(train, test) from a folder with the four IDX files; `classes` bounds the labels. Raises `DataError`."""
    found = find(folder)
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
