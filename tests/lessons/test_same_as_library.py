"""Every lesson computes what the library computes: the same weights give the same loss and the same gradients."""

import numpy as np
import pytest

from tinyae import layers, losses, optim
from tinyae.lessons import adam, cross_entropy, dense
from tinyae.params import ParamStore

RNG = np.random.default_rng(7)
N, D, H, K = 5, 6, 4, 3


def same(ours, theirs):
    """Equal within 1e-12 of the largest value."""
    assert np.shape(ours) == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1, np.abs(theirs).max()))


def weights(shapes):
    return {name: 0.5 * RNG.normal(size=shape) for name, shape in shapes.items()}


def library(layer, params, x, loss):
    """(loss, gradients like params, dx) by a layer of the library; `loss` gives (loss, dy) of its output."""
    y, cache = layer.forward(params, x, train=True)
    value, dy = loss(y)
    grads = zeros(params)
    return value, grads, layer.backward(params, cache, dy, grads)


def zeros(tree):
    return {k: zeros(v) if isinstance(v, dict) else np.zeros_like(v) for k, v in tree.items()}


def wb(p, number):
    return {"weight": p[f"W{number}"], "bias": p[f"b{number}"]}


def test_dense():
    p = weights({"W1": (D, H), "b1": (H,), "W2": (H, K), "b2": (K,)})
    x, t = RNG.normal(size=(N, D)), np.eye(K)[RNG.integers(K, size=N)]
    loss, cache = dense.forward(p, x, t)
    grads = dense.backward(p, cache)
    network = layers.Sequential(layers.Dense(H), layers.Tanh(), layers.Dense(K))
    theirs, expected, _ = library(network, {"0": wb(p, 1), "1": {}, "2": wb(p, 2)}, x, lambda y: losses.mse(y, t))
    same(loss, theirs)
    for number, layer in ((1, "0"), (2, "2")):
        same(grads[f"W{number}"], expected[layer]["weight"])
        same(grads[f"b{number}"], expected[layer]["bias"])


@pytest.mark.parametrize("lesson, scale", [(cross_entropy, 1), (cross_entropy, 1000), (adam, 1)])
def test_cross_entropy(lesson, scale):
    p = weights({"W": (D, K), "b": (K,)})
    x, labels = scale * RNG.normal(size=(N, D)), RNG.integers(K, size=N)
    loss, cache = lesson.forward(p, x, labels)
    grads = lesson.backward(p, cache)
    params = {"weight": p["W"], "bias": p["b"]}
    theirs, expected, _ = library(layers.Dense(K), params, x, lambda y: losses.cross_entropy_with_logits(y, labels))
    same(loss, theirs)
    same(grads["W"], expected["weight"])
    same(grads["b"], expected["bias"])


def test_adam():
    p = weights({"W": (D, K), "b": (K,)})
    store = ParamStore({"W": (D, K), "b": (K,)}, np, "float64")
    store.fill({name: value.copy() for name, value in p.items()})
    optimizer, state, p = optim.Adam(lr=0.05), {}, {name: value.copy() for name, value in p.items()}
    for _ in range(20):
        grads = weights({"W": (D, K), "b": (K,)})
        theirs = store.like()
        theirs.fill(grads)
        adam.adam(p, grads, state)
        optimizer.step(store, theirs)
        for name in p:
            same(p[name], store.tree[name])
