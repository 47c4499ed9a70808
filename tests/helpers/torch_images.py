"""PyTorch's versions of the layers on images: functions of (layer, params, x, ...), x (N, H, W, C)."""

import torch
import torch.nn.functional as F

from tinyae.layers.convolution import resolve_padding


def first(x):
    """(N, H, W, C) -> (N, C, H, W)."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def padded(layer, x, kernel_size, value=0.0):
    """x as (N, C, H, W), padded as the layer's `padding` says."""
    dilation = getattr(layer, "dilation", (1, 1))
    (top, bottom), (left, right) = resolve_padding(layer.padding, x.shape[1:3], kernel_size, layer.stride, dilation)
    return F.pad(first(x), (left, right, top, bottom), value=value)


def conv(layer, p, x, *_):
    x, weight = padded(layer, x, layer.kernel_size), p["weight"].permute(3, 2, 0, 1).contiguous()
    return last(F.conv2d(x, weight, p.get("bias"), layer.stride, 0, layer.dilation, layer.groups))


def masked_conv(layer, p, x, *_):
    height, width = layer.kernel_size
    mask = torch.zeros(height, width, 1, 1, dtype=x.dtype)
    for u in range(height):
        for v in range(width):
            before = (u, v) < (height // 2, width // 2)
            mask[u, v] = before or (layer.mask == "B" and (u, v) == (height // 2, width // 2))
    return conv(layer, {**p, "weight": p["weight"] * mask}, x)


def conv_transpose(layer, p, x, *_):
    """Without padding first; then the padding is cut off, and what lies beyond the last window is zero."""
    weight = p["weight"].permute(3, 2, 0, 1).contiguous()
    whole = F.conv_transpose2d(first(x), weight, None, layer.stride, 0, 0, layer.groups, layer.dilation)
    height, width, _ = layer.output_shape(tuple(x.shape[1:]))
    size = height, width
    (top, _), (left, _) = resolve_padding(layer.padding, size, layer.kernel_size, layer.stride, layer.dilation)
    missing = max(0, left + width - whole.shape[3]), max(0, top + height - whole.shape[2])
    whole = F.pad(whole, (0, missing[0], 0, missing[1]))
    y = last(whole[:, :, top : top + height, left : left + width])
    return y + p["bias"] if "bias" in p else y


def max_pool(layer, p, x, *_):
    return last(F.max_pool2d(padded(layer, x, layer.size, -torch.inf), layer.size, layer.stride, 0, layer.dilation))


def average_pool(layer, p, x, *_):
    """As a convolution of each channel by ones, which takes dilation."""
    channels = x.shape[3]
    ones = torch.ones(channels, 1, *layer.size, dtype=x.dtype)

    def total(values):
        return F.conv2d(padded(layer, values, layer.size), ones, None, layer.stride, 0, layer.dilation, channels)

    return last(total(x) / (ones[0].sum() if layer.count_include_pad else total(torch.ones_like(x))))


def resize(layer, p, x, *_):
    size, smooth = layer.output_shape(tuple(x.shape[1:]))[:2], {}
    if layer.mode != "nearest":
        smooth = {"mode": {"linear": "bilinear", "cubic": "bicubic"}[layer.mode], "align_corners": layer.align_corners}
    return last(F.interpolate(first(x), size, **smooth))


IMAGE_TWINS = {
    "AveragePool2D": average_pool,
    "Conv2D": conv,
    "ConvTranspose2D": conv_transpose,
    "GroupNorm": lambda layer, p, x, *_: last(
        F.group_norm(first(x), layer.groups, p["scale"], p["shift"], layer.epsilon)
    ),
    "MaskedConv2D": masked_conv,
    "MaxPool2D": max_pool,
    "Resize2D": resize,
    "UpSample2D": resize,
}
