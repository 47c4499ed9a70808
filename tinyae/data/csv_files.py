"""Reads tables from .csv files: one row of numbers per line, with or without a first line of column names."""

import array
import csv
import io
import itertools
import re

import numpy as np

from tinyae.errors import ConfigError
from tinyae.wording import counted, either, flag

from .arrays import MAX_CLASSES, check_examples, check_labels, holdout, marked_as_missing
from .files import listed, open_file, problem

LABELS = ("label", "labels")  # a column of this name holds the labels
LIKE_LABELS = ("class", "target", "y", "species", "category")  # a column of this name may hold labels: a note says so
UNNAMED = re.compile(r"|unnamed: 0(\.\d+)?", re.IGNORECASE)  # names that pandas and R give to columns of row numbers
MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "--")  # these stand for a missing value
TRAILING = "each line seems to end with a comma: remove the last commas"
LONGEST = 1 << 22  # characters in a line, at most


def load_csv(path, header=None, label_column=None):
    """Read a .csv of rows `(N, D)`, and return the arguments of its `Dataset`, split by `holdout`.

    header: whether the first line holds column names. By default this is recognised (see `_is_header`).
    label_column: the name of the column of labels, or its number counted from 1. By default, the column called label
    or labels, if there is one.

    Labels are integers or words. The sorted words become the names of the classes. First columns without a name, in
    which pandas writes row numbers, are left out. The notes report what was recognised. Raises `DataError`.
    """
    if header not in (None, True, False):
        raise ConfigError(f"header must be True or False (does the first line hold column names?), got {header!r}")
    with open_file(path) as (stream, _), io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        try:
            table = Table(csv.reader(_lines(text, path)), path, header, label_column)
        except (UnicodeDecodeError, csv.Error) as error:
            raise problem(path, f"cannot be read as a .csv file ({error}): write it as UTF-8 text") from error
    x = check_examples(table.x, path)
    notes = [*table.notes, *marked_as_missing(x, table.describe)]
    labels = class_names = None
    if table.words is not None:
        labels, class_names = _labels(table.words, len(x), path)
        counted = f", {len(class_names)} classes: {listed(class_names)}" if class_names else ""
        notes.append(f"labels: {table.columns[table.label]}{counted}")
    train, test = holdout(x, labels)
    feature_names = None if table.names is None else tuple(table.names[i] for i in table.kept)
    return {"train": train, "test": test, "class_names": class_names, "feature_names": feature_names, "notes": notes}


