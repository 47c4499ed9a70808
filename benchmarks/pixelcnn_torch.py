"""`pixelcnn` in PyTorch as it is usually written: masks times weights, and the whole network for every drawn pixel.

The gated layers have whole windows, whose results are cut to the map (`ritheshkumar95/pytorch-vqvae`).
"""

import torch
import torch.nn.functional as F
from torch import nn

from .convolution_torch import Residual, kernel
from .pixelcnn import LR


class Contender:
    def __init__(self, name):
        self.compile = torch.compile if name == "torch-compile" else lambda function: function

    def run(self, model):
        return Run(model, self.compile)


class Run:
    def __init__(self, model, compiled):
        self.shape = model.map_shape
        params, stack = model.store.tree, model.networks["stack"]
        if model.config["network"] == "gated":
            first = nn.Embedding.from_pretrained(tensor(params["input"]["weight"]), freeze=False)
            middle, self.vectors = Gated(stack, params["stack"]), first
        else:
            first = built(model.networks["input"].conv, params["input"])
            middle = built(stack, params["stack"])
            self.vectors = lambda codes: F.one_hot(codes, model.levels).float()
        self.first = first if isinstance(first, Conv) else nn.Identity()
        self.rest = nn.Sequential(middle, built(model.networks["output"], params["output"]))
        self.adam = torch.optim.Adam([*first.parameters(), *self.rest.parameters()], LR, fused=True)
        self.loss, self.seen = compiled(self.loss_of), compiled(self.logits)

    def logits(self, codes):
        return self.rest(self.first(self.vectors(codes).permute(0, 3, 1, 2)))

    def loss_of(self, codes):
        return F.cross_entropy(self.logits(codes), codes, reduction="sum") / len(codes)

    def step(self, codes):
        self.adam.zero_grad()
        loss = self.loss(torch.from_numpy(codes))
        loss.backward()
        self.adam.step()
        return loss.detach()

    @torch.no_grad()
    def draw(self, n):
        codes = torch.zeros(n, *self.shape, dtype=torch.int64)
        for i in range(self.shape[0]):
            for j in range(self.shape[1]):
                p = F.softmax(self.seen(codes)[:, :, i, j], dim=1)
                codes[:, i, j] = torch.multinomial(p, 1)[:, 0]
        return codes


def tensor(array):
    return torch.from_numpy(array.copy())


class Conv(nn.Module):
    """A convolution; its weight (out, in, kh, kw) is multiplied by a mask where there is one."""

    def __init__(self, params, padding, mask=None):
        super().__init__()
        self.weight = nn.Parameter(kernel(params["weight"]).clone(memory_format=torch.contiguous_format))
        self.bias, self.padding = nn.Parameter(tensor(params["bias"])), padding
        self.register_buffer("mask", mask)

    def forward(self, x):
        weight = self.weight if self.mask is None else self.weight * self.mask
        return F.conv2d(x, weight, self.bias, padding=self.padding)


def built(layer, params):
    """The module of a layer, or of layers in sequence."""
    if hasattr(layer, "layers"):
        inner = nn.Sequential(*(built(each, params[str(i)]) for i, each in enumerate(layer.layers)))
        return Residual(inner) if type(layer).__name__ == "Residual" else inner
    if not params:
        return nn.ReLU()
    height, width = layer.kernel_size
    mask = None
    if hasattr(layer, "mask"):
        mask = torch.ones(height, width)
        mask[height // 2, width // 2 + (layer.mask == "B") :] = 0
        mask[height // 2 + 1 :] = 0
    return Conv(params, (height // 2, width // 2), mask)


class Gated(nn.Module):
    """The two stacks."""

    def __init__(self, stack, params):
        super().__init__()
        layers = enumerate(stack.layers)
        self.layers = nn.ModuleList(GatedLayer(params[str(i)], layer.residual) for i, layer in layers)

    def forward(self, x):
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h)
        return h


class GatedLayer(nn.Module):
    def __init__(self, params, residual):
        super().__init__()
        half, self.residual = params["vertical"]["weight"].shape[1] // 2, residual
        self.vertical = Conv(params["vertical"], (half, half))
        self.horizontal = Conv(params["horizontal"], (0, half))
        self.across, self.out = Conv(params["across"], 0), Conv(params["out"], 0)

    def forward(self, v, h):
        a = self.vertical(v)[:, :, : v.shape[2]]
        b = self.across(a) + self.horizontal(h)[:, :, :, : h.shape[3]]
        y = self.out(gate(b))
        return gate(a), y + h if self.residual else y


def gate(a):
    t, s = a.chunk(2, dim=1)
    return torch.tanh(t) * torch.sigmoid(s)
