"""Layers with a hand-written forward and backward.

The contract, for every layer:

    y, cache = layer.forward(params, x, train=False, rng=None, state=None)
    dx       = layer.backward(params, cache, dy, grads=None)

- A layer holds hyperparameters only. `params` is a (nested) dict of arrays, `grads` one of the same shape; `backward`
  adds into `grads`, and with `grads=None` it computes dx alone, so a frozen layer still passes gradients.
  `add_grads` is backward where nobody needs dx: a network's first layer is spared that product.
- `forward` changes nothing; what `backward` needs is in `cache`. Two forwards may be followed by their backwards in
  either order.
- What is kept but not trained (BatchNorm's running statistics) is `state`, a dict of its own: read by `forward`, moved
  by `layer.update_state(state, cache)` after backward.
- `layer.output_shape(input_shape)` and `layer.param_shapes(input_shape)` are shape arithmetic without the batch axis;
  `layer.init(input_shape, rng)` gives initial params, `layer.init_state(input_shape)` an initial state.
- `layer.config` is the layer as data, its class and its constructor's arguments; `from_config` makes it again.
- Noise comes from `rng` (`tinyae.backend.Noise`, or a seed), a pure function of (seed, step, name, shape).
"""

from .activations import ACTIVATIONS, CELU, ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from .base import REGISTRY, Layer
from .config import from_config
from .containers import Residual, Sequential
from .convolution import Conv2D, ConvTranspose2D
from .dense import Dense, Embedding
from .initialisers import INITIALISERS
from .masked import MaskedConv2D
from .norm import BatchNorm, GroupNorm, LayerNorm
from .pooling import AveragePool2D, MaxPool2D
from .resize import Resize2D, UpSample2D
from .shape import ConstantChannel, Dropout, Flatten, Reshape

__all__ = [
    "ACTIVATIONS",
    "CELU",
    "ELU",
    "GELU",
    "GroupNorm",
    "INITIALISERS",
    "REGISTRY",
    "AveragePool2D",
    "BatchNorm",
    "ConstantChannel",
    "Conv2D",
    "ConvTranspose2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaskedConv2D",
    "MaxPool2D",
    "ReLU",
    "Reshape",
    "Residual",
    "Resize2D",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "UpSample2D",
    "from_config",
]