class Table:
    """A table that has been read from a .csv file.

    x: (N, D) float64. names: the names of all columns, or None. words: the labels as they are written, or None.
    columns: the names of the columns in messages. kept: the indices of the columns in x. label: the index of the
    column of labels, or None.
    """

    def __init__(self, reader, path, header, label_column):
        self.path, self.notes = path, []
        rows = ((reader.line_num, row) for row in reader if row)
        head = list(itertools.islice(rows, 2))
        if head and ",".join(head[0][1]).lower() == "sep=,":  # a line that only Excel reads
            head = [*head[1:], *itertools.islice(rows, 1)]
        if not head:
            raise self._nothing()
        self.first, self.trailing = head[0][1], not any(row[-1].strip() for _, row in head)
        named = _is_header(*(row for _, row in (head * 2)[:2])) if header is None else header
        self.names = _clean(self.first) if named else None
        self.columns = [f"column {i + 1}" for i in range(len(self.first))]
        if named:
            self.columns = [f"{column} ({listed([name])})" if name else column
                            for column, name in zip(self.columns, self.names, strict=True)]  # fmt: skip
        self.label = self._label(label_column)
        others = [i for i in range(len(self.first)) if i != self.label]
        unnamed = [bool(named) and any(self.names) and bool(UNNAMED.fullmatch(self.names[i])) for i in others[:-1]]
        left_out = others[: [*unnamed, False].index(False)]
        self.kept = others[len(left_out) :]
        self.words = None if self.label is None else []
        self.x = self._read(itertools.chain(head[named:], rows))
        self._report(named, left_out)

    def describe(self, i):
        """The name of column i of x in messages."""
        return self.columns[self.kept[i]]

    def _nothing(self):
        return problem(self.path, "holds no rows of numbers: give one per line, with commas between the numbers")

    def _label(self, asked):
        """Find the index of the column of labels, or None."""
        names = self.names or []
        if asked is None:
            found = [i for i, name in enumerate(names) if name.lower() in LABELS]
            if len(found) > 1:
                raise problem(self.path, "has more than one column of labels: keep one of them")
            return found[0] if found else None
        asked = str(asked).strip()
        if names.count(asked) == 1:
            return names.index(asked)
        if asked.isdecimal() and 1 <= int(asked) <= len(self.first) and asked not in names:
            return int(asked) - 1
        how = "more than one" if asked in names else "no"
        known = f"a number from 1 to {len(self.first)}{', or one of ' * bool(names)}{listed(names) if names else ''}"
        raise problem(self.path, f"has {how} column {asked!r}: give {known}")

    def _read(self, rows):
        values, count, width = array.array("d"), 0, len(self.first)
        for line, row in rows:
            count += 1
            if len(row) != width:
                raise self._uneven(line, row)
            if self.words is not None:
                self.words.append(row[self.label].strip())
                if self.words[-1].lower() in MISSING:
                    raise self._wrong(line, row, self.label)
            cells = row if len(self.kept) == width else [row[i] for i in self.kept]
            try:
                if "_" in "".join(cells):  # float() would skip an underscore between digits
                    raise ValueError
                values.extend(map(float, cells))
            except ValueError:
                wrong = next(i for i in self.kept if not _is_number(row[i]))
                raise self._wrong(line, row, wrong) from None
        if not count:
            raise self._nothing()
        x = np.frombuffer(values, np.float64) if values else np.empty(0)
        return x.reshape(count, len(self.kept))

    def _uneven(self, line, row):
        """Make the `DataError` for a line whose number of values differs from the first line's."""
        advice = "make them equal"
        if self.names and len(row) == len(self.first) + 1:
            advice = "give each column a name; where R wrote row names, use write.csv(x, file, row.names = FALSE)"
            advice = advice if row[-1].strip() else TRAILING
        for whose, cells in (("it", row), ("the first line", self.first)):
            if cells[0].lstrip().startswith("#"):
                advice = f"{whose} seems to be a comment: remove it"
        advice = _other_separator(self.first, row) or advice
        what = f"line {line} has {counted(len(row), 'value')} where the first has {len(self.first)}"
        return problem(self.path, f"{what}: {advice}")

    def _wrong(self, line, row, i):
        """Make the `DataError` for a cell that is not a number, or for a missing label."""
        cell = row[i]
        what = f"holds {cell[:40]!r}, not a number" if cell.strip() else "is empty"
        advice = _other_separator(row) or "replace it, or leave the row out"
        if i == len(row) - 1 and self.trailing:
            advice = TRAILING
        if cell.strip().lower() not in MISSING and advice.startswith("replace"):
            name = self.names[i] if self.names else str(i + 1)
            advice += f"; if these are the labels, pass {flag('label_column', name)}"
        return problem(self.path, f"line {line}, column {i + 1} {what}: {advice}")

    def _report(self, named, left_out):
        """Add notes on what was recognised, and on what may be meant otherwise."""
        if named:
            overrule = f" ({either('header=False', '--header no')} reads it as a row of values)"
            shown = listed([name for name in self.names if name])
            self.notes.append(f"first line read as names: {shown}{overrule * any(map(_is_number, self.first))}")
        else:
            self.notes.append("no line of names: the first line is read as numbers")
        self.notes += [f"column {i + 1} has no name, so it is taken for row numbers and left out" for i in left_out]
        for i, column in enumerate(self.kept):
            name = self.names[column] if named else ""
            if self.label is None and name.lower() in LIKE_LABELS:
                way = flag("label_column", name)
                self.notes.append(f"{self.columns[column]} is read as values: {way} makes it the labels")
            if i == 0 and len(self.x) > 2 and (np.diff(self.x[:, 0]) == 1).all() and self.x[0, 0] in (0, 1):
                self.notes.append(f"{self.columns[column]} counts the rows: remove it if it is not a measured value")


