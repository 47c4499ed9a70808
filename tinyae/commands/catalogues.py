"""`tinyae models`, `tinyae data` and `tinyae info` list models, data sets, and facts about the installation."""

import contextlib
import shutil
import sys
import textwrap

from ..errors import ConfigError
from ..terminal import Screen
from .arguments import add_json, print_json, print_line
from .model_options import as_text, default_options, find_model, kinds_of, meanings
from .own_networks import network_options


def models_options(parser):
    parser.add_argument("name", nargs="?", metavar="MODEL", help="explain the options of this model")
    parser.add_argument("--options", action="store_true", help="explain the options of all models")
    add_json(parser.add_argument)


def models(arguments):
    """List the models, or explain the options of one: 'tinyae models vq-vae'.

    The list shows each model's name, its number of parameters for images of 28x28 (pixelcnn: 7x7), a description, and
    its options for --set.
    """
    from ..models import NAMES

    if arguments.name is not None:
        row = about_model(find_model(arguments.name))
        if arguments.json:
            print_json(row)
        else:
            explain(row)
        return
    rows = list(map(about_model, NAMES.values()))
    if arguments.json:
        print_json(rows)
        return
    if arguments.options:
        for row in rows:
            explain(row)
            print()
        return
    for row in rows:
        options = ", ".join(f"{key}={as_text(value)}" for key, value in row["options"].items())
        print(f"{row['name']:<18}{row['params']:>12,}  {row['summary']}")
        print(wrapped(f"options: {options}", 32))
    print("\n'tinyae models MODEL' explains a model's options.")


def about_model(model_class):
    """{name: value} of the facts about a model, for the list and for --json."""
    options = default_options(model_class)
    return {
        "name": model_class.name, "params": model_class().param_count,
        "summary": (sys.modules[model_class.__module__].__doc__ or "").partition("\n")[0], "options": options,
        "networks": network_options(model_class),
        "kinds": kinds_of(model_class), "meanings": meanings(model_class),
    }  # fmt: skip


def explain(row):
    """Print the options of a model with their meanings."""
    size = "7x7" if row["name"] == "pixelcnn" else "28x28"
    print(f"{row['name']}: {row['summary']}\n{row['params']:,} parameters at {size} with these defaults.\n")
    print(f"Options, for tinyae train {row['name']} --set KEY=VALUE, which may be repeated:")
    for name, value in row["options"].items():
        print(f"\n  {name}={as_text(value)}")
        print(wrapped(row["meanings"][name], 6))
        print(wrapped(f"({row['kinds'][name]})", 6))
    if row["networks"]:
        print("\n  networks=FILE.py    (your own networks)")
        print(wrapped(f"a Python file that defines any of {', '.join(row['networks'])}: layers, or functions that "
                      "return one; other commands then take it as --networks FILE.py", 6))  # fmt: skip


def wrapped(text, indent):
    """`text` wrapped to the width of the terminal, each line indented."""
    width = min(120, shutil.get_terminal_size().columns)
    space = " " * indent
    return textwrap.fill(
        text, width, initial_indent=space, subsequent_indent=space, break_on_hyphens=False, break_long_words=False
    )


def data_options(parser):
    parser.add_argument("action", nargs="?", choices=("list", "fetch"), default="list", help="list (default) or fetch")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the data set to fetch")
    add_json(parser.add_argument)


def data(arguments):
    """List the data sets, or fetch one: 'tinyae data fetch mnist'."""
    from .. import data as sets

    if arguments.action == "fetch":
        if arguments.name is None:
            raise ConfigError("tinyae data fetch needs a name, e.g. tinyae data fetch mnist")
        with _download_progress() as progress:
            where = sets.fetch(arguments.name, progress)
        if arguments.json:
            print_json({"name": arguments.name, "where": where})
        else:
            print_line(where)
        return
    if arguments.name is not None:
        raise ConfigError(f"tinyae data list takes no name: tinyae train MODEL --data {arguments.name} loads it")
    rows = sets.catalogue()
    if arguments.json:
        print_json(rows)
        return
    for row in rows:
        shape = "x".join(map(str, row["shape"]))
        where = row["where"] if row["available"] else f"not here, get it with: tinyae data fetch {row['name']}"
        print(f"{row['name']:<15}{row['description']}; {row['train']:,} + {row['test']:,} images of {shape}")
        print_line(f"{'':<15}{row['licence']}; {where}")


@contextlib.contextmanager
def _download_progress():
    """A function of (file, bytes done, total bytes) that shows a progress bar; None without tqdm or a terminal."""
    screen, tqdm, bars = Screen(), None, {}
    if screen.columns:
        with contextlib.suppress(ImportError):
            from tqdm import tqdm

    def show(name, done, total):
        if name not in bars:
            bars[name] = tqdm(desc=name, total=total, unit="B", unit_scale=True, file=screen)
        bars[name].update(done - bars[name].n)

    try:
        yield show if tqdm else None
    finally:
        for bar in bars.values():
            bar.close()


def info_options(parser):
    add_json(parser.add_argument)


def info(arguments):
    """Show what this machine and this installation have: versions, cores, backends, extras."""
    from .info import facts

    answer = facts()
    if arguments.json:
        print_json(answer)
    else:
        for name, value in answer.items():
            print_line(f"{name:<15}{value}")
