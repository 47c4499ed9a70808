"""Options that several commands share, the parsing of their values, and output as JSON."""

import argparse
import ast
import functools
import json
import math

from ..errors import ConfigError
from ..terminal import printable

# Every command names a class in this way.
CALLED = "by its name, or by its number from 0 if no class has a number as its name"


def size(text):
    """Parse an image size, "28" or "28x32", into (height, width) in pixels."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected a size in pixels, 28 or 28x32 (height x width), got {text!r}")
    height, width = parts * 2 if len(parts) == 1 else parts
    return int(height), int(width)


def at_least(least, most=None):
    """A function that parses an integer from `least` to `most`, for argparse. `most` catches typing errors."""

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
    """Parse "yes" or "no" into True or False, for argparse."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"expected yes or no, got {text!r}")
    return text == "yes"


POSITIVE, NATURAL = at_least(1), at_least(0)


def shape(text):
    """Parse "5,5,3" as a shape, for argparse."""
    sizes = text.split(",")
    if not all(size.strip().isdecimal() and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"expected sizes with commas between them, such as 5,5,3, got {text!r}")
    return tuple(map(int, sizes))


def number(text):
    """Parse a finite number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return value


PARTS = ("train", "validation", "test")
LOADING = ("size", "fit", "header", "label_column")  # the options of `data.load`


class DataOption(argparse.Action):
    """An option whose value goes into the dict `data_options`, the keyword arguments of `trained.load_data`.

    The dict holds only the options that are given.
    """

    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, "data_options", default={}, **options)
        self.name = dest

    def __call__(self, parser, namespace, value, option_string=None):
        namespace.data_options = namespace.data_options | {self.name: value}


def run_options(parser, out_help=None, data=True, seed=False, several=False, split=True):
    """Add the options of a command on a trained run to an argparse parser, and return its `add_argument`.

    out_help: help text of --out, for a command that writes a file. data, seed, split: whether to add the options that
    choose the data, the seed of the noise, and the split of the data set. several: whether the command takes several
    runs.
    """
    add, meaning = parser.add_argument, "a run's folder, such as runs/vae, or a checkpoint file"
    if several:
        add("runs", metavar="RUN", nargs="+", help=f"{meaning}; one or more")
    else:
        add("run_path", metavar="RUN", help=meaning)
    if data:
        add_data(add, "name or path of a data set (default: the run's training data)")
        add_loading(add)
        if split:
            which = "split of the data set (default: test, or validation if there is no test split)"
            add("--split", action=DataOption, choices=PARTS, help=which)
    if seed:
        add("--seed", type=NATURAL, default=0, metavar="N", help="seed of the noise (default 0)")
    if out_help:
        add("--out", metavar="FILE", help=out_help)
    networks = "Python file with the layer classes of a run that was trained with --set networks=FILE"
    add("--networks", metavar="FILE", help=networks)
    add_backend(add)
    return add


def add_data(add, data_help):
    """Add --data. add: an argparse parser's `add_argument`."""
    add("--data", action=DataOption, metavar="DATA", help=data_help)


def add_loading(add):
    """Add the options of `data.load`. One that is not given has the run's value, or else the default."""
    add_option = functools.partial(add, action=DataOption)
    resize = "resize the images of a folder, e.g. 28 or 32x32 (height x width)"
    add_option("--size", type=size, metavar="HxW", help=resize)
    add_option("--fit", metavar="HOW", help="how --size changes the shape: stretch (default), crop, or pad with black")
    header = "whether a .csv file begins with a line of column names (default: detected)"
    add_option("--header", type=yes_or_no, metavar="yes|no", help=header)
    column = "column of a .csv file that holds the labels, by name or number from 1 (default: label)"
    add_option("--label-column", metavar="COLUMN", help=column)


def add_backend(add):
    """Add --backend and --threads."""
    add("--backend", default="numpy", metavar="numpy|cupy", help="compute with numpy (CPU, default) or cupy (GPU)")
    add_threads(add)


def add_threads(add):
    add("--threads", type=POSITIVE, metavar="N", help="CPU threads (default: one for each core)")


def add_json(add):
    add("--json", action="store_true", help="print the results as JSON")


def key_value(text, example):
    """(key, value) of a text "KEY=VALUE" that --set takes. Raises `ConfigError` with an example for any other text."""
    key, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set {text}: expected KEY=VALUE, e.g. {example}")
    return key, value


def constructor_argument(text):
    """(name, value) of a text "KEY=VALUE"; the value is a Python literal, true or false, or else the text itself."""
    key, value = key_value(text, "units=3")
    if value in ("true", "false"):
        return key, value == "true"
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def print_line(text):
    """Print a text in one line: unprintable characters of names and paths are escaped."""
    print(printable(text))


def print_json(answer):
    """Print one line of JSON. NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(json.loads(json.dumps(answer), parse_constant=lambda name: None)))
