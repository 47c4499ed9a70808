"""Tables as text: a row of numbers per line, commas between them, perhaps with a line of names first."""

import array
import csv
import io

import numpy as np

from .arrays import check_examples, check_labels, holdout
from .files import open_file, problem

LABELS = ("label", "labels")  # the name of the column that is none of the examples' but their class


def load_csv(path):
    """(train, test) of rows `(N, D)` from a .csv, split by `holdout`. Raises `DataError`.

    A first line that holds anything but numbers is one of names; a column named label or labels becomes the labels.
    """
    with open_file(path) as (stream, _), io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        try:
            names, values = _read(csv.reader(text), path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise problem(path, f"is no text of commas and numbers ({error}): write it as UTF-8") from error
    table = np.frombuffer(values, np.float64).reshape(-1, len(names))
    given = [i for i, name in enumerate(names) if name.strip().lower() in LABELS]
    if len(given) > 1:
        raise problem(path, "has more than one column of labels: keep one of them")
    labels = table[:, given[0]] if given else None
    x = check_examples(np.delete(table, given, axis=1), path)
    if labels is not None:
        whole = bool(((labels == np.rint(labels)) & (np.abs(labels) < 2**53)).all())
        labels = check_labels(labels.astype(np.int64) if whole else labels, len(x), path)
    train, test = holdout(x, labels)
    return {"train": train, "test": test}


def _read(rows, path):
    """(names, values as one flat array of doubles); the names are empty where there is no line of them."""
    names, values = None, array.array("d")
    for row in filter(None, rows):
        line = rows.line_num
        if names is None:
            names = row
            if not all(map(_is_number, row)):
                continue
            names = [""] * len(row)
        if len(row) != len(names):
            raise problem(path, f"line {line} has {len(row)} values where the first has {len(names)}: make them equal")
        try:
            values.extend(map(float, row))
        except ValueError:
            wrong = next(i for i, value in enumerate(row) if not _is_number(value))
            what = f"holds {row[wrong][:40]!r}, no number" if row[wrong].strip() else "is empty"
            raise problem(path, f"line {line}, column {wrong + 1} {what}: replace it, or leave the row out") from None
    if not values:
        raise problem(path, "holds no rows of numbers: give one per line, with commas between the numbers")
    return names, values


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
