"""What can be explained: a row for each layer, loss, latent operation, optimiser and model."""

import inspect
from typing import NamedTuple

from .. import optim
from ..errors import ConfigError, suggest
from ..gradcheck import functions
from ..layers import REGISTRY
from ..models import NAMES
from . import function, layer, model, optimizer


class Entry(NamedTuple):
    """A thing to explain; `explain(shape, settings)` gives the dict."""

    name: str
    kind: str
    summary: str
    explain: object


def catalogue():
    """{name: Entry}, kind by kind."""
    layers = {name: cls for name, cls in REGISTRY.items() if cls.__module__.startswith("tinyae.")}
    optimizers = {
        name: cls for name, cls in vars(optim).items()
        if inspect.isclass(cls) and issubclass(cls, optim.Optimizer) and cls is not optim.Optimizer
    }  # fmt: skip
    entries = [Entry(name, "layer", _first(cls), _of(layer.explain, name, cls)) for name, cls in sorted(layers.items())]
    for name in functions():
        where = function.home(name)
        kind = "loss" if ".losses" in where.__module__ else "latent operation"
        entries.append(Entry(name, kind, _first(where), _of(function.explain, name, kind)))
    entries += [Entry(name, "optimiser", _first(c), _of(optimizer.explain, name, c)) for name, c in optimizers.items()]
    for name, cls in NAMES.items():
        summary = (inspect.getmodule(cls).__doc__ or "").partition("\n")[0]
        entries.append(Entry(name, "model", summary, _of(model.explain, name, cls)))
    order = ("layer", "loss", "latent operation", "optimiser", "model")
    return {entry.name: entry for kind in order for entry in entries if entry.kind == kind}


def find(name):
    """The Entry of a name, a model's class, or a dotted name such as latent.gaussian.sample. Raises ConfigError."""
    known = catalogue()
    classes = {cls.__name__: command for command, cls in NAMES.items()}
    wanted = name if name in known else name.rpartition(".")[2]
    wanted = classes.get(wanted, wanted)
    if wanted not in known:
        raise suggest("layer, function, optimiser or model", name, [*known, *classes])
    return known[wanted]


def _of(explainer, *arguments):
    def explain(shape, settings):
        try:
            return explainer(*arguments, shape, settings)
        except TypeError as error:
            if settings and "argument" in str(error):
                raise ConfigError(f"{arguments[0]}: {error}") from None
            raise

    return explain


def _first(thing):
    """The first sentence of a docstring, in one line."""
    paragraph = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return " ".join(paragraph.split())
