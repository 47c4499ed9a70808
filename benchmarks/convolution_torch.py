"""The same in PyTorch, in its default memory order or with the channels last, with fused Adam."""

import functools

import numpy as np
import torch
import torch.nn.functional as F

from .convolution_cases import LAYERS, LR, build, layers


class Contender:
    packages = ("torch",)

    def __init__(self, order=None):
        self.format = torch.channels_last if order else torch.contiguous_format

    @functools.cache  # noqa: B019 (one contender a process)
    def case(self, name):
        return LayerRun(LAYERS[name], self.format) if name in LAYERS else ModelRun(name, self.format)


def images(array, memory):
    """(N, H, W, C) as a tensor (N, C, H, W)."""
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=memory)


def kernel(array, memory):
    """(kh, kw, in, out) as (out, in, kh, kw); of a transposed convolution as (in, out, kh, kw), by the same words."""
    return torch.from_numpy(array).permute(3, 2, 0, 1).contiguous(memory_format=memory).requires_grad_()


class LayerRun:
    def __init__(self, case, memory):
        x, weight, bias, dy = case.arrays()
        bias = torch.from_numpy(bias).requires_grad_()
        self.inputs = images(x, memory).requires_grad_(), kernel(weight, memory), bias
        self.dy, self.stride = images(dy, memory), case.stride
        self.function = F.conv_transpose2d if case.transposed else F.conv2d

    def forward(self):
        self.y = self.function(*self.inputs, stride=self.stride, padding=1)

    def backward(self):
        return torch.autograd.grad(self.y, self.inputs, self.dy)

    def check(self):
        self.forward()
        found = self.backward()
        return [float(a.detach().abs().sum(dtype=torch.float64)) for a in (self.y, *found)]


class ModelRun:
    """The model's own layers and weights, each as the function of PyTorch that does the same."""

    def __init__(self, name, memory):
        model, self.memory = build(name), memory
        self.weights, self.networks = [], {"encoder": [], "decoder": []}
        order = layers(model)
        for place, (network, i, layer, shape) in enumerate(order):
            names = layer.param_shapes(shape)
            params = {key: model.named_parameters()[f"{network}.{i}.{key}"].copy() for key in names}
            kinds = [type(other).__name__ for *_, other, _ in order]
            if kinds[place] == "Dense":
                params |= channels_first(params, order, kinds, place)
            self.networks[network].append(self.function(kinds[place], layer, params, shape))
        self.latent, self.variational = model.latent_dim, "kl" in model.terms
        self.adam = torch.optim.Adam(self.weights, LR, fused=True)

    def function(self, kind, layer, params, shape):
        if "weight" in params:
            weight, bias = params["weight"], torch.from_numpy(params["bias"]).requires_grad_()
            dense = weight.ndim == 2
            w = torch.from_numpy(weight.T.copy()).requires_grad_() if dense else kernel(weight, self.memory)
            self.weights += [w, bias]
            if dense:
                return lambda x: F.linear(x, w, bias)
            convolve = F.conv_transpose2d if kind == "ConvTranspose2D" else F.conv2d
            return lambda x: convolve(x, w, bias, stride=layer.stride, padding=1)
        out = layer.output_shape(shape)
        return {
            "ReLU": F.relu,
            "Flatten": lambda x: x.flatten(1),
            "Reshape": lambda x: x.reshape(-1, out[2], *out[:2]).contiguous(memory_format=self.memory),
            "MaxPool2D": lambda x: F.max_pool2d(x, 2, ceil_mode=True),
            "Resize2D": lambda x: F.interpolate(x, size=tuple(out[:2])),
        }[kind]

    def run(self, network, x):
        for function in self.networks[network]:
            x = function(x)
        return x

    def step(self, x, noise):
        x, kl = images(x, self.memory), 0
        self.adam.zero_grad()
        z = self.run("encoder", x)
        if self.variational:
            mu, logvar = z.chunk(2, dim=1)
            z = mu + torch.exp(0.5 * logvar) * torch.from_numpy(noise)
            kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
        logits = self.run("decoder", z)
        loss = (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)
        loss.backward()
        self.adam.step()
        return loss.detach()


def channels_first(params, order, kinds, place):
    """A Dense layer's weights where its rows or columns are the pixels of an image: PyTorch's order of them."""
    weight, bias = params["weight"], params["bias"]
    if place and kinds[place - 1] == "Flatten":
        height, width, channels = order[place - 1][3]
        weight = weight.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
    after = next((order[p] for p in range(place + 1, min(place + 3, len(order))) if kinds[p] == "Reshape"), None)
    if after:
        height, width, channels = after[2].output_shape(after[3])
        weight = weight.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(weight.shape)
        bias = bias.reshape(height, width, channels).transpose(2, 0, 1).reshape(-1)
    return {"weight": weight, "bias": np.ascontiguousarray(bias)}
