"""Every lesson computes what the library computes: the same weights give the same loss and the same gradients."""

import numpy as np
import pytest

from tinyae import layers, losses, models, optim
from tinyae.lessons import (
    aae,
    adam,
    autoencoder,
    convolution,
    cross_entropy,
    dense,
    gan,
    normalization,
    pixelcnn,
    residual,
    transposed_convolution,
    vae,
    vq_vae,
)
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


@pytest.mark.parametrize("axis, layer", [(0, layers.BatchNorm()), (1, layers.LayerNorm())])
def test_normalization(axis, layer):
    p = weights({"W1": (D, H), "scale": (H,), "shift": (H,), "W2": (H, K), "b2": (K,)})
    x, labels = RNG.normal(size=(N, D)), RNG.integers(K, size=N)
    loss, cache = normalization.forward(p, x, labels, axis)
    grads = normalization.backward(p, cache)
    network = layers.Sequential(layers.Dense(H, bias=False), layer, layers.Tanh(), layers.Dense(K))
    norm = {"scale": p["scale"], "shift": p["shift"]}
    params = {"0": {"weight": p["W1"]}, "1": norm, "2": {}, "3": wb(p, 2)}
    theirs, expected, _ = library(network, params, x, lambda y: losses.cross_entropy_with_logits(y, labels))
    same(loss, theirs)
    same(grads["W1"], expected["0"]["weight"])
    same(grads["scale"], expected["1"]["scale"])
    same(grads["shift"], expected["1"]["shift"])
    same(grads["W2"], expected["3"]["weight"])
    same(grads["b2"], expected["3"]["bias"])


def test_convolution():
    p = weights({"W1": (3, 2, 2, 4), "b1": (4,), "W2": (4, K), "b2": (K,)})
    x, labels = RNG.normal(size=(N, 6, 5, 2)), RNG.integers(K, size=N)
    loss, cache = convolution.forward(p, x, labels)
    grads = convolution.backward(p, cache)
    mean = layers.AveragePool2D((4, 4))
    network = layers.Sequential(
        layers.Conv2D(4, (3, 2), padding="valid"), layers.ReLU(), mean, layers.Flatten(), layers.Dense(K)
    )
    params = {"0": wb(p, 1), "1": {}, "2": {}, "3": {}, "4": wb(p, 2)}
    theirs, expected, dx = library(network, params, x, lambda y: losses.cross_entropy_with_logits(y, labels))
    same(loss, theirs)
    same(grads["x"], dx)
    for number, layer in ((1, "0"), (2, "4")):
        same(grads[f"W{number}"], expected[layer]["weight"])
        same(grads[f"b{number}"], expected[layer]["bias"])
    same(convolution.loops_forward(x, p["W1"], p["b1"]), convolution.conv_forward(x, p["W1"], p["b1"])[0])


@pytest.mark.parametrize("stride", (1, 2, 3))
def test_transposed_convolution(stride):
    W, x = RNG.normal(size=(4, 3, 2, 5)), RNG.normal(size=(N, 3, 4, 5))
    y, cache = transposed_convolution.conv_transposed_forward(x, W, stride)
    layer = layers.ConvTranspose2D(2, (4, 3), stride, padding="valid", bias=False)
    theirs, c_theirs = layer.forward({"weight": W}, x)
    same(y, theirs)
    same(y, transposed_convolution.loops_forward(x, W, stride))
    dy, grads = RNG.normal(size=y.shape), {"weight": np.zeros_like(W)}
    dx, dW = transposed_convolution.conv_transposed_backward(cache, dy)
    same(dx, layer.backward({"weight": W}, c_theirs, dy, grads))
    same(dW, grads["weight"])
    same((y * dy).sum(), (x * dx).sum())  # the adjoint: <M^T x, dy> = <x, M dy>


def test_transposed_network():
    p = weights({"W1": (3, 3, 16, 1), "b1": (16,), "W2": (4, 4, 1, 16), "b2": (1,)})
    small, x = RNG.normal(size=(N, 4, 4, 1)), RNG.normal(size=(N, 8, 8, 1))
    loss, cache = transposed_convolution.forward(p, small, x)
    grads = transposed_convolution.backward(p, cache)
    network = layers.Sequential(
        layers.ConvTranspose2D(16, 3, padding="valid"), layers.Tanh(), layers.ConvTranspose2D(1, 4, 2, padding="valid")
    )

    def cut(y):
        value, derror = losses.mse(y[:, 3:11, 3:11], x)
        return value, np.pad(derror, ((0, 0), (3, 3), (3, 3), (0, 0)))

    theirs, expected, dx = library(network, {"0": wb(p, 1), "1": {}, "2": wb(p, 2)}, small, cut)
    same(loss, theirs)
    same(grads["small"], dx)
    for number, layer in ((1, "0"), (2, "2")):
        same(grads[f"W{number}"], expected[layer]["weight"])
        same(grads[f"b{number}"], expected[layer]["bias"])


