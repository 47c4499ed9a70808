"""Arrays in NumPy's own files: one in a .npy, several by name in a .npz. Nothing is ever unpickled."""

import io
import os
import warnings

import numpy as np

from .arrays import check_examples, check_header, check_labels, holdout, marked_as_missing, same_digits
from .dataset import Split
from .files import DEFLATE_RATIO, clear_errors, file_size, listed, open_file, problem, read_exactly
from .labels import as_factors

MAX_HEADER = 1 << 16  # bytes; that of a plain array has 118
END_RECORD = 22  # bytes at the end of a .zip, before its comment; the number of members stands at byte 10
# For each part of a data set: the names that its examples, labels and factors may have.
PARTS = {
    "train": (("x", "x_train"), ("y", "labels", "y_train"), ("factors", "factors_train")),
    "validation": tuple((f"{kind}_val", f"{kind}_valid", f"{kind}_validation") for kind in ("x", "y", "factors")),
    "test": (("x_test",), ("y_test",), ("factors_test",)),
}
WANTED = {name for part in PARTS.values() for names in part for name in names}


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
    """`Dataset` arguments from a .npy of `(N, H, W)`, `(N, H, W, C)` or `(N, D)`, split by `holdout`."""
    with open_file(path) as (stream, limit):
        x = read_array(stream, limit, path)
    x = check_examples(x, path)
    train, test = holdout(x)
    return {"train": train, "test": test, "notes": marked_as_missing(x)}


def load_npz(path):
    """`Dataset` arguments from a .npz: `x` or `x_train`, and optionally `x_val` and `x_test`; beside them `y` or
    `labels` or `y_train`, `y_val`, `y_test`, and `factors` or `factors_train`, `factors_val`, `factors_test`.

    Names are taken in any case, as in `X_train`. Without another part the examples are split by `holdout`. What else is
    in the file is named in `notes`. Raises `DataError`.
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
    """The array of a .npy, or the one called `name` of a .npz. Raises `DataError`."""
    if os.fsdecode(path).lower().endswith(".npz"):
        array = _read_members(path, (name,)).get(name)
        if array is None:
            raise problem(path, f"holds no array named {name}")
        return array
    with open_file(path) as (stream, limit):
        return read_array(stream, limit, path)


def _split(arrays, found, path):
    """found: the names of examples, labels and factors, or None."""
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
    """{name: array} for the names that are wanted, in any case; {name: None} for the others, which are left unread."""
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
                    # Opening compares the name with the one beside the data, so a damaged name is never passed over.
                    with archive.open(info) as stream:
                        if name in wanted:
                            arrays[name] = read_array(stream, min(limit, info.file_size), f"{path}, array {name}")
                return arrays
        except (zipfile.BadZipFile, struct.error, UnicodeError) as error:
            raise problem(path, f"is damaged or no .npz file ({error}): write it with numpy.savez") from error
        except RuntimeError as error:  # encrypted, or packed by a method that this Python lacks
            raise problem(path, f"is packed in a way not read here ({error}): write it with numpy.savez") from error


def _check_count(archive, path):
    """Refuse a directory that lists fewer members than it says: a damaged length swallows the ones behind it."""
    with open(path, "rb") as file:
        file.seek(-(END_RECORD + len(archive.comment)), os.SEEK_END)
        count = int.from_bytes(file.read(12)[10:], "little")
    if count not in (0xFFFF, len(archive.infolist())):  # the first where there are more than two bytes can count
        raise problem(path, f"lists {len(archive.infolist())} of its {count} arrays: it is damaged")
