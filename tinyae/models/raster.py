"""Drawing maps pixel by pixel, in raster order, from a model of each pixel given those before it."""

from ..backend import array_module
from ..errors import ConfigError


class Draw:
    """Codes from logits and uniforms, by the inverse of the distribution function: draw(logits, u) -> codes.

        p = softmax(logits / temperature), 0 but for the top_k largest;   code = the first k with p_0 + ... + p_k >= u

    logits (N, K), u (N,) in (0, 1). Codes tied with the last of the top_k stay. Raises ConfigError.
    """

    def __init__(self, model, temperature, top_k):
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0, got {temperature}")
        if not isinstance(top_k, int) or not 0 <= top_k <= model.levels:
            raise ConfigError(f"top_k: expected 0 for all codes, or up to {model.levels} of them, got {top_k!r}")
        self.temperature, self.top_k = temperature, top_k

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
    xp = array_module(uniforms)
    height, width = model.map_shape
    codes = xp.zeros((len(uniforms), height, width), "int64")
    for i in range(height):
        for j in range(width):
            logits = model.logits(codes, labels)[:, i, j]
            codes[:, i, j] = draw(logits, uniforms[:, i * width + j])
    return codes
