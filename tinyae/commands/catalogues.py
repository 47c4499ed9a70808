"""`tinyae models`, `tinyae data` and `tinyae info`: what there is."""

import sys

from ..errors import ConfigError
from .arguments import add_json, print_json
from .model_options import as_text, default_options


def models_options(parser):
    add_json(parser.add_argument)


def models(arguments):
    """List the models: what they are, their parameter counts at 28x28 (pixelcnn: 7x7), and their options for --set."""
    from ..models import NAMES

    rows = []
    for name, model_class in NAMES.items():
        summary = sys.modules[model_class.__module__].__doc__.partition("\n")[0]
        count = model_class().param_count
        rows.append({"name": name, "params": count, "summary": summary, "options": default_options(model_class)})
    if arguments.json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:<18}{row['params']:>12,}  {row['summary']}")
        print(f"{'':<32}options: {', '.join(f'{key}={as_text(value)}' for key, value in row['options'].items())}")


def data_options(parser):
    parser.add_argument("action", nargs="?", choices=("list", "fetch"), default="list", help="list (default) or fetch")
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to fetch")
    add_json(parser.add_argument)


def data(arguments):
    """List the data sets, or fetch one: 'tinyae data fetch mnist'."""
    from .. import data as sets

    if arguments.action == "fetch":
        if arguments.name is None:
            raise ConfigError("tinyae data fetch needs a name, e.g. tinyae data fetch mnist")
        where = sets.fetch(arguments.name, progress=_download_progress())
        if arguments.json:
            print_json({"name": arguments.name, "where": where})
        else:
            print(where)
        return
    if arguments.name is not None:
        raise ConfigError(f"tinyae data list takes no name: tinyae train MODEL --data {arguments.name} loads it")
    rows = sets.catalogue()
    if arguments.json:
        print_json(rows)
        return
    for row in rows:
        shape = "x".join(map(str, row["shape"]))
        where = row["where"] if row["available"] else f"not here: tinyae data fetch {row['name']}"
        print(f"{row['name']:<15}{row['description']}; {row['train']:,} + {row['test']:,} images of {shape}")
        print(f"{'':<15}{row['licence']}; {where}")


def _download_progress():
    """A function of (file, bytes done, bytes in all) that draws a bar, where tqdm and a terminal are there."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    bars = {}

    def show(name, done, total):
        if name not in bars:
            bars[name] = tqdm(desc=name, total=total, unit="B", unit_scale=True, file=sys.stderr)
        bars[name].update(done - bars[name].n)

    return show


def info_options(parser):
    add_json(parser.add_argument)


def info(arguments):
    """Say what this machine and installation have: versions, threads, backends, extras."""
    from ..info import facts

    answer = facts()
    if arguments.json:
        print_json(answer)
    else:
        for name, value in answer.items():
            print(f"{name:<15}{value}")
