"""The same in PyTorch, eager or compiled, in its default memory order or with the channels last, with fused Adam."""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tinyae.models import VQVAE

from .convolution_cases import CASES, LAYERS, LR, networks


class Contender:
    packages = ("torch",)

    def __init__(self, channels_last=False, compiled=False):
        self.memory = torch.channels_last if channels_last else torch.contiguous_format
        self.compile = torch.compile if compiled else lambda function: function

    @functools.cache  # noqa: B019 (one contender a process)
    def case(self, name):
        case = CASES[name]
        kind = LayerRun if name in LAYERS else VQRun if case.kind is VQVAE else ModelRun
        return kind(case, self.memory, self.compile)


def images(array, memory):
    """(N, H, W, C) as a tensor (N, C, H, W)."""
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=memory)


def kernel(array):
    """(kh, kw, in, out) as (out, in, kh, kw); of a transposed convolution as (in, out, kh, kw), by the same words."""
    return torch.from_numpy(array).permute(3, 2, 0, 1)


class LayerRun:
    def __init__(self, case, memory, compiled):
        x, weight, bias, dy = case.arrays()
        weight = kernel(weight).contiguous(memory_format=memory).requires_grad_()
        self.inputs = images(x, memory).requires_grad_(), weight, torch.from_numpy(bias).requires_grad_()
        self.dy = images(dy, memory)
        function = F.conv_transpose2d if case.transposed else F.conv2d
        self.function = compiled(lambda x, w, b: function(x, w, b, stride=case.stride, padding=1))

    def forward(self):
        self.y = self.function(*self.inputs)

    def backward(self):
        return torch.autograd.grad(self.y, self.inputs, self.dy)

    def check(self):
        self.forward()
        found = self.backward()
        return [float(a.detach().abs().sum(dtype=torch.float64)) for a in (self.y, *found)]


class ModelRun:
    """The model's own layers and weights, each as the module of PyTorch that does the same."""

    def __init__(self, case, memory, compiled):
        model, self.memory = case.build(), memory
        found = {name: module(net, model.store.tree[name], shape) for name, net, shape in networks(model)}
        self.networks = nn.ModuleDict(found).to(memory_format=memory)
        self.variational, self.squared = "kl" in model.terms, model.config.get("loss") == "mse"
        self.adam = torch.optim.Adam(self.networks.parameters(), LR, fused=True)
        self.loss = compiled(self.loss_of)

    def loss_of(self, x, noise):
        z, kl = self.networks["encoder"](x), 0
        if self.variational:
            mu, logvar = z.chunk(2, dim=1)
            z = mu + torch.exp(0.5 * logvar) * noise
            kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
        y = self.networks["decoder"](z)
        each = F.mse_loss if self.squared else F.binary_cross_entropy_with_logits
        return (each(y, x, reduction="sum") + kl) / len(x)

    def step(self, x, noise):
        loss = self.gradients(x, noise)
        self.adam.step()
        return loss

    def gradients(self, x, noise):
        """The loss; the gradients are kept for Adam."""
        self.adam.zero_grad()
        loss = self.loss(images(x, self.memory), torch.from_numpy(noise))
        loss.backward()
        return loss.detach()

    def check(self, *batches):
        parameters, found = list(self.networks.parameters()), []
        for batch in batches:
            loss = self.gradients(*batch)
            found += [float(loss), sum(float(parameter.grad.double().norm()) for parameter in parameters)]
        before = vector(parameters)
        self.adam.step()
        return [*found, float(np.median(abs(vector(parameters) - before)))]


def vector(parameters):
    """All numbers of the parameters in a row, as a NumPy array."""
    return np.concatenate([parameter.detach().numpy().reshape(-1) for parameter in parameters])


class VQRun(ModelRun):
    """A VQ-VAE; the small one turned by 180 degrees: its 3x3 windows of stride 2 need one more pixel at one end, which
    is the bottom right of tinyae's and the top left of PyTorch's."""

    def __init__(self, case, memory, compiled):
        super().__init__(case, memory, compiled)
        model = case.build()
        self.signed, self.commitment = model.signed, model.commitment
        self.variance = float(model.state.tree["scale"]["variance"])
        self.turned = model.config["network"] == "small"
        with torch.no_grad():
            for parameter in self.networks.parameters() if self.turned else ():
                if parameter.ndim == 4:
                    parameter.copy_(parameter.flip(2, 3))

    def loss_of(self, x, noise):
        """Van den Oord et al. 2017, equation 3."""
        x = x.flip(2, 3) if self.turned else x
        x = 2 * x - 1 if self.signed else x
        z = self.networks["encoder"](x)
        q = self.networks["codebook"](z)
        y = self.networks["decoder"](z + (q - z).detach())  # straight through
        rec = F.mse_loss(y, x, reduction="sum") / self.variance
        codebook = F.mse_loss(q, z.detach(), reduction="sum")
        commitment = F.mse_loss(z, q.detach(), reduction="sum")
        return (rec + codebook + self.commitment * commitment) / len(x)


