"""Drawing maps pixel by pixel, in raster order, from a model of each pixel given those before it."""

from ..backend import array_module
from ..options import RATE, Count
from ..wording import flag


class Draw:
    """Codes from logits and uniforms, by the inverse of the distribution function: draw(logits, u) -> codes.

        p = softmax(logits / temperature), 0 but for the top_k largest;   code = the first k with p_0 + ... + p_k >= u

    logits (N, K), u (N,) in (0, 1). Codes tied with the last of the top_k stay. Raises ConfigError.
    """

    def __init__(self, model, temperature, top_k):
        self.temperature = RATE.check(flag("temperature"), temperature)
        self.top_k = Count(0, model.levels).check(flag("top_k"), top_k)

    def __call__(self, logits, u):
        xp = array_module(logits)
        p = xp.exp((logits - logits.max(axis=1, keepdims=True)) / self.temperature)
        if self.top_k:
            least = xp.sort(logits, axis=1)[:, -self.top_k, None]
            p = p * (logits >= least)
        sums = p.cumsum(axis=1)
        return (sums < u[:, None] * sums[:, -1:]).sum(axis=1)


def naive(model, draw, uniforms, labels):
    """Codes (N, H, W), int64: the whole network for every pixel. uniforms (N, H W), labels (N,), on the device."""
    return _draw_all(model, draw, uniforms, lambda codes, i, j: model.logits(codes, labels)[:, i, j])


def incremental(model, draw, uniforms, labels):
    """The codes that `naive` gives, each layer computing only what no earlier pixel has computed.

    Bit for bit on the CPU, where the networks' convolutions sum a number in one order whatever is computed with it.
    On a GPU up to rounding, so a code may differ where u meets the edge of its share.
    """
    pixels = model.networks["stack"].pixels(model, len(uniforms), labels)

    def logits(codes, i, j):
        if j == 0:
            pixels.begin_row(codes, i)
        return model.apply("output", pixels(codes, i, j))[:, 0, 0]

    return _draw_all(model, draw, uniforms, logits)


def _draw_all(model, draw, uniforms, logits):
    """Codes drawn in raster order from logits(codes, i, j), (N, levels), which look at what is drawn before (i, j)."""
    height, width = model.map_shape
    codes = array_module(uniforms).zeros((len(uniforms), height, width), "int64")
    for i in range(height):
        for j in range(width):
            codes[:, i, j] = draw(logits(codes, i, j), uniforms[:, i * width + j])
    return codes


class Rows:
    """The last rows of a map (N, H, W, C), which is written in raster order: `map` (N, count, W, C), zeros above it."""

    def __init__(self, xp, n, count, width, channels, dtype):
        self.map = xp.zeros((n, count, width, channels), dtype)

    def begin(self):
        """A row further: the last one is to be written."""
        self.map[:, :-1] = self.map[:, 1:].copy()  # CuPy does not look for an overlap
        self.map[:, -1] = 0
