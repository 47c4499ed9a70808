"""The class of a checkpoint's model: one of tinyae's by its name, or a user's own, which must be imported already.

Classes of models enter themselves in CLASSES when they are defined, so that nothing here imports a model.
"""

import inspect

from ..errors import CheckpointError, ConfigError
from ..layers.config import is_tinyaes, name_of
from ..options import shown
from ..wording import either

CLASSES = []  # models, in the order of their definition


def named(name):
    """The class among tinyae's that has this name on the command line, or None."""
    return next((kind for kind in CLASSES if kind.name == name and is_tinyaes(kind)), None)


def own_class(model):
    """ "module:name" of a model's class for a checkpoint, or None for a class of tinyae's."""
    kind = type(model)
    return None if is_tinyaes(kind) else name_of(kind)


def find_class(meta, path):
    """The class that `meta` names, among tinyae's and those imported. Nothing is imported here. CheckpointError."""
    name, own = meta["model"], meta.get("class")
    if own is None and (known := named(name)) is not None:
        return known
    module, _, qualname = (own or "").rpartition(":")
    wanted, key = (name, "name") if own is None else (qualname, "__qualname__")
    found = [kind for kind in CLASSES if getattr(kind, key) == wanted]
    exact = [kind for kind in found if kind.__module__ == module]
    if exact:
        return exact[-1]  # a notebook may define it again: the latest counts
    if len(found) == 1:
        return found[0]  # a script's class, say, that stands in an imported module now
    if own is None:
        raise CheckpointError(f"{path} holds the model '{name}', which this tinyae does not know")
    short = qualname.rpartition(".")[2]
    raise CheckpointError(
        f"{path} holds a model of your own class {short}, of the module {module}, "
        + either(
            f"which is not imported: import it before, or give the class, tinyae.load(path, model={short})",
            f"and commands know tinyae's classes alone: in Python, import it and use tinyae.load('{path}')",
        )
    )


def make(model_class, meta, path, backend):
    """A new model of a class by the options in `meta`. Raises CheckpointError where the class does not take them."""
    if not any(model_class is kind for kind in CLASSES):
        raise ConfigError(f"model: expected a class of models, such as tinyae.models.VAE, got {shown(model_class)}")
    check_class(model_class, meta, path)
    parameters = inspect.signature(model_class).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    common = {"dtype": meta["dtype"], "backend": backend}
    options = meta["config"] | {name: value for name, value in common.items() if _takes(model_class, name)}
    unknown = [name for name in options if name not in parameters and not anything]
    if unknown:
        given = f"the config that it gave to `build` has {unknown[0]}"
        raise CheckpointError(f"{path}: {model_class.__name__} takes no option {unknown[0]}, but {given}: add it")
    return model_class(**options)


def _takes(model_class, option):
    """Whether a class has an option of that name, or passes what it does not name on to a class that has."""
    for kind in model_class.__mro__:
        if "__init__" in vars(kind):
            parameters = inspect.signature(kind.__init__).parameters
            if option in parameters:
                return True
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                return False
    return False


def check_class(model_class, meta, path):
    """Raise CheckpointError where a file is of a user's own class, and the model of another."""
    own = meta.get("class")
    if own is not None and own.rpartition(":")[2] != model_class.__qualname__:
        theirs, ours = own.rpartition(":")[2].rpartition(".")[2], model_class.__name__
        raise CheckpointError(f"{path} holds a model of the class {theirs}, not {ours}: use that class")
