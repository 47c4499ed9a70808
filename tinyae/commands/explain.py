"""`tinyae explain` shows formula, code, shapes and gradients of a layer, a loss, an optimiser or a model."""

import os
import sys
import textwrap

from ..errors import ConfigError
from .arguments import add_json, add_threads, constructor_argument, print_json, shape


def explain_options(parser):
    add = parser.add_argument
    what = "a layer, loss, latent operation, optimiser or model (default: list all)"
    add("name", nargs="?", metavar="NAME", help=what)
    add("--shape", type=shape, metavar="A,B,...", help="input shape of a layer or a model, without the batch axis")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="an argument of its constructor; repeatable")
    add("--plot", metavar="FILE", help="write a .png: gradients and their differences, or a model's gradient norms")
    add_threads(add)
    add_json(add)


def explain(arguments):
    """Explain a layer, loss, latent operation, optimiser or model: its formula, its code, and what it does in a run.

    A layer has the shapes of an example and each gradient compared with central differences, a model its training step
    line by line with the shapes of a run. Without a name, all names are listed.
    """
    from .. import explain as wing
    from ..explain import pictures, text

    if arguments.name is None:
        _list(wing.catalogue(), arguments.json)
        return
    if arguments.plot and not arguments.plot.endswith(".png"):
        raise ConfigError(f"--plot writes a .png: name it so, got {arguments.plot}")
    found = wing.explain(arguments.name, arguments.shape, dict(map(constructor_argument, arguments.set)))
    if arguments.plot:
        pictures.plot(arguments.plot, found)
    if arguments.json:
        print_json({key: value for key, value in found.items() if key != "arrays"})
        return
    print(*text.lines(found, _colours()), sep="\n")
    if arguments.plot:
        print(f"\nwrote {arguments.plot}")


def _colours():
    """Whether stdout is a terminal that shows colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _list(entries, as_json):
    if as_json:
        print_json([{"name": e.name, "kind": e.kind, "summary": e.summary} for e in entries.values()])
        return
    kind = None
    for entry in entries.values():
        if entry.kind != kind:
            kind = entry.kind
            print(f"\n{'losses' if kind == 'loss' else f'{kind}s'}")
        print(f"  {entry.name:<32}{textwrap.shorten(entry.summary, 90, placeholder=' ...')}")
    print("\n'tinyae explain NAME' explains one.")
