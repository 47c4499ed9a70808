"""What several commands have in common: options, how their values are read, and answers for programs."""

import argparse
import functools
import json
import math

from ..terminal import printable

# What names a class, on every command.
CALLED = "by its name, or by its number from 0 where no class is named by a number"


def size(text):
    """For argparse: (height, width) in pixels, from "28" or "28x32"."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected pixels as 28 or 28x32 (height x width), got {text!r}")
    height, width = parts * 2 if len(parts) == 1 else parts
    return int(height), int(width)


def at_least(least, most=None):
    """For argparse: integers from `least` on, to `most` where a larger one would only be a typing error."""

    def read(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or most is not None and value > most:
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise argparse.ArgumentTypeError(f"expected an integer of {bound}, got {text!r}")
        return value

    return read


def yes_or_no(text):
    """For argparse: whether it is yes."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"expected yes or no, got {text!r}")
    return text == "yes"


POSITIVE, NATURAL = at_least(1), at_least(0)


def number(text):
    """For argparse: finite numbers."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return value


PARTS = ("train", "validation", "test")
LOADING = ("size", "fit", "header", "label_column")  # what `data.load` takes beside a name or path


class DataOption(argparse.Action):
    """Keeps an option's value by its name in the dict `data_options`: the keyword arguments of `trained.load_data`.

    An option that is not given is not in the dict.
    """

    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, "data_options", default={}, **options)
        self.name = dest

    def __call__(self, parser, namespace, value, option_string=None):
        namespace.data_options = namespace.data_options | {self.name: value}


def run_options(parser, out_help=None, data=True, seed=False, several=False, split=True):
    """Add the options of a command on a trained run to an argparse parser; returns its `add_argument`.

    out_help: what --out is, for a command that writes a file. data, seed, split: whether there are options to choose
    the data, the seed of the noise, and the part of the data. several: whether the command takes several runs.
    """
    add, meaning = parser.add_argument, "a run's folder, such as runs/vae, or a checkpoint file"
    if several:
        add("runs", metavar="RUN", nargs="+", help=f"{meaning}; one or more")
    else:
        add("run_path", metavar="RUN", help=meaning)
    if data:
        add_data(add, "a data set or path (default: the one the run was trained on)")
        add_loading(add)
        if split:
            which = "which part of the data (default test, without one validation)"
            add("--split", action=DataOption, choices=PARTS, help=which)
    if seed:
        add("--seed", type=NATURAL, default=0, metavar="N", help="of the noise (default 0)")
    if out_help:
        add("--out", metavar="FILE", help=out_help)
    add("--networks", metavar="FILE", help="the Python file of the run's own layer classes (train --set networks=FILE)")
    add_backend(add)
    return add


def add_data(add, data_help):
    """--data, by an argparse parser's `add_argument`."""
    add("--data", action=DataOption, metavar="DATA", help=data_help)


def add_loading(add):
    """What `data.load` takes beside a name or path; one not given means the run's own value, else the default."""
    add_option = functools.partial(add, action=DataOption)
    resize = "resize the images of a folder, e.g. 28 or 32x32 (height x width)"
    add_option("--size", type=size, metavar="HxW", help=resize)
    add_option("--fit", metavar="HOW", help="how --size makes them fit: stretch (default), crop, or pad with black")
    header = "whether a .csv has a line of names (default: recognised)"
    add_option("--header", type=yes_or_no, metavar="yes|no", help=header)
    column = "of a .csv: name or number (from 1) of the labels (default: label)"
    add_option("--label-column", metavar="COLUMN", help=column)


def add_backend(add):
    add("--backend", default="numpy", metavar="numpy|cupy", help="where to compute: numpy (CPU) or cupy (GPU)")
    add_threads(add)


def add_threads(add):
    add("--threads", type=POSITIVE, metavar="N", help="threads on the CPU (default: its cores)")


def add_json(add):
    add("--json", action="store_true", help="print the answer as JSON")


def print_line(text):
    """One line, whatever names and paths are in it."""
    print(printable(text))


def print_json(answer):
    """One line of JSON; NaN and infinity, which JSON does not know, become null."""
    print(json.dumps(json.loads(json.dumps(answer), parse_constant=lambda name: None)))
