"""Reads NumPy's files: .npy with one array, .npz with several named arrays. Nothing is ever unpickled."""

import io
import os
import warnings

import numpy as np

from .arrays import check_examples, check_header, check_labels, holdout, marked_as_missing, same_digits
from .dataset import Split
from .files import DEFLATE_RATIO, clear_errors, file_size, listed, open_file, problem, read_exactly
from .labels import as_factors

MAX_HEADER = 1 << 16  # bytes; the header of a plain array has 118
END_RECORD = 22  # bytes at the end of a .zip, before its comment; the number of members stands at byte 10
# The names that the examples, labels and factors of each split may have.
PARTS = {
    "train": (("x", "x_train"), ("y", "labels", "y_train"), ("factors", "factors_train")),
    "validation": tuple((f"{kind}_val", f"{kind}_valid", f"{kind}_validation") for kind in ("x", "y", "factors")),
    "test": (("x_test",), ("y_test",), ("factors_test",)),
}
WANTED = {name for part in PARTS.values() for names in part for name in names}


def read_array(stream, limit, where):
    """Read the array of a .npy `stream` that can deliver at most `limit` bytes, in any version of the format."""
    opening = io.BytesIO(stream.read(MAX_HEADER))  # the header's length is bounded here, as its own claim may be false
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns about headers that Python 2 wrote, but reads them correctly
            version = np.lib.format.read_magic(opening)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran_order, dtype = header(opening)
    except KeyError as error:  # version 3 exists only for field names beyond Latin-1
        raise problem(where, f"is .npy version {version}, not plain numbers: save uint8 or float32") from error
    except Exception as error:  # NumPy parses the header as Python text, which can fail in every way
        raise problem(where, "is not a .npy array (its header is corrupted): write it with numpy.save") from error
    count = check_header(dtype, shape, limit, where)
    data = read_exactly(stream, count, where, begun=opening.read())
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def load_npy(path):
    """Read a .npy `(N, H, W)`, `(N, H, W, C)` or `(N, D)`, and return its `Dataset` arguments, split by `holdout`."""
    with open_file(path) as (stream, limit):
        x = read_array(stream, limit, path)
    x = check_examples(x, path)
    train, test = holdout(x)
    return {"train": train, "test": test, "notes": marked_as_missing(x)}


def load_npz(path):
    """Read a .npz and return the arguments of its `Dataset`.

    Examples: `x` or `x_train`, and optionally `x_val`, `x_test`. Labels: `y`, `labels` or `y_train`, and `y_val`,
    `y_test`. Factors: `factors` or `factors_train`, and `factors_val`, `factors_test`. Upper and lower case are equal,
    as in `X_train`. If there is only one split, `holdout` divides it. The notes list arrays of other names. Raises
    `DataError`.
    """
    arrays = _read_members(path)
    unread = sorted(name for name, array in arrays.items() if array is None)
    if not any(name in arrays for name in PARTS["train"][0]):
        known = "x or x_train, x_val, x_test, y or labels or y_train, y_val, y_test, factors and the like"
        raise problem(path, f"holds no array named x or x_train but {listed(arrays)}: tinyae reads {known}")
    parts = {}
    for part, names in PARTS.items():
        found = [_only_one(arrays, kind, path) for kind in names]
        if found[0] is not None:
            parts[part] = _split(arrays, found, path)
        elif alone := next(filter(None, found), None):
            raise problem(path, f"holds {alone} without {names[0][0]}: save both or neither")
    notes = [f"not read, as the name says no part or label: {listed(unread)}"] if unread else []
    notes += [note for part in parts.values() for note in marked_as_missing(part.x)]
    if len(parts) == 1:
        whole = parts["train"]
        train, test = holdout(whole.x, whole.labels, whole.factors)
        return {"train": train, "test": test, "notes": notes}
    same_digits(parts.values())
    for part, split in parts.items():
        if split.x.shape[1:] != parts["train"].x.shape[1:] or split.x.dtype != parts["train"].x.dtype:
            name = _only_one(arrays, PARTS[part][0], path)
            raise problem(path, f"has x of {parts['train']} unlike {name} of {split}: give both one shape and dtype")
    return parts | {"notes": notes}


def load_array(path, name):
    """Read the array of a .npy, or the array called `name` from a .npz. Raises `DataError`."""
    if os.fsdecode(path).lower().endswith(".npz"):
        array = _read_members(path, (name,)).get(name)
        if array is None:
            raise problem(path, f"holds no array named {name}")
        return array
    with open_file(path) as (stream, limit):
        return read_array(stream, limit, path)


def _split(arrays, found, path):
    """Make a `Split` from three names in `arrays`: the examples, the labels or None, the factors or None."""
    x, labels, factors = (None if name is None else arrays[name] for name in found)
    of_x, of_labels, of_factors = (f"{path}, array {name}" for name in found)
    x = check_examples(x, of_x)
    labels = None if labels is None else check_labels(labels, len(x), of_labels)
    return Split(x, labels, as_factors(factors, len(x), of_factors))


def _only_one(arrays, names, path):
    found = [name for name in names if name in arrays]
    if len(found) > 1:
        raise problem(path, f"holds both {found[0]} and {found[1]}: keep one of them")
    return found[0] if found else None


def _read_members(path, wanted=WANTED):
    """Read the arrays with wanted names, in any case, as {name: array}; other arrays stay unread, as {name: None}."""
    import struct
    import zipfile

    limit = file_size(path) * DEFLATE_RATIO
    with clear_errors(path):
        try:
            with zipfile.ZipFile(path) as archive:
                _check_count(archive, path)
                arrays = {}
                for info in archive.infolist():
                    name = info.filename.removesuffix(".npy")
                    name = name.lower() if name.lower() in wanted else name
                    if name in arrays:
                        raise problem(path, f"holds two arrays named {name}: keep one of them")
                    arrays[name] = None
                    if name in wanted and info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                        raise NotImplementedError("neither stored nor deflated")  # zipfile unpacks those unbounded
                    # Opening compares the listed name with the name next to the data, so corrupted names are detected.
                    with archive.open(info) as stream:
                        if name in wanted:
                            arrays[name] = read_array(stream, min(limit, info.file_size), f"{path}, array {name}")
                return arrays
        except (zipfile.BadZipFile, struct.error, UnicodeError) as error:
            raise problem(path, f"is corrupted or not a .npz file ({error}): write it with numpy.savez") from error
        except RuntimeError as error:  # encrypted, or packed by a method that this Python lacks
            raise problem(path, f"is packed in a way not read here ({error}): write it with numpy.savez") from error


def _check_count(archive, path):
    """Refuse a .zip directory with fewer entries than it counts: a corrupted length can hide the entries after it."""
    with open(path, "rb") as file:
        file.seek(-(END_RECORD + len(archive.comment)), os.SEEK_END)
        count = int.from_bytes(file.read(12)[10:], "little")
    if count not in (0xFFFF, len(archive.infolist())):  # 0xFFFF means that two bytes cannot hold the count
        raise problem(path, f"lists {len(archive.infolist())} of its {count} arrays: it is corrupted, save it again")
