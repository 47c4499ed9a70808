"""A user's own networks in a model: what the option takes, what a checkpoint keeps, and the check of the shapes."""

from ..declared import Option
from ..errors import ShapeError
from ..layers import Layer, from_config
from ..options import Kind


class Network(Kind):
    """A layer, or its `config` as a checkpoint has it. None stands for the network that the model makes itself."""

    wanted = "a layer, such as Sequential(...)"

    def check(self, name, value, owner=None):
        layer = from_config(value) if isinstance(value, dict) else value
        if layer is not None and not isinstance(layer, Layer):
            raise self.refusal(name, value, owner)
        return layer

    def stored(self, value):
        return None if value is None else value.config


def own(help):
    """The option for a user's own network."""
    return Option(None, Network(), help)


def output_of(model, name, layer, takes):
    """The shape into which the layer turns the shape `takes`. ShapeError that names the network."""
    try:
        layer.param_shapes(takes)
        return tuple(layer.output_shape(takes))
    except ShapeError as error:
        raise ShapeError(f"{model}: {name} does not take {tuple(takes)}: {error}") from None


def fitting(model, name, layer, takes, gives):
    """The layer, after a check that it turns the shape `takes` into `gives`, both without the batch axis; None if None.

    Raises ShapeError that names both sides.
    """
    if layer is None:
        return None
    found = output_of(model, name, layer, takes)
    if found != tuple(gives):
        raise ShapeError(f"{model}: {name} turns {tuple(takes)} into {found}, but this model needs {tuple(gives)}")
    return layer
