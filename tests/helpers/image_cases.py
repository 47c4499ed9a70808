"""Layers on images with drawn options, and what comes out of them: ours and PyTorch's."""

from dataclasses import dataclass

import image_oracles as oracles
import numpy as np
from devices import assert_same

from tinyae import layers
from tinyae.params import nest, walk

TOLERANCE = {"float32": 2e-5, "float64": 1e-11}  # relative to the largest value of an array


@dataclass
class Case:
    """A layer, the shape of its images (H, W, C), the number of them, and the seed of all numbers."""

    layer: layers.base.Layer
    shape: tuple
    n: int = 2
    seed: int = 0

    def arrays(self, dtype="float64", whole=False):
        """(params, x, dy), read-only. whole: small integers, whose sums and products are exact."""
        rng = np.random.default_rng([self.seed, 1])

        def draw(shape):
            values = rng.integers(-4, 5, shape) if whole else rng.normal(size=shape)
            values = values.astype(dtype)
            values.flags.writeable = False
            return values

        shapes = self.layer.param_shapes(self.shape)
        params = nest(shapes, {name: draw(shape) for name, shape in walk(shapes)})
        return params, draw((self.n, *self.shape)), draw((self.n, *self.layer.output_shape(self.shape)))

    def numbers(self):
        """The options of a window, with the padding in numbers, as keywords for the loops."""
        layer, size = self.layer, self.shape[:2]
        kernel_size = layer.kernel_size if hasattr(layer, "kernel_size") else layer.size
        if isinstance(layer, layers.ConvTranspose2D) and layer.padding == "same":
            size = tuple(n * s for n, s in zip(size, layer.stride, strict=True))
        options = {"dilation": layer.dilation} if hasattr(layer, "dilation") else {}
        padding = oracles.padding_in_numbers(layer.padding, size, kernel_size, layer.stride, **options)
        if isinstance(layer, layers.AveragePool2D):
            options["count_include_pad"] = layer.count_include_pad
        return {"stride": layer.stride, "padding": padding, **options}


def ours(layer, params, x, dy):
    """{"y", "dx" and each parameter's gradient}."""
    y, cache = layer.forward(params, x, train=True)
    grads = nest(params, {name: np.zeros_like(value) for name, value in walk(params)})
    return {"y": y, "dx": layer.backward(params, cache, dy, grads), **dict(walk(grads))}


def theirs(twin, layer, params, x, dy):
    """The same from `twin(layer, params, x)` on PyTorch's tensors."""
    import torch

    torch.set_num_threads(1)
    x, *leaves = (torch.tensor(a, requires_grad=True) for a in (x, *params.values()))
    y = twin(layer, dict(zip(params, leaves, strict=True)), x)
    y.backward(torch.tensor(dy))
    gradients = {name: leaf.grad for name, leaf in zip(params, leaves, strict=True)}
    return {name: value.detach().numpy() for name, value in {"y": y, "dx": x.grad, **gradients}.items()}


def assert_like_torch(twin, case, dtype):
    arrays = case.arrays(dtype)
    assert_same(ours(case.layer, *arrays), theirs(twin, case.layer, *arrays), TOLERANCE[dtype])


# Drawing options. Half of the images are as small as fits


def _two(rng, low, high):
    """Two integers in [low, high)."""
    return tuple(map(int, rng.integers(low, high, 2)))


def _padding(rng, most=(3, 3)):
    """One of all kinds; in numbers no more than `most` rows and columns."""
    rows, columns = most
    pairs = tuple(tuple(map(int, rng.integers(0, m + 1, 2))) for m in most)
    return ("same", "valid", int(rng.integers(0, min(rows, columns) + 1)), pairs)[rng.integers(4)]


def _size(rng, kernel_size, padding, dilation=(1, 1)):
    """An image that the kernel fits on."""
    sides = [(0, 0)] * 2 if padding == "valid" else [(9, 9)] * 2 if padding == "same" else padding
    sides = [(padding, padding)] * 2 if isinstance(padding, int) else sides
    least = [max(1, (k - 1) * d + 1 - sum(p)) for k, d, p in zip(kernel_size, dilation, sides, strict=True)]
    extra = _two(rng, 0, 6) if rng.integers(2) else (0, 0)
    return tuple(a + b for a, b in zip(least, extra, strict=True))


def conv(seed):
    rng = np.random.default_rng(seed)
    groups, kernel_size, stride = int(rng.choice([1, 1, 2, 3])), _two(rng, 1, 5), _two(rng, 1, 4)
    dilation, padding = ((1, 1), _two(rng, 1, 4))[rng.integers(2)], _padding(rng)
    channels, filters = (groups * v for v in _two(rng, 1, 4))
    layer = layers.Conv2D(filters, kernel_size, stride, padding, dilation, groups, bool(rng.integers(2)))
    return Case(layer, (*_size(rng, kernel_size, padding, dilation), channels), int(rng.integers(1, 4)), seed)


def masked(seed):
    rng = np.random.default_rng(seed)
    kernel_size, groups = tuple(map(int, rng.choice([1, 3, 5], 2))), int(rng.choice([1, 1, 1, 2]))
    options = {"padding": _padding(rng), "dilation": int(rng.integers(1, 3)), "bias": bool(rng.integers(2))}
    options |= {"stride": (1, 1) if rng.integers(2) else _two(rng, 1, 4), "groups": groups}
    channels, filters = (groups * v for v in _two(rng, 1, 4))
    layer = layers.MaskedConv2D(filters, kernel_size, "AB"[rng.integers(2)], **options)
    size = _size(rng, kernel_size, layer.padding, layer.dilation)
    return Case(layer, (*size, channels), int(rng.integers(1, 4)), seed)


def transposed(seed):
    rng = np.random.default_rng(seed)
    kernel_size, stride, padding = _two(rng, 1, 5), _two(rng, 1, 4), _padding(rng)
    extra = (0, 0) if padding == "same" else tuple(int(rng.integers(0, s)) for s in stride)
    groups, dilation = int(rng.choice([1, 1, 2, 3])), ((1, 1), _two(rng, 1, 4))[rng.integers(2)]
    filters, channels = (groups * v for v in _two(rng, 1, 4))
    options = {"bias": bool(rng.integers(2)), "dilation": dilation, "groups": groups}
    layer = layers.ConvTranspose2D(filters, kernel_size, stride, padding, extra, **options)
    height, width = _two(rng, 1, 6)
    while True:  # until the padding leaves something
        try:
            layer.output_shape((height, width, channels))
        except layers.base.ShapeError:
            height, width = height + 1, width + 1
        else:
            return Case(layer, (height, width, channels), int(rng.integers(1, 4)), seed)


def pool(cls, seed):
    rng = np.random.default_rng(seed)
    size = _two(rng, 1, 5)
    padding, dilation = _padding(rng, tuple(k - 1 for k in size)), ((1, 1), _two(rng, 1, 4))[rng.integers(2)]
    options = {"dilation": dilation}
    if cls is layers.AveragePool2D:
        options["count_include_pad"] = bool(rng.integers(2))
    layer = cls(size, None if rng.integers(2) else _two(rng, 1, 4), padding, **options)
    shape = *_size(rng, size, padding, dilation), int(rng.integers(1, 4))
    while True:  # until each window has a pixel
        try:
            layer.output_shape(shape)
        except layers.base.ShapeError:
            shape = shape[0] + 1, shape[1] + 1, shape[2]
        else:
            return Case(layer, shape, int(rng.integers(1, 4)), seed)
