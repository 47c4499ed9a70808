"""Arrays in NumPy's own files: one in a .npy, several by name in a .npz. Nothing is ever unpickled."""

import io
import os
import warnings

import numpy as np

from .arrays import check_examples, check_factors, check_header, check_labels, holdout
from .dataset import Split
from .files import DEFLATE_RATIO, clear_errors, file_size, open_file, problem, read_exactly

MAX_HEADER = 1 << 16  # bytes; that of a plain array has 118
NAMES = "x or x_train, x_test, y or labels or y_train, y_test, factors or factors_train, factors_test"
TRAIN = ("x", "x_train"), ("y", "labels", "y_train"), ("factors", "factors_train")
TEST = ("x_test",), ("y_test",), ("factors_test",)
WANTED = sum(TRAIN + TEST, ())


def read_array(stream, limit, where):
    """The array of a .npy `stream` that can deliver at most `limit` bytes, any version of the format."""
    opening = io.BytesIO(stream.read(MAX_HEADER))  # the header's own claim of its length is not to be trusted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy remarks on headers that Python 2 wrote; they are read all the same
            version = np.lib.format.read_magic(opening)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran_order, dtype = header(opening)
    except KeyError as error:  # version 3 exists only for field names beyond Latin-1
        raise problem(where, f"is .npy version {version}, not plain numbers: save uint8 or float32") from error
    except Exception as error:  # NumPy parses the header as Python text, which can fail in every way
        raise problem(where, "is not a .npy array (its header is damaged): write it with numpy.save") from error
    count = check_header(dtype, shape, limit, where)
    data = read_exactly(stream, count, where, begun=opening.read())
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def load_npy(path):
    """(train, test) from a .npy of `(N, H, W)`, `(N, H, W, C)` or `(N, D)`, split by `holdout`. Raises `DataError`."""
    with open_file(path) as (stream, limit):
        x = read_array(stream, limit, path)
    return holdout(check_examples(x, path))


def load_npz(path):
    """(train, test) from a .npz: `x` or `x_train`, and optionally `x_test`, `y` or `labels` or `y_train`, `y_test`, and
    `factors` or `factors_train`, `factors_test`.

    Without `x_test` the examples are split by `holdout`. Raises `DataError`.
    """
    arrays = _read_members(path)
    if not any(name in arrays for name in TRAIN[0]):
        found = ", ".join(sorted(arrays)) or "nothing"
        raise problem(path, f"holds no array named x or x_train but {found}: tinyae reads {NAMES}")
    train = _split(arrays, TRAIN, path)
    if "x_test" in arrays:
        test = _split(arrays, TEST, path)
    elif alone := [names[0] for names in TEST if names[0] in arrays]:
        raise problem(path, f"holds {alone[0]} without x_test: save both or neither")
    else:
        return holdout(train.x, train.labels, train.factors)
    if train.x.shape[1:] != test.x.shape[1:] or train.x.dtype != test.x.dtype:
        raise problem(path, f"has x of {train} unlike x_test of {test}: give both one shape and dtype")
    return train, test


def load_array(path, name):
    """The array of a .npy, or the one called `name` of a .npz. Raises `DataError`."""
    if os.fsdecode(path).lower().endswith(".npz"):
        array = _read_members(path, (name,)).get(name)
        if array is None:
            raise problem(path, f"holds no array named {name}")
        return array
    with open_file(path) as (stream, limit):
        return read_array(stream, limit, path)


def _split(arrays, names, path):
    """names: those that examples, labels and factors may have."""
    found = [_only_one(arrays, kind, path) for kind in names]
    x, labels, factors = (None if name is None else arrays[name] for name in found)
    of_x, of_labels, of_factors = (f"{path}, array {name}" for name in found)
    x = check_examples(x, of_x)
    labels = None if labels is None else check_labels(labels, len(x), of_labels)
    return Split(x, labels, None if factors is None else check_factors(factors, len(x), of_factors))


def _only_one(arrays, names, path):
    found = [name for name in names if name in arrays]
    if len(found) > 1:
        raise problem(path, f"holds both {found[0]} and {found[1]}: keep one of them")
    return found[0] if found else None


def _read_members(path, wanted=WANTED):
    """{name: array} for the names that are wanted, {name: None} for the others, which are left unread."""
    import struct
    import zipfile

    limit = file_size(path) * DEFLATE_RATIO
    with clear_errors(path):
        try:
            with zipfile.ZipFile(path) as archive:
                arrays = {}
                for info in archive.infolist():
                    name = info.filename.removesuffix(".npy")
                    arrays[name] = None
                    if name in wanted:
                        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                            raise NotImplementedError("neither stored nor deflated")  # zipfile unpacks those unbounded
                        where = f"{path}, array {name}"
                        with archive.open(info) as stream:
                            arrays[name] = read_array(stream, min(limit, info.file_size), where)
                return arrays
        except (zipfile.BadZipFile, struct.error, UnicodeError) as error:
            raise problem(path, f"is damaged or no .npz file ({error}): write it with numpy.savez") from error
        except RuntimeError as error:  # encrypted, or packed by a method that this Python lacks
            raise problem(path, f"is packed in a way not read here ({error}): write it with numpy.savez") from error
