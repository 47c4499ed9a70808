"""What layers on images refuse: in one line that names the layer."""

import numpy as np
import pytest

from tinyae.errors import ConfigError, ShapeError
from tinyae.layers import (
    AveragePool2D,
    Conv2D,
    ConvTranspose2D,
    GroupNorm,
    MaskedConv2D,
    MaxPool2D,
    Residual,
    Resize2D,
    UpSample2D,
)


@pytest.mark.parametrize(
    "cls, options",
    [
        (Conv2D, {"filters": 0}),
        (Conv2D, {"filters": (2, 3)}),
        (Conv2D, {"kernel_size": 0}),
        (Conv2D, {"kernel_size": (3, 3, 3)}),
        (Conv2D, {"kernel_size": 2.0}),
        (Conv2D, {"stride": 0}),
        (Conv2D, {"stride": True}),
        (Conv2D, {"dilation": (1, 0)}),
        (Conv2D, {"padding": "full"}),
        (Conv2D, {"padding": -1}),
        (Conv2D, {"padding": (1, 1)}),
        (Conv2D, {"padding": ((0, -1), (0, 0))}),
        (Conv2D, {"groups": 3}),
        (Conv2D, {"groups": 0}),
        (ConvTranspose2D, {"filters": (2, 3)}),
        (ConvTranspose2D, {"stride": 2, "padding": 1, "output_padding": 2}),
        (ConvTranspose2D, {"stride": 2, "output_padding": 1}),
        (ConvTranspose2D, {"output_padding": -1}),
        (MaskedConv2D, {"mask": "A", "kernel_size": 2}),
        (MaskedConv2D, {"mask": "C"}),
        (MaskedConv2D, {"mask": "A", "stride": 0}),
    ],
)
def test_option_of_a_convolution(cls, options):
    with pytest.raises(ConfigError, match=rf"\A{cls.__name__}: [^\n]+\Z"):
        cls(**{"filters": 4, "kernel_size": 3} | options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MaxPool2D(0),
        lambda: MaxPool2D((2, 2, 2)),
        lambda: AveragePool2D(2, stride=0),
        lambda: AveragePool2D(2, padding="all"),
        lambda: UpSample2D(0),
        lambda: UpSample2D(1.5),
        lambda: Resize2D(0, 3),
        lambda: Resize2D((2, 3), 3),
        lambda: GroupNorm(0),
        lambda: GroupNorm(2.0),
    ],
)
def test_option_of_another_layer(make):
    with pytest.raises(ConfigError, match=r"\A[A-Z]\w+: [^\n]+\Z"):
        make()


@pytest.mark.parametrize(
    "layer, shape",
    [
        (Conv2D(2, 3), (4, 4)),
        (Conv2D(2, 3), (4, 4, 5)),
        (Conv2D(2, 5, padding="valid"), (4, 6, 3)),
        (Conv2D(2, 3, padding="valid", dilation=2), (4, 6, 3)),
        (ConvTranspose2D(2, 3), (4, 4)),
        (ConvTranspose2D(2, 3), (4, 4, 5)),
        (ConvTranspose2D(2, 3, padding=2), (2, 4, 3)),
        (MaskedConv2D(2, 5, "A", padding="valid"), (4, 6, 3)),
        (MaxPool2D(3), (2, 4, 3)),
        (MaxPool2D(2, padding=2), (4, 4, 3)),
        (AveragePool2D(3), (4, 4)),
        (UpSample2D(2), (4, 4)),
        (Resize2D(2, 2), (4, 4)),
        (GroupNorm(3), (4, 4, 5)),
        (Residual(Conv2D(3, 3, padding="valid")), (5, 5, 3)),
    ],
    ids=repr,
)
def test_shape(layer, shape):
    params = layer.init((9, 9, 3), 0) if not isinstance(layer, Residual) else {"0": layer.layers[0].init(shape, 0)}
    with pytest.raises(ShapeError, match=rf"\A{type(layer).__name__}\([^\n]+\Z"):
        layer.forward(params, np.zeros((2, *shape), "float32"))


@pytest.mark.parametrize(
    "layer, shape",
    [(Conv2D(2, 3, groups=2), (4, 4, 3)), (GroupNorm(2), (4, 4, 3)), (ConvTranspose2D(2, 1, padding=2), (3, 3, 1))],
    ids=repr,
)
def test_shape_before_there_are_parameters(layer, shape):
    with pytest.raises(ShapeError, match=rf"\A{type(layer).__name__}\([^\n]+\Z"):
        layer.param_shapes(shape)
        layer.output_shape(shape)


@pytest.mark.parametrize("make", [Conv2D, ConvTranspose2D])
def test_an_unknown_initialiser_is_refused_when_the_layer_is_made(make):
    with pytest.raises(ConfigError, match="unknown initialiser 'hee': did you mean 'he'"):
        make(2, 3, init="hee")