def _lines(text, path):
    while line := text.readline(LONGEST):
        if len(line) == LONGEST:
            raise problem(path, f"has a line of more than {LONGEST:,} characters: give a table of numbers")
        yield line


def _is_header(first, second):
    """Whether the first row of a table holds column names, judged by it and the row below (itself if there is none).

    - A row of words holds names.
    - A row of numbers holds data, except 0, 1, 2, ...: pandas writes these as names of columns without names, for all
      columns (",0,1,2") or for some ("0,1,2,label").
    - A row with words and numbers holds names if a word stands above a number. If each word stands above a word, the
      column holds the class, and the row is data.
    """
    numbers = [cell.strip() for cell in first if _is_number(cell)]
    words = [cell.strip().lower() for cell in first if not _is_number(cell)]
    words = [word for word in words if word not in MISSING]
    counted = numbers == [str(i) for i in range(len(numbers))]
    if not numbers:
        return True
    if not words:
        return counted and (len(first) > 1 or not second[0].strip().lstrip("+-").isdecimal())
    below = itertools.zip_longest(first, second, fillvalue="")
    over = any(cell.strip().lower() in words and _is_number(other) for cell, other in below)
    return over or counted and (len(numbers) > 2 or not {*LABELS, *LIKE_LABELS}.isdisjoint(words))


def _clean(names):
    """Strip blanks around the names, and the # that numpy.savetxt puts before a line of names."""
    names = [name.strip() for name in names]
    return [names[0].removeprefix("#").strip(), *names[1:]]


def _labels(words, count, path):
    """Convert labels as they are written into (labels (N,), names of classes or None)."""
    are_numbers = [_is_number(word) for word in words]
    if not any(are_numbers):
        names = sorted(set(words))
        if len(names) > MAX_CLASSES:
            raise problem(path, f"has {len(names):,} different labels, and {MAX_CLASSES:,} is the most: group them")
        number = {name: i for i, name in enumerate(names)}
        return np.array([number[word] for word in words], np.int64), tuple(names)
    if not all(are_numbers):
        odd = words[are_numbers.index(False)][:40]
        raise problem(path, f"has the label {odd!r} among labels that are numbers: use numbers alone, or words alone")
    labels = np.array(list(map(float, words)))
    whole = bool(((labels == np.rint(labels)) & (np.abs(labels) < 2**53)).all())
    return check_labels(labels.astype(np.int64) if whole else labels, count, path), None


def _other_separator(*rows):
    """Advice for cells that seem to use another separator, or decimal commas; None for other cells."""
    cells = [cell.strip() for row in rows for cell in row]
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if any(mark in cell for cell in cells):
            way = f"pandas.read_csv(path, sep={mark!r}{', decimal=' + repr(',') if mark == ';' else ''})"
            way = f"separate them by commas, e.g. {way}.to_csv(new, index=False)"
            return f"its columns seem to be separated by {name}: {way}"
    if any(len(cell.split()) > 1 and all(map(_is_number, cell.split())) for cell in cells):
        return "its columns seem to be separated by blanks: separate them by commas (numpy.savetxt: delimiter=',')"
    if any(re.fullmatch(r"[+-]?\d+,\d+", cell) for cell in cells):
        return "its numbers seem to have decimal commas: write points, e.g. by pandas.read_csv(path, decimal=',')"
    return None


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
