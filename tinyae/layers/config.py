"""Layers as data: the class of a layer and its constructor's arguments, so that a checkpoint can hold a network.

    Sequential(Flatten(), GroupNorm(4)).config
    {"class": "Sequential", "layers": [{"class": "Flatten"}, {"class": "GroupNorm", "groups": 4, "epsilon": 1e-05}]}

`from_config` makes the layer again. It looks classes up in REGISTRY and imports nothing.
"""

import functools
import inspect

from ..errors import ConfigError, NotImportedError, suggest
from ..options import is_sequence, plain, sequence, shown
from ..wording import either

REGISTRY = {}  # the classes of layers by `name_of`, except those whose name begins with an underscore
MAIN = "__main__"  # the module of a script or a notebook


def is_tinyaes(kind):
    """Whether a class is one of tinyae's, and not a user's own."""
    return kind.__module__.startswith("tinyae.")


def name_of(kind):
    """The name of a class in REGISTRY and in files: "Dense" for one of tinyae's, "module:Class" for a user's own."""
    return kind.__name__ if is_tinyaes(kind) else f"{kind.__module__}:{kind.__qualname__}"


def remembering(init):
    """The constructor `init`, which also keeps the arguments of the outermost call in `_arguments`."""
    signature = functools.cache(lambda: inspect.signature(init))

    @functools.wraps(init)
    def remembers(self, *args, **kwargs):
        if "_arguments" not in vars(self):  # otherwise a subclass's constructor has kept its own
            try:
                bound = signature().bind(self, *args, **kwargs)
            except TypeError:
                return init(self, *args, **kwargs)  # it says itself which arguments are missing or unknown
            bound.apply_defaults()
            _, *arguments = bound.arguments.items()
            self._arguments = {name: _copied(value) for name, value in arguments}
        return init(self, *args, **kwargs)

    remembers.remembers = True
    return remembers


def _copied(value):
    """Lists as tuples, so that the arguments that are kept do not change with a list that was given."""
    return tuple(map(_copied, value)) if isinstance(value, (list, tuple)) else value


def to_config(layer):
    """{"class": name, argument: value, ...} of a layer, JSON-ready. ConfigError where a value is not data."""
    kind = type(layer)
    name, init = name_of(kind), kind.__init__
    arguments = {} if init is object.__init__ else vars(layer).get("_arguments")
    if arguments is None:
        raise ConfigError(f"{name} cannot be saved: write its __init__ in the class, so that its arguments are known")
    if name not in REGISTRY:
        raise ConfigError(f"{name} cannot be saved: give the class a name that does not begin with '_'")
    found = {"class": name}
    for parameter in _parameters(kind):
        value = arguments[parameter.name]
        collected = value if parameter.kind is parameter.VAR_KEYWORD else {parameter.name: value}
        found |= {key: _data(each, f"{name} cannot be saved: its argument {key}") for key, each in collected.items()}
    return found


def _data(value, what):
    if isinstance(getattr(type(value), "config", None), property):  # a layer: Reshape has a shape, as arrays have
        return value.config
    value = plain(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_sequence(value):
        return [_data(each, what) for each in sequence(value)]
    raise ConfigError(f"{what} is {shown(value)}, not a number, text, a layer or a sequence of these")


def from_config(config):
    """The layer that `config` describes; its sequences come back as tuples.

    Raises NotImportedError for a user's own class that is not imported, ConfigError for an unknown class or argument.
    """
    name = config.get("class")
    kind = REGISTRY.get(name) if isinstance(name, str) else None
    if kind is None:
        raise _unknown(name)
    parameters, given = _parameters(kind), {key: _value(value) for key, value in config.items() if key != "class"}
    arguments, rest = {}, dict(given)
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments[parameter.name], rest = rest, {}
        elif parameter.name in rest:
            arguments[parameter.name] = rest.pop(parameter.name)
    if rest:
        raise ConfigError(f"{name} takes no argument {shown(next(iter(rest)))}")
    bound = inspect.BoundArguments(inspect.Signature(parameters), arguments)
    return kind(*bound.args, **bound.kwargs)


def not_importable(config):
    """The name of a class in a layer's config, or in a list of them, that no other program can import; None if all can.

    Such are the classes of a script or a notebook, and those that are defined inside a function.
    """
    if isinstance(config, (list, tuple)):
        return next(filter(None, map(not_importable, config)), None)
    if not isinstance(config, dict):
        return None
    name = config.get("class", "")
    if name.startswith(f"{MAIN}:") or "<locals>" in name:
        return name
    return not_importable(list(config.values()))


def _value(value):
    if isinstance(value, (list, tuple)):
        return tuple(map(_value, value))
    return from_config(value) if isinstance(value, dict) else value


def _unknown(name):
    if not isinstance(name, str):
        return ConfigError(f"the description of a layer has its class, a name, under 'class', not {shown(name)}")
    module, _, own = name.rpartition(":")
    if not module:
        return suggest("layer", name, [known for known in REGISTRY if ":" not in known])
    file = f"--networks {module.rpartition('.')[2]}.py"
    how = either(f"import the module {module} first", f"give the Python file that defines it, as in {file}")
    return NotImportedError(f"it has layers of your own class {own}: {how}")


def _parameters(kind):
    """The parameters of a class's constructor, without self."""
    if kind.__init__ is object.__init__:
        return []
    return list(inspect.signature(kind.__init__).parameters.values())[1:]
