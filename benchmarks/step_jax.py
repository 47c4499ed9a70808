"""The training step in JAX: one jitted function from bytes to new parameters, its buffers donated."""

from functools import partial

import jax
import jax.numpy as jnp

from .dense_vae import BATCH, LATENT, LR

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Step:
    def __init__(self, data, weights):
        self.data = jnp.asarray(data)
        params = [jnp.asarray(array) for array in weights.values()]
        mean, square = ([jnp.zeros_like(p) for p in params] for _ in range(2))
        self.state, self.key = (params, mean, square, jnp.zeros((), jnp.int32)), jax.random.key(0)

    def __call__(self, rows, noise=None):
        self.state, value = train(self.state, self.data, rows, self.key, noise)
        return value

    def wait(self):
        jax.block_until_ready(self.state)


def loss(params, x, noise):
    """Negative ELBO in nats, averaged over the batch."""
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    mu, logvar = jnp.split(jax.nn.relu(x @ w1 + b1) @ w2 + b2, 2, axis=1)
    z = mu + jnp.exp(0.5 * logvar) * noise
    logits = jax.nn.relu(z @ w3 + b3) @ w4 + b4
    reconstruction = jnp.sum(jnp.maximum(logits, 0) - logits * x + jnp.log1p(jnp.exp(-jnp.abs(logits))))
    kl = 0.5 * jnp.sum(mu**2 + jnp.exp(logvar) - 1 - logvar)
    return (reconstruction + kl) / x.shape[0]


@partial(jax.jit, donate_argnums=0)
def train(state, data, rows, key, noise):
    params, mean, square, step = state
    if noise is None:
        noise = jax.random.normal(jax.random.fold_in(key, step), (BATCH, LATENT))
    x = data[rows].astype(jnp.float32) * (1 / 255)
    value, grads = jax.value_and_grad(loss)(params, x, noise)
    step = step + 1
    mean = [BETA1 * m + (1 - BETA1) * g for m, g in zip(mean, grads, strict=True)]
    square = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(square, grads, strict=True)]
    rate, root = LR / (1 - BETA1**step), jnp.sqrt(1 - BETA2**step)
    params = [
        p - rate * m / (jnp.sqrt(v) / root + EPSILON) for p, m, v in zip(params, mean, square, strict=True)
    ]
    return (params, mean, square, step), value