class Codebook(nn.Module):
    """The nearest codes of a map (N, D, H, W), by |e|^2 - 2 z.e, the fastest of the usual forms."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight.copy()))

    def forward(self, z):
        rows = z.permute(0, 2, 3, 1)
        with torch.no_grad():
            squares = self.weight.square().sum(dim=1)
            codes = torch.addmm(squares, rows.reshape(-1, z.shape[1]), self.weight.T, alpha=-2).argmin(dim=1)
        return F.embedding(codes, self.weight).view(rows.shape).permute(0, 3, 1, 2)


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def module(layer, params, shape):
    """PyTorch's module for a layer on examples of `shape` (H, W, C) or (D,), with its weights."""
    kind = type(layer).__name__
    if kind == "Codebook":
        return Codebook(params["weight"])
    if kind in ("Sequential", "Residual"):
        inner = nn.Sequential(*modules(layer.layers, params, shape))
        return Residual(inner) if kind == "Residual" else inner
    if "weight" in params:
        weight = params["weight"]
        return with_weights(convolution(kind, layer, weight.shape), kernel(weight), params.get("bias"))
    out = layer.output_shape(shape)
    if kind == "BatchNorm":  # its scale and shift begin as ours, one and zero
        return nn.BatchNorm2d(shape[-1], layer.epsilon, 1 - layer.momentum)
    return {
        "ReLU": nn.ReLU, "Tanh": nn.Tanh, "Sigmoid": nn.Sigmoid, "Flatten": nn.Flatten,
        "LeakyReLU": lambda: nn.LeakyReLU(layer.slope),
        "Dropout": lambda: nn.Dropout(layer.rate),
        "Reshape": lambda: nn.Unflatten(1, (out[2], *out[:2])),
        "MaxPool2D": lambda: nn.MaxPool2d(2, ceil_mode=True),
        "Resize2D": lambda: nn.Upsample(size=tuple(out[:2])),
    }[kind]()  # fmt: skip


def modules(layers, params, shape):
    """The modules of layers in sequence."""
    shapes = [shape]
    for layer in layers:
        shapes.append(layer.output_shape(shapes[-1]))
    kinds = [type(layer).__name__ for layer in layers]
    for i, layer in enumerate(layers):
        if kinds[i] == "Dense":
            flattened = shapes[i - 1] if i and kinds[i - 1] == "Flatten" and len(shapes[i - 1]) == 3 else None
            j = i + 2 if kinds[i + 1 : i + 2] == ["ReLU"] else i + 1
            reshaped = shapes[j + 1] if kinds[j : j + 1] == ["Reshape"] else None
            yield dense(params[str(i)], flattened, reshaped)
        else:
            yield module(layer, params[str(i)], shapes[i])


def convolution(kind, layer, shape):
    side, _, *ends = shape
    transposed = kind == "ConvTranspose2D"
    make = nn.ConvTranspose2d if transposed else nn.Conv2d
    more = {"output_padding": -side % layer.stride[0]} if transposed else {}
    ends = reversed(ends) if transposed else ends
    return make(*ends, side, layer.stride, (side - 1) // 2, bias=layer.bias, **more)


def dense(params, flattened, reshaped):
    """Linear; where its rows are the pixels of an image (H, W, C), or its columns, in PyTorch's order of them."""
    weight, bias = params["weight"], params.get("bias")
    if flattened:
        weight = weight.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
    if reshaped:
        weight = weight.reshape(-1, *reshaped).transpose(0, 3, 1, 2).reshape(weight.shape)
        bias = None if bias is None else np.ascontiguousarray(bias.reshape(reshaped).transpose(2, 0, 1).reshape(-1))
    return with_weights(nn.Linear(*weight.shape, bias=bias is not None), torch.from_numpy(weight.T.copy()), bias)


def with_weights(module, weight, bias):
    with torch.no_grad():
        module.weight.copy_(weight)
        if bias is not None:
            module.bias.copy_(torch.from_numpy(bias))
    return module
