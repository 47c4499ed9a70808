"""Layers of the published implementations in PyTorch, and how a model is compared with them."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tinyae.layers.initialisers import fans

TOLERANCE = 1e-9  # float64, of an array's largest value


def tensors(model):
    """The model's parameters by name, as leaves."""
    return {name: torch.tensor(value.copy(), requires_grad=True) for name, value in model.named_parameters().items()}


def drawn(shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def shaken(model, seed=1, amount=0.1):
    """The model with parameters that are no longer at their start: biases and scales, too."""
    rng = np.random.default_rng(seed)
    model.store.flat[...] += amount * rng.normal(size=model.store.flat.size)
    return model


def same_padding(x, kernel, stride):
    """TensorFlow's "same": of an odd number of zeros, the end has one more."""
    pads = []
    for n in reversed(x.shape[2:]):
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def conv(p, name, x, stride=1):
    weight = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous()
    return F.conv2d(same_padding(x, weight.shape[2], stride), weight, p[f"{name}.bias"], stride)


def transposed(p, name, x, stride):
    """Keras's Conv2DTranspose, "same": H stride rows."""
    weight = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous()  # ours (kh, kw, out, in), torch's (in, out, kh, kw)
    whole, n = F.conv_transpose2d(x, weight, p[f"{name}.bias"], stride), x.shape[2] * stride
    first = max(weight.shape[2] - stride, 0) // 2
    return whole[:, :, first : first + n, first : first + n]


def norm(p, name, x, moved):
    """BatchNormalization(): momentum 0.99, epsilon 1e-3, in training."""
    mean, var = torch.zeros(x.shape[1], dtype=x.dtype), torch.ones(x.shape[1], dtype=x.dtype)
    y = F.batch_norm(x, mean, var, p[f"{name}.scale"], p[f"{name}.shift"], True, 1 - 0.99, 1e-3)
    moved[name] = mean.numpy(), var.numpy()
    return y


def quantised(p, z):
    """(straight through, e) of z (N, D, h, w)."""
    codebook, vectors = p["codebook.weight"], z.movedim(1, -1)
    codes = torch.cdist(vectors.reshape(-1, vectors.shape[-1]), codebook).argmin(dim=1)
    e = codebook[codes].reshape(vectors.shape).movedim(-1, 1)
    return z + (e - z).detach(), e


def assert_agrees(model, batch, loss, p, factor, noise=None, constant=0.0):
    """loss: the source's, which is `factor` times ours, up to a constant of ours."""
    loss.backward()
    terms, grads = model.loss_and_grads(batch, noise)
    assert factor * (float(terms["loss"]) - constant) == pytest.approx(loss.item(), rel=TOLERANCE)
    assert grads.keys() == p.keys()
    least = 1e-3 * max(np.abs(leaf.grad.numpy()).max() for leaf in p.values())  # a bias before BatchNorm has 0
    for name, grad in grads.items():
        theirs = p[name].grad.numpy()
        atol = TOLERANCE * max(np.abs(theirs).max(), least)
        np.testing.assert_allclose(factor * grad, theirs, rtol=0, atol=atol, err_msg=name)


def assert_begins_as_glorot(model, parted=None):
    """parted: the name of a weight that joins the weights of two layers of the source, side by side."""
    for name, value in model.named_parameters().items():
        if name.endswith(".bias"):
            assert not value.any(), name
        elif name.endswith(".weight") and not name.startswith(("codebook", "means", "classes")) and value.ndim > 1:
            fan_in, fan_out = fans(value.shape)
            if name == parted:
                fan_out = fan_out / 2
            most = np.sqrt(6 / (fan_in + fan_out))
            assert np.abs(value).max() <= most * (1 + 1e-6), name
            assert value.size < 200 or np.abs(value).max() > 0.9 * most, name


def dense(p, name, x):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def parted(p, name, h, units):
    """A dense layer for the mean and another for the logarithm of the variance."""
    weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
    return h @ weight[:, :units] + bias[:units], h @ weight[:, units:] + bias[units:]


def binary_crossentropy(target, output):
    """K.binary_crossentropy of Keras on TensorFlow, of probabilities: clipped, and turned back into logits."""
    output = torch.clip(output, 1e-7, 1 - 1e-7)
    return F.binary_cross_entropy_with_logits(torch.log(output / (1 - output)), target, reduction="none")
