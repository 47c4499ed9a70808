"""Layers as data: `layer.config` and `from_config`, over the registry and for a user's own classes."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from tinyae.backend import Noise
from tinyae.errors import ConfigError, NotImportedError
from tinyae.layers import REGISTRY, Conv2D, Dense, Layer, MaskedConv2D, ReLU, Reshape, Residual, Sequential, from_config
from tinyae.params import walk

EXAMPLES = [
    (layer, shape)
    for kind in list(REGISTRY.values())
    if kind.__module__.startswith("tinyae.")
    for layer, shape in kind.examples()
]


def again(layer):
    return from_config(json.loads(json.dumps(layer.config)))


@pytest.mark.parametrize("layer, shape", EXAMPLES, ids=[f"{layer!r}{shape}" for layer, shape in EXAMPLES])
def test_a_layer_comes_back_from_its_config(layer, shape):
    twin, rng = again(layer), np.random.default_rng(0)
    assert (type(twin), repr(twin), twin.config) == (type(layer), repr(layer), layer.config)
    assert twin.param_shapes(shape) == layer.param_shapes(shape)
    params = layer.init(shape, 3, "float64")
    for (_, ours), (_, theirs) in zip(walk(params), walk(twin.init(shape, 3, "float64")), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    most = layer.integer_input
    x = rng.normal(size=(3, *shape)) if most is None else rng.integers(0, most, (3, *shape))
    for train in (False, True):
        ours, theirs = (each.forward(params, x, train, Noise(1), each.init_state(shape))[0] for each in (layer, twin))
        np.testing.assert_array_equal(ours, theirs)


def test_a_config_has_the_constructors_arguments():
    layer = Residual(Dense(np.int64(3)), ReLU(), projection=Dense(3, bias=False))
    dense = {"class": "Dense", "units": 3, "bias": True, "init": "glorot"}
    assert layer.config == {
        "class": "Residual", "layers": [dense, {"class": "ReLU"}], "projection": dense | {"bias": False}
    }  # fmt: skip
    masked = MaskedConv2D(2, (3, 5), mask="B", bias=False)  # the last one is collected by **options
    assert masked.config == {"class": "MaskedConv2D", "filters": 2, "kernel_size": [3, 5], "mask": "B", "bias": False}
    assert again(masked).bias is False


def test_a_layer_with_a_shape_is_no_array():
    assert repr(again(Sequential(Reshape((2, 1))))) == "Sequential(Reshape(shape=(2, 1)))"


def test_a_config_stays_when_a_list_that_was_given_changes():
    size = [3, 3]
    layer = Conv2D(2, size)
    size[0] = 5
    assert layer.config["kernel_size"] == [3, 3]


def test_an_argument_that_is_left_out_has_its_default():
    assert from_config({"class": "Dense", "units": 3}).config == Dense(3).config


@pytest.mark.parametrize(
    "config, message",
    [
        ({"class": "Dens", "units": 3}, "unknown layer 'Dens': did you mean 'Dense'"),
        ({"class": 3}, "the description of a layer has its class, a name, under 'class', not 3"),
        ({}, "the description of a layer has its class, a name, under 'class', not None"),
        ({"class": "Dense", "units": 3, "bios": True}, "Dense takes no argument 'bios'"),
        ({"class": "Dense", "units": 0}, "Dense: units must be an integer from 1"),
        ({"class": "Sequential", "layers": [3]}, "Sequential: layers must be layers, one argument each, got "),
    ],
)
def test_what_is_no_layer_is_refused(config, message):
    with pytest.raises(ConfigError, match=rf"\A{message}"):
        from_config(config)


def test_an_own_class_is_named_with_its_module(registry):
    class Dense(Layer):
        """It has the name of one of tinyae's."""

        def __init__(self, layer, *factors, size=(1, 2), **more):
            self.layer, self.factors, self.size, self.more = layer, factors, size, more

    own = Dense(Sequential(ReLU()), 2, 0.5, deep=True)
    name = f"{__name__}:test_an_own_class_is_named_with_its_module.<locals>.Dense"
    assert own.config == {
        "class": name, "layer": {"class": "Sequential", "layers": [{"class": "ReLU"}]}, "factors": [2, 0.5],
        "size": [1, 2], "deep": True,
    }  # fmt: skip
    twin = again(own)
    assert (twin.factors, twin.size, twin.more, repr(twin.layer)) == ((2, 0.5), (1, 2), {"deep": True}, repr(own.layer))
    assert registry["Dense"].__module__ == "tinyae.layers.dense"
    config = own.config
    del registry[name]
    with pytest.raises(NotImportedError, match=rf"your own class .*Dense: import the module {__name__} first\Z"):
        from_config(config)


def test_the_outermost_constructor_is_kept(registry):
    class Mixin:
        def __init__(self, twice):
            super().__init__(2 * twice)

    class Wide(Mixin, Dense):
        pass

    class Wider(Wide):
        def __init__(self, half):
            super().__init__(half // 2)

    for layer, argument in ((Wide(3), {"twice": 3}), (Wider(6), {"half": 6})):
        assert layer.config == {"class": f"{__name__}:{type(layer).__qualname__}"} | argument
        assert again(layer).units == layer.units == 6


def test_what_cannot_be_saved_is_named(registry):
    class Apply(Layer):
        def __init__(self, function):
            self.function = function

    class _Hidden(Layer):
        pass

    @dataclass(repr=False)
    class Data(Layer):
        size: int = 1

    message = "Apply cannot be saved: its argument function is .*, not a number, text, a layer or a sequence of these"
    for layer, said in (
        (Apply(len), message), (Sequential(Apply({"a": 1})), message),
        (_Hidden(), "_Hidden cannot be saved: give the class a name that does not begin with '_'"),
        (Data(2), "Data cannot be saved: write its __init__ in the class"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            layer.config  # noqa: B018
