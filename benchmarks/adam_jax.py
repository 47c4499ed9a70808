"""Adam in JAX (Kingma & Ba 2015, algorithm 1), for trees of parameters."""

import jax
import jax.numpy as jnp

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def begin(params):
    """The state before the first step: a copy of params, both moments, the count of steps."""
    mean, square = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
    return jax.tree.map(jnp.array, params), mean, square, jnp.zeros((), jnp.int32)


def update(state, grads, lr):
    """The state after a step."""
    params, mean, square, step = state
    step = step + 1
    mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, grads)
    square = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, square, grads)
    rate, root = lr / (1 - BETA1**step), jnp.sqrt(1 - BETA2**step)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + EPSILON), params, mean, square)
    return params, mean, square, step
