"""The residual network of `pixelcnn`, from Keras's example on vector-quantized autoencoders (Paul 2021)."""

from ..backend import array_module
from ..backend.indices import within
from ..layers import Embedding, Layer, MaskedConv2D, ReLU, Residual, Sequential
from .raster import Rows


class _OneHotConv2D(Layer):
    """MaskedConv2D with mask "A" over one-hot codes: (N, H, W) integers in [0, levels) -> (N, H, W, filters).

    Of a one-hot pixel only one number is not 0, so products become a look-up: with the taps (u, v) before the centre,

        y[n, i, j]  = b + sum_uv w[u, v, x[n, i + u - kh//2, j + v - kw//2]]       (pixels outside the map: nothing)
        dw[u, v, k] = sum of dy[n, i, j] where x[n, i + u - kh//2, j + v - kw//2] = k

    weight (kh, kw, levels, filters), bias (filters,). There is no gradient by x: backward returns None.
    """

    def __init__(self, levels, filters, kernel_size):
        self.levels, self.conv = levels, MaskedConv2D(filters, kernel_size, "A")
        height, width = self.conv.kernel_size
        self.taps = [divmod(tap, width) for tap in range(height // 2 * width + width // 2)]  # those before the centre

    def __repr__(self):
        return f"OneHotConv2D({self.levels}, {self.conv.filters}, {self.conv.kernel_size})"

    @property
    def integer_input(self):
        return self.levels

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 2, "maps of codes (H, W)", input_shape)
        return (*input_shape, self.conv.filters)

    def param_shapes(self, input_shape):
        self.output_shape(input_shape)
        return self.conv.param_shapes((*input_shape, self.levels))

    def initialisers(self):
        return self.conv.initialisers()

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        codes, known = within(x, self.levels, repr(self))
        weight, (height, width) = params["weight"], x.shape[1:]
        y = array_module(weight).empty((*x.shape, self.conv.filters), weight.dtype)
        y[...] = params["bias"]
        for u, v in self.taps:
            rows, seen_rows = _shifted(height, u - self.conv.kernel_size[0] // 2)
            columns, seen_columns = _shifted(width, v - self.conv.kernel_size[1] // 2)
            y[:, rows, columns] += weight[u, v][codes[:, seen_rows, seen_columns]]
        return y if known is None else array_module(y).where(known[..., None], y, array_module(y).nan), x

    def at(self, params, x, i, j):
        """y[:, i, j], (N, filters), by the same sums; what x has at (i, j) and after is not looked at."""
        weight, (height, width) = params["weight"], self.conv.kernel_size
        y = array_module(weight).empty((len(x), self.conv.filters), weight.dtype)
        y[...] = params["bias"]
        for u, v in self.taps:
            row, column = i + u - height // 2, j + v - width // 2
            if row >= 0 and 0 <= column < x.shape[2]:
                y += weight[u, v][x[:, row, column]]
        return y

    def backward(self, params, cache, dy, grads=None):
        x = cache
        self.check_gradient(dy, (*x.shape, self.conv.filters))
        if grads is not None:
            xp = array_module(x)
            one_hot = (x[..., None] == xp.arange(self.levels)).astype(dy.dtype)
            self.conv.add_grads(params, one_hot, dy, grads)
        return None


def _shifted(length, shift):
    """The positions i of an axis for which i + shift is one too, and those i + shift: two slices of one length."""
    return slice(max(0, -shift), max(0, length - max(0, shift))), slice(max(0, shift), max(0, length + min(0, shift)))


class _ResidualStack(Sequential):
    """(h, bias) -> h, (N, H, W, width): bias (N, width), what the class says, is added to every pixel, then the layers.

    dh is the gradient of the layers' input, dbias = sum_ij dh. bias may be None.
    """

    def forward(self, params, x, train=False, rng=None, state=None):
        h, bias = x
        if bias is not None:
            h = h + bias[:, None, None]
        return super().forward(params, h, train, rng, state)

    def backward(self, params, cache, dy, grads=None):
        dh = super().backward(params, cache, dy, grads)
        return dh, dh.sum(axis=(1, 2))

    def pixels(self, model, n, labels):
        return _ResidualPixels(model, n, labels)


class _ResidualPixels:
    """pixels(codes, i, j) -> the stack's output at (i, j), (N, 1, 1, width), given the codes (N, H, W) before it.

    To be called in raster order, `begin_row` before each row.
    """

    def __init__(self, model, n, labels):
        self.input, self.params = model.networks["input"], model.store.tree["input"]
        self.bias = model.apply("classes", labels) if model.classes else None
        self.stack = _Pixel(model.networks["stack"], model.store.tree["stack"], n, model.map_shape[1])

    def begin_row(self, codes, i):
        self.stack.begin_row()

    def __call__(self, codes, i, j):
        h = self.input.at(self.params, codes, i, j)
        return self.stack((h if self.bias is None else h + self.bias)[:, None, None], j)


class _Pixel:
    """A layer's output at one pixel, (N, 1, 1, C), from its input there and what it remembers of earlier ones."""

    def __init__(self, layer, params, n, width):
        self.layer, self.params, self.inner, self.rows = layer, params, [], None
        if isinstance(layer, Sequential):
            self.inner = [_Pixel(each, params[str(i)], n, width) for i, each in enumerate(layer.layers)]
        elif isinstance(layer, MaskedConv2D) and layer.kernel_size != (1, 1):
            weight, self.centre = params["weight"], layer.kernel_size[0] // 2
            self.rows = Rows(array_module(weight), n, self.centre + 1, width, weight.shape[2], weight.dtype)

    def begin_row(self):
        for layer in self.inner:
            layer.begin_row()
        if self.rows is not None:
            self.rows.begin()

    def __call__(self, x, j):
        if self.rows is not None:
            self.rows.map[:, -1, j] = x[:, 0, 0]
            return self.layer.at(self.params, self.rows.map, self.centre, j)[:, None, None]
        if not isinstance(self.layer, Sequential):
            return self.layer.forward(self.params, x)[0]
        y = x
        for layer in self.inner:
            y = layer(y, j)
        return x + y if isinstance(self.layer, Residual) else y


def residual_networks(shape, levels, width, blocks, classes):
    """{name: (network, input shape)}: a 7x7 convolution, mask "A", relu; residual blocks; two 1x1 convolutions with
    relu; the logits, a 1x1 convolution. A block is

        h + relu(conv 1x1 (relu(masked conv 3x3 (relu(conv 1x1 (h))))))        (half as wide in its middle)

    Its windows see all of the row above, but of their own row the left part alone; so pixels above to the right, beyond
    a slope, are never seen: the blind spot (van den Oord et al. 2016, "Conditional image generation with PixelCNN
    decoders", figure 1). A class adds a vector to the first convolution's output. 1x1 convolutions are masked ones too,
    "B", which sees all that a 1x1 one does: for their bits, which do not depend on what else is computed with a pixel.
    """
    half = max(1, width // 2)
    layers = [ReLU()]
    for _ in range(blocks):
        wide, narrow, wide_again = MaskedConv2D(width, 1, "B"), MaskedConv2D(half, 3, "B"), MaskedConv2D(width, 1, "B")
        layers.append(Residual(wide, ReLU(), narrow, ReLU(), wide_again, ReLU()))
    for _ in range(2):
        layers += [MaskedConv2D(width, 1, "B"), ReLU()]
    maps = (*shape, width)
    return {
        "input": (_OneHotConv2D(levels, width, 7), shape),
        **({"classes": (Embedding(classes, width), ())} if classes else {}),
        "stack": (_ResidualStack(*layers), maps),
        "output": (MaskedConv2D(levels, 1, "B", init="glorot"), maps),
    }
