"""The penalty on a critic whose slope is not 1 (Gulrajani et al. 2017, equation 3), and its gradient by hand.

    penalty = lambda / N sum_n (|g_n| - 1)^2,    g_n = dD(x_n)/dx_n

is made of derivatives already, so its gradient needs second ones. Let u = dpenalty/dg be held fixed:

    dpenalty/dtheta = d/dtheta <g, u>,    u_n = 2 lambda / N (|g_n| - 1) g_n / |g_n|

and <g, u> is the derivative of sum_n D(x_n) along u. For layers h_l = f_l(h_l-1) with Jacobians J_l it is

    <g, u> = 1^T J_L ... J_2 J_1 u = delta_l^T J_l t_l-1    at any l,
    t_l = J_l t_l-1, t_0 = u    forward: the critic linearised at x, without biases
    delta_l-1 = J_l^T delta_l, delta_L = 1    backward: what made g = delta_0 has them all

Where layers are linear or piecewise linear, theta is in J_l = W_l itself and nowhere else: the slopes of ReLU do not
change with it, and <g, u> is linear in each W_l. So dW_l is the gradient that the layer would have on its input t_l-1
from delta_l, and biases have none. That is one more forward pass than any critic needs. A smooth
activation would add a term, f'' t delta, that has to be sent back through all layers before it.
"""

import copy

from ..backend import array_module
from ..errors import ConfigError
from ..layers import Conv2D, Dense, Dropout, Flatten, LeakyReLU, MaskedConv2D, ReLU, Reshape, Sequential
from ..params import child

LINEAR = (Dense, Conv2D, MaskedConv2D)  # J = W
SHAPE = (Flatten, Reshape)  # J moves elements to other places
DIAGONAL = (ReLU, LeakyReLU, Dropout)  # J = J^T = a slope for each element
SMALLEST = 1e-12  # a gradient of norm 0 has no direction: u = 0


def gradient_penalty(critic, params, x, weight, train=False, rng=None, batch_size=None):
    """lambda / N sum_n (|dD(x_n)/dx_n| - 1)^2 -> (penalty, a 0-d array; the cache of `gradient_penalty_backward`).

    critic: a Sequential D of layers named above, x (N, ...) -> (N, 1), with its `params`. weight: lambda. batch_size: N
    where x is a part of a larger batch. Raises ConfigError for a layer that is not piecewise linear.
    """
    check_critic(critic)
    xp, axes = array_module(x), tuple(range(1, x.ndim))
    y, caches = critic.forward(params, x, train, rng)                     # (N, 1)

    deltas, delta = [], xp.ones_like(y)                                   # delta_l = dD/dy_l, from the last layer on
    for i in reversed(range(len(critic.layers))):
        deltas.insert(0, delta)
        delta = critic.layers[i].backward(params[str(i)], caches[i], delta)
    g, scale = delta, weight / (batch_size or len(x))                     # (N, ...), dD/dx
    norm = xp.sqrt((g * g).sum(axis=axes, keepdims=True))                 # (N, 1, ...)
    return scale * ((norm - 1) ** 2).sum(), (caches, deltas, g, norm, scale)


def check_critic(critic):
    """ConfigError unless D is a Sequential of the layers named above. A subclass of one may compute something else."""
    for layer in critic.layers if type(critic) is Sequential else (critic,):
        if type(layer) not in LINEAR + SHAPE + DIAGONAL:
            raise ConfigError(f"the gradient penalty is for piecewise linear critics, {layer!r} is not: use LeakyReLU")


def gradient_penalty_backward(critic, params, cache, grads):
    """Adds the gradients of the penalty into `grads`, a dict as in the critic's own `backward`."""
    caches, deltas, g, norm, scale = cache
    xp = array_module(g)
    t = (2 * scale) * (norm - 1) / xp.maximum(norm, SMALLEST) * g         # (N, ...), dpenalty/dg
    for i, layer in enumerate(critic.layers):
        t = _forward(layer, params[str(i)], caches[i], t, deltas[i], child(grads, str(i)))


def _forward(layer, params, cache, t, delta, grads):
    """J t of one layer, whose cache is that at x; adds t^T delta into its weight's gradient."""
    if isinstance(layer, DIAGONAL):
        return layer.backward(params, cache, t)
    if isinstance(layer, LINEAR):
        layer = copy.copy(layer)
        layer.bias = False
        params = {"weight": params["weight"]}
        layer.add_grads(params, t, delta, grads)
    return layer.forward(params, t)[0]
