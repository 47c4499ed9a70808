"""The gated network of `pixelcnn` (van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders").

Two stacks of convolutions leave no blind spot: the vertical one, v, sees all rows above, the horizontal one, h, the
pixels to the left in its own row, and what v says. A layer is (their figure 2 and equation 2; W are convolutions, s the
class's vector, y = tanh(a_1) sigmoid(a_2) the gate of the halves of a)

    a  = W_v v                 v' = gate(a + s)
    b  = W_a a + W_h h         h' = W_o gate(b + s) + h          (without "+ h" in the first layer)

and its backward, from the end to the beginning,

    dg = W_o^T dh'             db = gate's gradient              dh = W_h^T db + dh'
    da = W_a^T db + the gradient of the gate of v'               dv = W_v^T da         ds = sum_ij (da' + db)

with da' the gate's part of da. The layers have the sizes of ritheshkumar95/pytorch-vqvae.
"""

from ..backend import array_module, as_noise, operations
from ..backend.convolution.region import region
from ..layers import Conv2D, Embedding, Layer, MaskedConv2D, ReLU, Sequential
from ..params import child
from .raster import Rows

OUTPUT = 512  # units between the stacks and the logits


class _BlockConv2D(Conv2D):
    """A convolution whose windows need not contain their pixel: padding below 0 keeps them off an edge.

    Never by fast algorithms: a pixel has the same bits whatever else is computed with it. So have 1x1 convolutions,
    written here as masked ones, "B".
    """

    def __init__(self, filters, kernel_size, padding):
        super().__init__(filters, kernel_size, init="glorot")
        self.padding = padding

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        return operations.convolution(x, params["weight"], self.geometry(x.shape[1:3]), params["bias"], fast=False), x

    def window(self, params, x, rows, columns):
        """The output's rows (first, stop) and columns (first, stop), from the pixels of x that they see."""
        geometry = self.geometry(x.shape[1:3])
        return region(rows, columns, x, params["weight"], geometry, params["bias"], fast=False)


def gate(a):
    """tanh(a_1) sigmoid(a_2) of the halves of a, and (t, s): (..., 2C) -> (..., C). s = (1 + tanh(a_2 / 2)) / 2."""
    xp, width = array_module(a), a.shape[-1] // 2
    t = xp.tanh(a[..., :width])
    s = xp.tanh(0.5 * a[..., width:])
    s *= 0.5
    s += 0.5
    return t * s, (t, s)


def gate_backward(cache, dy):
    """da_1 = dy s (1 - t^2),   da_2 = dy t s (1 - s)."""
    t, s = cache
    return array_module(dy).concatenate((dy * s * (1 - t * t), dy * t * s * (1 - s)), axis=-1)


class _GatedLayer(Layer):
    """(v, h, s) -> (v', h'), maps (N, H, W, width) and s (N, 2 width) or None; see above.

    Of a kernel of side k, with mask "A" the vertical convolution has the k // 2 rows above the pixel and the horizontal
    one the k // 2 pixels left of it; with "B", where v and h lag behind already, the pixel's own row and itself too.
    """

    def __init__(self, width, kernel_size, mask):
        half, own = kernel_size // 2, int(mask == "B")
        self.residual = mask == "B"
        self.parts = {
            "vertical": _BlockConv2D(2 * width, (half + own, kernel_size), ((half, own - 1), (half, half))),
            "across": MaskedConv2D(2 * width, 1, "B", init="glorot"),
            "horizontal": _BlockConv2D(2 * width, (1, half + own), ((0, 0), (half, own - 1))),
            "out": MaskedConv2D(width, 1, "B", init="glorot"),
        }

    def _each(self, shape):
        """(name, convolution, its input shape)."""
        *size, width = shape
        return [(name, part, (*size, 2 * width if name == "across" else width)) for name, part in self.parts.items()]

    def param_shapes(self, input_shape):
        return {name: part.param_shapes(shape) for name, part, shape in self._each(input_shape)}

    def init(self, input_shape, rng, dtype="float32"):
        rng = as_noise(rng)
        return {name: part.init(shape, rng.child(name), dtype) for name, part, shape in self._each(input_shape)}

    def forward(self, params, x, train=False, rng=None, state=None):
        (v, h, s), parts = x, self.parts  # (N, H, W, width) twice, (N, 2 width)
        a, c_vertical = parts["vertical"].forward(params["vertical"], v)  # (N, H, W, 2 width)
        b, c_across = parts["across"].forward(params["across"], a)  # (N, H, W, 2 width)
        left, c_horizontal = parts["horizontal"].forward(params["horizontal"], h)  # (N, H, W, 2 width)
        b += left
        v, c_v = gate(plus(a, s))  # (N, H, W, width)
        g, c_g = gate(plus(b, s))  # (N, H, W, width)
        y, c_out = parts["out"].forward(params["out"], g)  # (N, H, W, width)
        if self.residual:
            y += h
        return (v, y), (c_vertical, c_across, c_horizontal, c_v, c_g, c_out)

    def backward(self, params, cache, dy, grads=None):
        """(dv, dh, ds) from (dv', dh'); dv' is None where nothing used v'."""
        c_vertical, c_across, c_horizontal, c_v, c_g, c_out = cache
        dv, dh = dy  # (N, H, W, width) each
        dg = self._backward("out", params, c_out, dh, grads)  # (N, H, W, width), as y = out(g) [+ h]
        db = gate_backward(c_g, dg)  # (N, H, W, 2 width), as g = gate(b + s)
        dleft = self._backward("horizontal", params, c_horizontal, db, grads)  # (N, H, W, width), as b = ... + left(h)
        da = self._backward("across", params, c_across, db, grads)  # (N, H, W, 2 width), as b = across(a) + ...
        ds = db.sum(axis=(1, 2))  # (N, 2 width), as s is added to b at every pixel
        if dv is not None:
            da_gate = gate_backward(c_v, dv)  # (N, H, W, 2 width), as v' = gate(a + s)
            da, ds = da + da_gate, ds + da_gate.sum(axis=(1, 2))  # a and s have two uses: their gradients add up
        dv = self._backward("vertical", params, c_vertical, da, grads)  # (N, H, W, width), as a = vertical(v)
        return dv, dleft + dh if self.residual else dleft, ds  # h has two uses with the residual

    def _backward(self, name, params, cache, dy, grads):
        return self.parts[name].backward(params[name], cache, dy, child(grads, name))