def test_residual():
    shapes = {"W": (D, H), "R": (H, K), "b": (K,)}
    for k in range(residual.BLOCKS):
        shapes |= {f"V{k}": (H, H), f"U{k}": (H, H)}
    p, x, labels = weights(shapes), RNG.normal(size=(N, D)), RNG.integers(K, size=N)
    loss, cache = residual.forward(p, x, labels)
    grads = residual.backward(p, cache)

    def plain():
        return layers.Dense(H, bias=False)

    blocks = [layers.Residual(plain(), layers.Tanh(), plain()) for _ in range(residual.BLOCKS)]
    network = layers.Sequential(plain(), *blocks, layers.Dense(K))
    params = {"0": {"weight": p["W"]}, str(residual.BLOCKS + 1): {"weight": p["R"], "bias": p["b"]}}
    for k in range(residual.BLOCKS):
        block = {"0": {"weight": p[f"V{k}"]}, "1": {}, "2": {"weight": p[f"U{k}"]}, "projection": {}}
        params[str(k + 1)] = block
    theirs, expected, _ = library(network, params, x, lambda y: losses.cross_entropy_with_logits(y, labels))
    same(loss, theirs)
    same(grads["W"], expected["0"]["weight"])
    same(grads["R"], expected[str(residual.BLOCKS + 1)]["weight"])
    for k in range(residual.BLOCKS):
        same(grads[f"V{k}"], expected[str(k + 1)]["0"]["weight"])
        same(grads[f"U{k}"], expected[str(k + 1)]["2"]["weight"])


def compared(model, pairs, p, batch, noise, loss, grads, phase=None, term="loss"):
    """The library's model with the lesson's weights, by `pairs` {its name: ours}, has the same loss and gradients."""
    named = model.named_parameters()
    for name, ours in pairs.items():
        named[name][...] = p[ours].reshape(named[name].shape)
    terms, found = model.loss_and_grads(batch, noise)
    found = found if phase is None else found[phase]
    same(loss, float(terms[term]))
    for name, ours in pairs.items():
        if name in found:
            same(grads[ours].reshape(found[name].shape), found[name])


def chain(*sizes, act=layers.Tanh):
    """Dense layers of these sizes with an activation between them."""
    parts = [part for size in sizes for part in (layers.Dense(size), act())]
    return layers.Sequential(*parts[:-1])


def dense_pairs(network, *names):
    """{"network.0.weight": "W1", ...} of Dense layers at 0, 2, 4, ..., by the pairs of names in the lesson."""
    kinds = ("weight", "bias")
    places = ((f"{network}.{2 * i}", pair) for i, pair in enumerate(names))
    return {f"{place}.{kind}": name for place, pair in places for kind, name in zip(kinds, pair, strict=True)}


def test_autoencoder():
    p, x = autoencoder.start(RNG, (D, 7, 2, 7, D)), RNG.random((N, D))
    loss, cache = autoencoder.forward(p, x)
    model = models.AE(
        (D,), 2, encoder=chain(7, 2, act=layers.ReLU), decoder=chain(7, D, act=layers.ReLU), dtype="float64"
    )
    pairs = dense_pairs("encoder", ("W1", "b1"), ("W2", "b2")) | dense_pairs("decoder", ("W3", "b3"), ("W4", "b4"))
    compared(model, pairs, p, {"x": x}, None, loss, autoencoder.backward(p, cache))


def test_vae():
    p, x, e = vae.start(RNG, D, 7, 2), RNG.random((N, D)), RNG.normal(size=(N, 2))
    loss, (rec, kl), cache = vae.forward(p, x, e)
    grads = vae.backward(p, cache)
    for tree in (p, grads):  # the library has one dense layer for mu and logvar
        tree["Wh"] = np.concatenate((tree["Wm"], tree["Wv"]), axis=1)
        tree["bh"] = np.concatenate((tree["bm"], tree["bv"]))
    model = models.VAE((D,), 2, encoder=chain(7, 4), decoder=chain(7, D), dtype="float64")
    pairs = dense_pairs("encoder", ("W1", "b1"), ("Wh", "bh")) | dense_pairs("decoder", ("W2", "b2"), ("W3", "b3"))
    compared(model, pairs, p, {"x": x}, {"z": e}, loss, grads)
    terms, _ = model.loss_and_grads({"x": x}, {"z": e})
    same(rec, float(terms["reconstruction"]))
    same(kl, float(terms["kl"]))


