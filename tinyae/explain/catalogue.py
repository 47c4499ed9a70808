"""What can be explained: a row for each layer, loss, latent operation, optimiser and model."""

from typing import NamedTuple

from ..errors import ConfigError, suggest
from ..gradcheck import functions
from ..layers import REGISTRY
from ..models import NAMES
from ..optim import OPTIMIZERS
from . import function, layer, model, optimizer
from .source import doc


class Entry(NamedTuple):
    """A thing to explain; `explain(shape, settings)` gives the dict."""

    name: str
    kind: str
    summary: str
    explain: object


def catalogue():
    """{name: Entry}, kind by kind."""
    layers = {name: cls for name, cls in REGISTRY.items() if cls.__module__.startswith("tinyae.")}
    optimizers = {cls.__name__: cls for cls in OPTIMIZERS.values()}
    entries = [_entry(name, "layer", cls, layer.explain, cls) for name, cls in sorted(layers.items())]
    for name in functions():
        where = function.home(name)
        kind = "loss" if ".losses" in where.__module__ else "latent operation"
        entries.append(_entry(name, kind, where, function.explain, kind))
    entries += [_entry(name, "optimiser", cls, optimizer.explain, cls) for name, cls in optimizers.items()]
    entries += [_entry(name, "model", cls, model.explain, cls) for name, cls in NAMES.items()]
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


def _entry(name, kind, documented, explainer, argument):
    """The Entry that calls explainer(name, argument, shape, settings), summed up by the docstring of `documented`."""

    def explain(shape, settings):
        try:
            return explainer(name, argument, shape, settings)
        except TypeError as error:
            if settings and "argument" in str(error):
                raise ConfigError(f"{name}: {error}") from None
            raise

    return Entry(name, kind, doc(documented)[0], explain)
