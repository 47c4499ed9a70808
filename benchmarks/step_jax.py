"""The training step in JAX: one jitted function from bytes to new parameters, its buffers donated."""

from functools import partial

import jax
import jax.numpy as jnp

from . import adam_jax
from .dense_vae import BATCH, LATENT, LR


class Step:
    def __init__(self, data, weights):
        self.data = jnp.asarray(data)
        self.state, self.key = adam_jax.begin(list(weights.values())), jax.random.key(0)

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
    params, _, _, step = state
    if noise is None:
        noise = jax.random.normal(jax.random.fold_in(key, step), (BATCH, LATENT))
    x = data[rows].astype(jnp.float32) * (1 / 255)
    value, grads = jax.value_and_grad(loss)(params, x, noise)
    return adam_jax.update(state, grads, LR), value