def test_vq_vae():
    x = RNG.random((N, 4, 4, 1))
    p = vq_vae.start(RNG, RNG.random((40, 16)), 16, 7, 3, 5)
    loss, _, cache = vq_vae.forward(p, x.reshape(N, 16))
    encoder = layers.Sequential(layers.Flatten(), *chain(7, 12).layers, layers.Reshape((2, 2, 3)))
    decoder = layers.Sequential(layers.Flatten(), *chain(7, 16).layers, layers.Reshape((4, 4, 1)))
    model = models.VQVAE(
        (4, 4, 1), network="small", codes=5, latent_dim=3, commitment=vq_vae.BETA, relative=False, encoder=encoder,
        decoder=decoder, dtype="float64",
    )  # fmt: skip
    pairs = {"codebook.weight": "E"}
    for network, names in (("encoder", "12"), ("decoder", "34")):
        for place, number in zip("13", names, strict=True):
            pairs |= {f"{network}.{place}.weight": f"W{number}", f"{network}.{place}.bias": f"b{number}"}
    compared(model, pairs, p, {"x": x}, None, loss, vq_vae.backward(p, cache))


@pytest.mark.parametrize("mask", "AB")
def test_masked_convolution(mask):
    W, b, x = RNG.normal(size=(5, 5, 2, 3)), RNG.normal(size=3), RNG.normal(size=(N, 6, 7, 2))
    y, cache = pixelcnn.masked_forward(x, W, b, mask)
    layer, params = layers.MaskedConv2D(3, 5, mask=mask), {"weight": W, "bias": b}
    theirs, c_theirs = layer.forward(params, x)
    same(y, theirs)
    dy, grads = RNG.normal(size=y.shape), zeros(params)
    dx, dW, db = pixelcnn.masked_backward(cache, W, dy)
    same(dx, layer.backward(params, c_theirs, dy, grads))
    same(dW, grads["weight"])
    same(db, grads["bias"])


def test_pixelcnn():
    p = weights({"W1": (5, 5, 1, 4), "b1": (4,), "W2": (3, 3, 4, 4), "b2": (4,), "W3": (1, 1, 4, 1), "b3": (1,)})
    x = (RNG.random((N, 8, 8, 1)) < 0.5) * 1.0
    loss, cache = pixelcnn.forward(p, x)
    grads = pixelcnn.backward(p, cache)
    shapes = ((4, 5, "A"), (4, 3, "B"), (1, 1, "B"))
    parts = [part for f, k, mask in shapes for part in (layers.MaskedConv2D(f, k, mask=mask), layers.ReLU())]
    params = {"0": wb(p, 1), "1": {}, "2": wb(p, 2), "3": {}, "4": wb(p, 3)}
    theirs, expected, _ = library(layers.Sequential(*parts[:-1]), params, x, lambda y: losses.bce_with_logits(y, x))
    same(loss, theirs)
    for number, layer in ((1, "0"), (2, "2"), (3, "4")):
        same(grads[f"W{number}"], expected[layer]["weight"])
        same(grads[f"b{number}"], expected[layer]["bias"])


def network(name, inputs, outputs):
    return {f"{name}W": (inputs, H), f"{name}b": (H,), f"{name}V": (H, outputs), f"{name}c": (outputs,)}


def network_pairs(network, name):
    return dense_pairs(network, (f"{name}W", f"{name}b"), (f"{name}V", f"{name}c"))


@pytest.mark.parametrize("phase, term", [("discriminator", "discriminator"), ("generator", "loss")])
def test_gan(phase, term):
    p, x, z = weights(network("G", 2, 2) | network("D", 2, 1)), RNG.normal(size=(N, 2)), RNG.normal(size=(N, 2))
    loss, cache = gan.forward(p, phase, x, z)
    model = models.GAN((2,), 2, output="linear", generator=chain(H, 2), discriminator=chain(H, 1), dtype="float64")
    pairs, noise = network_pairs("generator", "G") | network_pairs("discriminator", "D"), {f"{phase}.z": z}
    compared(model, pairs, p, {"x": x}, noise, loss, gan.backward(p, cache), phase, term)


@pytest.mark.parametrize("phase", aae.PHASES)
def test_aae(phase):
    p = weights(network("e", D, 2) | network("d", 2, D) | network("D", 2, 1))
    x, prior = RNG.random((N, D)), RNG.normal(size=(N, 2))
    loss, cache = aae.forward(p, phase, x, prior)
    model = models.AAE(
        (D,), 2, loss="mse", encoder=chain(H, 2), decoder=chain(H, D), discriminator=chain(H, 1), dtype="float64"
    )
    pairs = network_pairs("encoder", "e") | network_pairs("decoder", "d") | network_pairs("discriminator", "D")
    noise = {"discriminator.prior.z": prior}
    compared(model, pairs, p, {"x": x}, noise, loss, aae.backward(p, cache), phase, phase)
