"""`tinyae encode` writes codes, with the split, row and label of each, to a file for other programs."""

import csv
import io

import numpy as np

from ..data.dataset import class_name
from ..terminal import say
from .arguments import PARTS, add_json, print_json, print_line, run_options
from .trained import load_data, load_run, output_file, save_arrays, tell_notes, write_text


def encode_options(parser):
    add = run_options(parser, "a .npz or .csv file (default codes.npz in the run's folder)", split=False)
    add("--split", choices=("all", *PARTS), default="all", help="split of the data set (default: all)")
    add_json(add)


def encode(arguments):
    """Write the codes of all images or rows of a data set to a .npz or .csv file.

    Each code has its split (train, validation or test) and its row, counted from 0, in the data's file or in the split;
    and its label, class name and image file, if there are any.
    """
    out, kind = output_file(arguments.out, arguments.run_path, "codes.npz", (".npz", ".csv"))
    model, origin = load_run(arguments.run_path, arguments.backend)
    data, split, _ = load_data(origin, model, split=arguments.split, **arguments.data_options)
    parts = {name: part for name, part in data.parts.items() if split in ("all", name)}
    columns = described(parts, data.class_names)
    codes = np.concatenate([model.encode(part.x, **model.label_arguments(part.labels)) for part in parts.values()])
    if all(part.rows is not None for part in parts.values()):  # the order of the data's file
        order = np.argsort(columns["rows"], kind="stable")
        codes, columns = codes[order], {name: column[order] for name, column in columns.items()}
    if kind == ".npz":
        names = {"class_names": np.array(data.class_names)} if data.class_names else {}
        save_arrays(out, {"codes": codes} | columns | names)
    else:
        write_text(out, as_csv(codes, columns))
    counts = {name: len(part) for name, part in parts.items()}
    if arguments.json:
        print_json({"model": model.name, "data": data.name, "codes": len(codes), "parts": counts, "out": out})
    else:
        print_line(out)
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        say(f"{len(codes):,} codes of {data.name}: {told}")
    tell_notes(data)


def described(parts, class_names):
    """{column: array (N,)} that identifies the examples of the splits {name: Split}, one split after the other."""
    columns = {
        "labels": [part.labels for part in parts.values()],
        "parts": [np.full(len(part), name) for name, part in parts.items()],
        "rows": [np.arange(len(part)) if part.rows is None else part.rows for part in parts.values()],
        "files": [None if part.files is None else np.array(part.files) for part in parts.values()],
    }
    found = {name: np.concatenate(each) for name, each in columns.items() if all(part is not None for part in each)}
    if "labels" in found and class_names:
        found["classes"] = np.array([class_name(label, class_names) for label in found["labels"]])
    return found


def as_csv(codes, columns):
    """CSV text: a line of column names, then one line for each code. A map of codes is written row by row."""
    codes = codes.reshape(len(codes), -1)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*(f"z{i + 1}" for i in range(codes.shape[1])), *columns])
    for code, *rest in zip(codes, *columns.values(), strict=True):
        lines.writerow([*map(repr, code.tolist()), *rest])
    return text.getvalue()
