"""Options of a model, declared once: in the signature of its constructor.

    @declared
    def __init__(self, input_shape=INPUT_SHAPE, latent_dim=Option(2, Count(), "The size of a code."), ...): ...

An editor reads the signature as it stands. The checks of values, `model.config`, the Parameters section of the class's
docstring, --set and `tinyae models NAME` are made from it.
"""

import functools
import inspect
import textwrap
from typing import NamedTuple, TypeVar

from .options import SEED as SEEDS
from .options import Dtype, Kind, Shape, Sources

F = TypeVar("F")
SECTIONS = "\nReturns\n---", "\nRaises\n---", "\nReferences\n---", "\nExample\n---"  # the Parameters go before these


class Option(NamedTuple):
    """One option of a model: its default, the kind of its values, and a sentence that explains it to a user."""

    default: object
    kind: Kind
    help: str

    def of(self, default):
        """The same option with another default."""
        return self._replace(default=default)

    def meaning(self, help):
        """The same option with another explanation."""
        return self._replace(help=help)


class BackendName(Kind):
    wanted = '"numpy", "cupy" or a Backend'


INPUT_SHAPE = Option((28, 28, 1), Shape(), "The shape of an example: (H, W, C) of an image, or (D,) of a row.")
SEED = Option(0, SEEDS, "The seed of the initial weights.")
BACKEND = Option("numpy", BackendName(), 'Where arrays are: "numpy" (CPU), "cupy" (GPU), or a `Backend`.')
DTYPE = Option("float32", Dtype(), "The precision of parameters and activations: float32 or float64.")


def published(sources):
    """The option that takes all options of a published implementation; sources: {name: Source}."""

    def described(name, source):
        sets, fit = (", ".join(f"{k}={v}" for k, v in values.items()) for values in (source.options, source.fit))
        return f'"{name}" ({sets}; trained with {fit})'

    listed = "; ".join(described(*item) for item in sources.items())
    text = f"A published implementation to reproduce: {listed}. Options given explicitly take precedence."
    return Option("none", Sources(sources), text.replace("True", "true").replace("False", "false"))


UNSAVED = "seed", "backend", "dtype"  # options that `config` leaves out: a checkpoint holds the weights themselves


def declared(constructor: F) -> F:
    """Decorate a constructor whose defaults are all `Option`s; its body gets plain values, checked by their kinds.

    Explicit values take precedence over those that an option implies, such as `source`. Before the body runs,
    `self.config` holds the values that a checkpoint keeps; networks of a user's own are kept as their `config`.
    Raises ConfigError for a value that its kind refuses.
    """
    own, *parameters = inspect.signature(constructor).parameters.values()
    options = {parameter.name: parameter.default for parameter in parameters}
    plain = [parameter.replace(default=parameter.default.default) for parameter in parameters]
    signature = inspect.Signature([own, *plain])

    @functools.wraps(constructor)
    def checked(self, *args, **kwargs):
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError:
            return constructor(self, *args, **kwargs)  # Python's own message names the argument
        given = {name: value for name, value in given.items() if name in options}
        values = {name: option.default for name, option in options.items()}
        for name in given:
            values |= options[name].kind.implied(given[name], given.keys())
        values = {name: options[name].kind.check(name, value) for name, value in (values | given).items()}
        if "unsaved" not in vars(self):  # else a subclass declares its own options, and passes these on
            kept = {name: options[name].kind.stored(value) for name, value in values.items() if name not in UNSAVED}
            self.config = {name: value for name, value in kept.items() if value is not None}
            self.unsaved = {name: values[name] for name in UNSAVED}
        constructor(self, **values)

    checked.__signature__, checked.options = signature, options
    return checked


def options_of(model_class):
    """{name: Option} of a class with a `declared` constructor, its own or inherited; {} of any other."""
    return getattr(model_class.__init__, "options", {})


def document(model_class):
    """Put the Parameters section, made from the options, into the docstring of a class with its own constructor."""
    options = options_of(model_class) if "__init__" in vars(model_class) else {}
    if not options or not model_class.__doc__:  # python -OO has no docstrings
        return
    doc = inspect.cleandoc(model_class.__doc__) + "\n"
    end = min((doc.find(title) for title in SECTIONS if title in doc), default=len(doc))
    section = "\nParameters\n----------\n"
    for name, option in options.items():
        section += f"{name} : {option.kind.wanted}, default {option.default!r}\n"
        section += textwrap.indent(textwrap.fill(option.help, 112), "    ") + "\n"
    model_class.__doc__ = doc[:end] + section + doc[end:]
