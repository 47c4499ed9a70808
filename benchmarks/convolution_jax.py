"""The same in JAX, channels last: a layer's two directions and a whole step are one jitted function each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import adam_jax
from .convolution_cases import CASES, LAYERS, LR, networks

LAYOUT = ("NHWC", "HWIO", "NHWC")
MOMENTUM = 0.9  # BatchNorm's running statistics keep this share, tinyae's default


class Contender:
    packages = ("jax",)

    @functools.cache  # noqa: B019 (one contender a process)
    def case(self, name):
        return (LayerRun if name in LAYERS else ModelRun)(CASES[name])


def convolve(x, weight, bias, stride, transposed):
    """ "same" padding, as tinyae's: stride (2, 2) halves an even side of the image, or doubles it transposed."""
    if transposed:
        return lax.conv_transpose(x, weight, stride, "SAME", dimension_numbers=LAYOUT, transpose_kernel=True) + bias
    return lax.conv_general_dilated(x, weight, stride, "SAME", dimension_numbers=LAYOUT) + bias


class LayerRun:
    def __init__(self, case):
        *inputs, dy = map(jnp.asarray, case.arrays())
        self.inputs, self.dy = inputs, dy
        function = functools.partial(convolve, stride=(case.stride,) * 2, transposed=case.transposed)
        self._forward = jax.jit(function)
        # XLA leaves out what dx, dw and db do not need: y is not computed again.
        self._backward = jax.jit(lambda inputs, dy: jax.vjp(function, *inputs)[1](dy))

    def forward(self):
        self.y = jax.block_until_ready(self._forward(*self.inputs))

    def backward(self):
        return jax.block_until_ready(self._backward(self.inputs, self.dy))

    def check(self):
        self.forward()
        return [float(jnp.abs(a).sum()) for a in (self.y, *self.backward())]


class ModelRun:
    """The model's own layers and weights as one function; its state has BatchNorm's running statistics in it."""

    def __init__(self, case):
        model = case.build()
        functions = {name: function(network, shape) for name, network, shape in networks(model) if name != "codebook"}
        loss = (vq_loss if "codebook" in model.networks else ae_loss)(model, functions)

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def train(state, running, x, noise):
            (value, statistics), grads = jax.value_and_grad(loss, has_aux=True)(state[0], x, noise)
            running = jax.tree.map(lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, running, statistics)
            return adam_jax.update(state, grads, LR), running, value

        self.state, self.train = adam_jax.begin(model.store.tree), train
        self.value_and_grad = jax.jit(jax.value_and_grad(loss, has_aux=True))
        shapes = jax.eval_shape(loss, self.state[0], *case.batch(0))[1]
        self.running = [(jnp.zeros(mean.shape), jnp.ones(var.shape)) for mean, var in shapes]

    def step(self, x, noise):
        self.state, self.running, value = self.train(self.state, self.running, x, noise)
        return jax.block_until_ready(value)

    def check(self, *batches):
        found = []
        for batch in batches:
            (value, _), grads = self.value_and_grad(self.state[0], *batch)
            norms = (float(np.linalg.norm(np.array(leaf, float))) for leaf in jax.tree.leaves(grads))
            found += [float(value), sum(norms)]
        before = vector(self.state[0])  # copied, since a step gives its memory away
        self.step(*batches[-1])
        return [*found, float(np.median(abs(vector(self.state[0]) - before)))]


def vector(tree):
    """All numbers of a tree of arrays in a row, as a NumPy array."""
    return np.concatenate([np.array(leaf).reshape(-1) for leaf in jax.tree.leaves(tree)])


def ae_loss(model, functions):
    """loss(params, x, noise) -> (value, statistics) of an autoencoder, variational or not."""
    variational, squared = "kl" in model.terms, model.config.get("loss") == "mse"

    def loss(params, x, noise):
        statistics = []
        z, kl = functions["encoder"](params["encoder"], x, statistics), 0
        if variational:
            mu, logvar = jnp.split(z, 2, axis=1)
            z = mu + jnp.exp(0.5 * logvar) * noise
            kl = 0.5 * jnp.sum(mu**2 + jnp.exp(logvar) - 1 - logvar)
        y = functions["decoder"](params["decoder"], z, statistics)
        each = (y - x) ** 2 if squared else jax.nn.softplus(y) - y * x
        return (jnp.sum(each) + kl) / len(x), statistics

    return loss


def vq_loss(model, functions):
    """The same of a VQ-VAE (van den Oord et al. 2017, equation 3)."""
    variance, held = float(model.state.tree["scale"]["variance"]), lax.stop_gradient

    def loss(params, x, noise):
        statistics, book = [], params["codebook"]["weight"]
        x = 2 * x - 1 if model.signed else x
        z = functions["encoder"](params["encoder"], x, statistics)
        rows = z.reshape(-1, z.shape[-1])
        q = book[jnp.argmin(jnp.sum(book**2, axis=1) - 2 * rows @ book.T, axis=1)].reshape(z.shape)
        y = functions["decoder"](params["decoder"], z + held(q - z), statistics)
        terms = jnp.sum((y - x) ** 2) / variance, jnp.sum((q - held(z)) ** 2), jnp.sum((z - held(q)) ** 2)
        return (terms[0] + terms[1] + model.commitment * terms[2]) / len(x), statistics

    return loss


def function(layer, shape):
    """f(params, x, statistics) -> y for a layer on examples of `shape`; BatchNorm appends what it saw to the list."""
    kind, out = type(layer).__name__, layer.output_shape(shape)
    if kind in ("Sequential", "Residual"):
        return in_sequence(layer, shape, kind == "Residual")
    if kind in ("Conv2D", "ConvTranspose2D"):
        return lambda p, x, _: convolve(x, p["weight"], p["bias"], layer.stride, kind == "ConvTranspose2D")
    window = (1, 2, 2, 1)
    return {
        "BatchNorm": lambda p, x, statistics: batch_norm(p, x, statistics, layer.epsilon),
        "Dense": lambda p, x, _: x @ p["weight"] + p["bias"],
        "ReLU": lambda p, x, _: jax.nn.relu(x),
        "Tanh": lambda p, x, _: jnp.tanh(x),
        "Flatten": lambda p, x, _: x.reshape(len(x), -1),
        "Reshape": lambda p, x, _: x.reshape(-1, *out),
        "MaxPool2D": lambda p, x, _: lax.reduce_window(x, -jnp.inf, lax.max, window, window, "SAME"),
        # Twice each way, an odd side cut off: nearest, as tinyae and PyTorch index it; jax.image.resize does not.
        "Resize2D": lambda p, x, _: x.repeat(2, 1).repeat(2, 2)[:, : out[0], : out[1]],
    }[kind]


def in_sequence(layer, shape, residual):
    inner = []
    for one in layer.layers:
        inner.append(function(one, shape))
        shape = one.output_shape(shape)

    def run(params, x, statistics):
        y = x
        for i, f in enumerate(inner):
            y = f(params[str(i)], y, statistics)
        return x + y if residual else y

    return run


def batch_norm(p, x, statistics, epsilon):
    axes, m = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    mean, var = x.mean(axes), x.var(axes)
    statistics.append((mean, var * m / (m - 1)))
    return p["scale"] * (x - mean) / jnp.sqrt(var + epsilon) + p["shift"]
