"""Masked convolution: a pixel sees those before it, in raster order."""

import functools

from ..backend import array_module, operations
from ..backend.convolution.region import region
from ..backend.operations import add_rows
from ..errors import ConfigError
from ..options import Choice, of_layer
from .convolution import Conv2D


class MaskedConv2D(Conv2D):
    """A convolution that sees only pixels before its own (van den Oord et al. 2016, section 3.4).

    Pixels are in raster order: the kernel's taps in the rows above the centre count, and those left of the centre in
    its row. The taps that count are two blocks, each an ordinary convolution, and nothing is computed for the others:

        . . . . .                y  = output(x, w[above]) + output(x, w[left]) + b
        . . . . .  above         dx = input_gradient(dy, w[above]) + input_gradient(dy, w[left])
        . . x - -  left          dw[above], dw[left] = their weight gradients, and 0 elsewhere
        - - - - -                (x: the centre, in `left` for "B")
        - - - - -

    Parameters
    ----------
    filters : int
        O, the number of output channels.
    kernel_size : int or (int, int)
        The kernel's sides, odd, in pixels.
    mask : "A" or "B"
        "A" leaves the centre out, for the first layer, which must not see the pixel that it predicts; "B" has it.
    options :
        `dilation`, `groups`, `bias` and `init`, as in Conv2D.

    Example
    -------
    >>> MaskedConv2D(8, 5, mask="A").output_shape((7, 7, 1))
    (7, 7, 8)
    """

    @of_layer(mask=Choice(("A", "B")))
    def __init__(self, filters, kernel_size, mask, **options):
        super().__init__(filters, kernel_size, **options)
        if any(k % 2 == 0 for k in self.kernel_size):
            raise ConfigError(f"MaskedConv2D: the kernel needs a centre, so odd sizes, got {self.kernel_size}")
        self.mask = mask

    @classmethod
    def examples(cls):
        return [
            (cls(3, 3, "A"), (4, 5, 2)),
            (cls(2, (3, 5), mask="B", bias=False), (5, 4, 1)),
            (cls(2, 1, mask="A"), (2, 3, 1)),
            (cls(4, 3, mask="B", stride=(2, 1), dilation=2, groups=2), (6, 5, 2)),
        ]

    def __repr__(self):
        return super().__repr__()[:-1] + f", mask={self.mask!r})"

    def _blocks(self, size):
        """(block of the kernel, its Geometry) of the blocks that are not empty: above, then left."""
        (height, width), geometry = self.kernel_size, self.geometry(size)
        centre, seen = height // 2, width // 2 + (self.mask == "B")
        blocks = (slice(0, centre), slice(0, width)), (slice(centre, centre + 1), slice(0, seen))
        return [
            (block, geometry.of_part(self.kernel_size, block))
            for block in blocks
            if all(taps.start < taps.stop for taps in block)
        ]

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        return self._output(params, x, self._shape(x), operations.convolution), x

    def at(self, params, x, i, j):
        """y[:, i, j] (N, O) from the map x (N, H, W, C). ConfigError unless stride is 1, ShapeError outside of y.

        Only pixels that (i, j) sees are read, so a sampler may call this before the later pixels are sampled. On the
        CPU the bits equal `forward`'s (on NumPy alone with OpenBLAS, from two filters on; not on a GPU).
        """
        if self.stride != (1, 1):
            raise ConfigError(f"{self!r}: one pixel takes stride 1 (forward takes any), got {self.stride}")
        self.check_params(params, x)
        count, height, width, filters = self._shape(x)
        self.expect(0 <= i < height and 0 <= j < width, f"that has a result at {i, j}", x.shape)
        pixel = functools.partial(region, (i, i + 1), (j, j + 1))
        return self._output(params, x, (count, 1, 1, filters), pixel)[:, 0, 0]

    def _output(self, params, x, shape, output):
        """The sum of output(x, block of the weight, geometry, bias)."""
        bias, shares = params.get("bias"), []
        for block, geometry in self._blocks(x.shape[1:3]):
            shares.append(output(x, params["weight"][block], geometry, None if shares else bias, fast=False))
        return _total(shares, shape, x, bias)

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, self._shape(cache))
        if grads is not None:
            self.add_grads(params, cache, dy, grads)
        size, weight = cache.shape[1:3], params["weight"]
        shares = [
            operations.convolution_input_gradient(dy, weight[block], geometry, size)
            for block, geometry in self._blocks(size)
        ]
        return _total(shares, cache.shape, dy)

    def add_grads(self, params, cache, dy, grads):
        x, dw = cache, grads["weight"]
        self.check_gradient(dy, self._shape(x))
        for block, geometry in self._blocks(x.shape[1:3]):
            dw[block] += operations.convolution_weight_gradient(x, dy, geometry, dw[block].shape[:2])
        if self.bias:
            add_rows(grads["bias"], dy)


def _total(shares, shape, like, bias=None):
    """The sum of the shares, in the memory of the first; where there are none (a 1 x 1 kernel "A"), 0 plus bias."""
    if not shares:
        nothing = array_module(like).zeros(shape, like.dtype)
        return nothing if bias is None else nothing + bias
    total, *others = shares
    for share in others:
        total += share
    return total