def plus(a, s):
    """a (N, H, W, C) with s (N, C) added to every pixel, unless it is None."""
    return a if s is None else a + s[:, None, None]


class _GatedStack(Sequential):
    """(x, s) -> h of the last layer, (N, H, W, width); both stacks begin with x. s: (N, layers 2 width), or None."""

    def forward(self, params, x, train=False, rng=None, state=None):
        x, s = x
        (v, h), caches = (x, x), []
        for i, layer in enumerate(self.layers):
            (v, h), cache = layer.forward(params[str(i)], (v, h, self.share(s, i)), train, rng)
            caches.append(cache)
        return h, tuple(caches)

    def backward(self, params, cache, dy, grads=None):
        dv, dh, shares = None, dy, []
        for i in reversed(range(len(self.layers))):
            dv, dh, ds = self.layers[i].backward(params[str(i)], cache[i], (dv, dh), child(grads, str(i)))
            shares.insert(0, ds)
        return dv + dh, array_module(dy).concatenate(shares, axis=1)

    def share(self, s, i):
        """Layer i's part of s."""
        if s is None:
            return None
        units = s.shape[1] // len(self.layers)
        return s[:, i * units : (i + 1) * units]

    def pixels(self, model, n, labels):
        return _GatedPixels(self, model, n, labels)


class _GatedPixels:
    """pixels(codes, i, j) -> the stack's output at (i, j), (N, 1, 1, width), given the codes (N, H, W) before it.

    To be called in raster order. `begin_row` computes a row of the vertical stack, which sees the rows above alone, and
    what it says to the horizontal one; a call then computes one pixel of that. Each layer remembers the rows of v and
    the one row of h that its windows reach.
    """

    def __init__(self, stack, model, n, labels):
        self.stack, self.params, self.embedding = stack, model.store.tree["stack"], model.store.tree["input"]["weight"]
        s = model.apply("classes", labels) if model.classes else None
        self.shares = [stack.share(s, i) for i in range(len(stack.layers))]
        xp, (_, self.width), channels = array_module(self.embedding), model.map_shape, self.embedding.shape[1]
        self.v, self.h = (
            [
                Rows(xp, n, layer.parts[name].kernel_size[0], self.width, channels, self.embedding.dtype)
                for layer in stack.layers
            ]
            for name in ("vertical", "horizontal")
        )
        self.said = [None] * len(stack.layers)  # W_a a of the row

    def begin_row(self, codes, i):
        v = self.embedding[codes[:, i - 1]] if i else None  # the first layer's rows end above this one
        for k, layer in enumerate(self.stack.layers):
            params, rows = self.params[str(k)], self.v[k]
            self.h[k].begin()
            if v is not None:
                rows.begin()
                rows.map[:, -1] = v
            vertical = layer.parts["vertical"]
            top = vertical.padding[0][0]
            a = vertical.window(params["vertical"], rows.map, (top, top + 1), (0, self.width))
            self.said[k], _ = layer.parts["across"].forward(params["across"], a)
            v = gate(plus(a, self.shares[k]))[0][:, 0]

    def __call__(self, codes, i, j):
        if j:
            self.h[0].map[:, 0, j - 1] = self.embedding[codes[:, i, j - 1]]
        h = None
        for k, layer in enumerate(self.stack.layers):
            params, row = self.params[str(k)], self.h[k].map
            if k:
                row[:, :, j : j + 1] = h
            b = self.said[k][:, :, j : j + 1] + layer.parts["horizontal"].window(
                params["horizontal"], row, (0, 1), (j, j + 1)
            )
            y, _ = layer.parts["out"].forward(params["out"], gate(plus(b, self.shares[k]))[0])
            h = y + h if layer.residual else y
        return h


def gated_networks(shape, levels, width, blocks, classes):
    """{name: (network, input shape)}: an embedding of codes; a gated layer 7x7 with mask "A" and blocks - 1 of 3x3 with
    mask "B"; 512 units with relu and the logits. A class has a vector s for each layer.
    """
    maps = (*shape, width)
    layers = [_GatedLayer(width, 7, "A"), *(_GatedLayer(width, 3, "B") for _ in range(blocks - 1))]
    return {
        "input": (Embedding(levels, width), shape),
        **({"classes": (Embedding(classes, blocks * 2 * width), ())} if classes else {}),
        "stack": (_GatedStack(*layers), maps),
        "output": (
            Sequential(MaskedConv2D(OUTPUT, 1, "B"), ReLU(), MaskedConv2D(levels, 1, "B", init="glorot")),
            maps,
        ),
    }
