"""Optimisers over the flat buffer of parameters.

    optimizer.step(store, grads)

moves `store.flat` by `grads.flat`, two `ParamStore`s of one layout, and bumps `store.version`. The learning rate is a
number or a schedule, a function of the step counted from 0. Moments share the layout too; `state()` and `load_state`
serve checkpoints.
"""

import math
import operator
from functools import reduce

import numpy as np

from ..backend import Portable, array_module, operations
from ..errors import CheckpointError, ConfigError
from ..options import WEIGHT, Flag, Number, of_layer
from .schedules import LR

# The most elements per slice of an update on the CPU. Five float32 slices of 1 MiB stay in the outer cache between the
# passes over them; shorter ones would fit the inner cache, but threads would meet more often at the interpreter's lock.
SLICE = 1 << 18

BETA = Number(least=0, below=1)


class Optimizer(Portable):
    """The base of all optimisers: counts steps and keeps moments, arrays like the parameters.

    A subclass names its `moments` and writes `update`.

    Parameters
    ----------
    lr : float or function of the step
        The learning rate, or a schedule.

    Example
    -------
    >>> Optimizer(0.1).rate()
    0.1
    """

    moments = ()

    @of_layer(lr=LR)
    def __init__(self, lr):
        self.lr, self.steps, self.arrays = lr, 0, {}

    def rate(self):
        """The learning rate of the coming step."""
        if not callable(self.lr):
            return self.lr
        return float(WEIGHT.check("lr", self.lr(self.steps), type(self).__name__))

    def step(self, store, *grads, each=map):
        """Move `store` by the sum of `grads`.

        `each(function, slices)` may run the slices of the update side by side.
        """
        w, gradients = store.flat, [g.flat for g in grads]
        for g in gradients:
            if w.shape != g.shape:
                raise ConfigError(f"gradients {g.shape} do not fit parameters {w.shape}")
        if not self.arrays:
            self.arrays = {name: array_module(w).zeros_like(w) for name in self.moments}
        lr = self.rate()

        def update(part):
            moments = {name: array[part] for name, array in self.arrays.items()}
            self.update(w[part], [g[part] for g in gradients], lr, **moments)

        list(each(update, self.slices(w, gradients)))
        self.steps += 1
        store.version += 1

    def slices(self, w, gradients):
        """The parts of the flat arrays that `update` takes one by one."""
        return slices(w)

    def update(self, w, gradients, lr, **moments):
        """The formula, in place on w and the moments; all are flat and of one length, g is the sum of `gradients`."""
        raise NotImplementedError

    def state(self):
        """{"steps": int, moment name: flat array}."""
        return {"steps": self.steps, **self.arrays}

    def load_state(self, state, xp):
        """Take up a `state()` again; arrays are copied to `xp`."""
        arrays = {name: xp.array(value) for name, value in state.items() if name != "steps"}
        untouched = not arrays and int(state["steps"]) == 0  # saved before the first step
        if set(arrays) != set(self.moments) and not untouched:
            raise CheckpointError(
                f"checkpoint has moments {sorted(arrays)}, {type(self).__name__} needs {sorted(self.moments)}: "
                "resume with the optimiser it was trained with"
            )
        self.steps, self.arrays = int(state["steps"]), arrays


def slices(flat):
    """Slices that cover a flat array.

    Parameters
    ----------
    flat : (P,) array
        Parameters.

    Returns
    -------
    slices : list of slice
        On the CPU an even number of equal ones, for two threads to share; one for short arrays and on a device.

    Example
    -------
    >>> import numpy as np
    >>> slices(np.zeros(5))
    [slice(0, 5, None)]
    """
    count = len(flat)
    if array_module(flat) is not np or count <= SLICE // 16:
        return [slice(0, count)]
    size = -(-count // (2 * -(-count // (2 * SLICE))))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum on request (Sutskever et al. 2013).

        u = momentum u + g,   w -= lr u,   with Nesterov w -= lr (g + momentum u)

    Parameters
    ----------
    lr : float or function of the step
        The learning rate, or a schedule.
    momentum : float, default 0
        The share of u that a step keeps.
    nesterov : bool, default False
        Whether the step looks ahead; it needs a momentum.
    weight_decay : float, default 0
        Adds weight_decay w to g, the gradient of weight_decay |w|^2 / 2 (an L2 penalty).

    Example
    -------
    >>> from tinyae.params import ParamStore
    >>> w = ParamStore({"w": (1,)}, dtype="float64")
    >>> g = w.like()
    >>> g.flat[...] = 2.0
    >>> SGD(0.1).step(w, g)
    >>> w.flat.round(6).tolist()
    [-0.2]
    """

    @of_layer(momentum=BETA, nesterov=Flag(), weight_decay=WEIGHT)
    def __init__(self, lr=1e-2, momentum=0.0, nesterov=False, weight_decay=0.0):
        super().__init__(lr)
        if nesterov and not momentum:
            raise ConfigError("SGD: nesterov needs a momentum above 0")
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.moments = ("velocity",) if momentum else ()

    def update(self, w, gradients, lr, velocity=None):
        g = reduce(operator.add, gradients)
        if self.weight_decay:
            g = g + self.weight_decay * w
        if velocity is not None:
            velocity *= self.momentum
            velocity += g
            g = g + self.momentum * velocity if self.nesterov else velocity
        w -= lr * g


class RMSprop(Optimizer):
    """Divides the gradient by a running root mean square (Tieleman & Hinton 2012, lecture 6.5).

        v = decay v + (1 - decay) g^2,   w -= lr g / (sqrt(v) + epsilon)

    Parameters
    ----------
    lr : float or function of the step
        The learning rate, or a schedule.
    decay : float, default 0.9
        The share of v that a step keeps.
    epsilon : float, default 1e-8
        Added to the denominator.

    Example
    -------
    >>> from tinyae.params import ParamStore
    >>> w = ParamStore({"w": (1,)}, dtype="float64")
    >>> g = w.like()
    >>> g.flat[...] = 2.0
    >>> RMSprop(0.1, decay=0.75).step(w, g)
    >>> w.flat.round(6).tolist()
    [-0.2]
    """

    moments = ("square",)

    @of_layer(decay=BETA, epsilon=WEIGHT)
    def __init__(self, lr=1e-3, decay=0.9, epsilon=1e-8):
        super().__init__(lr)
        self.decay, self.epsilon = decay, epsilon

    def update(self, w, gradients, lr, square):
        g = reduce(operator.add, gradients)
        square *= self.decay
        square += (1 - self.decay) * (g * g)
        w -= lr * (g / (square**0.5 + self.epsilon))


class Adam(Optimizer):
    """Adam: moment estimates with bias correction (Kingma & Ba 2015, algorithm 1).

        mean = beta1 mean + (1 - beta1) g        square = beta2 square + (1 - beta2) g^2
        w -= lr (mean / (1 - beta1^t)) / (sqrt(square / (1 - beta2^t)) + epsilon)        at step t = 1, 2, ...

    Kept are m = mean / (1 - beta1) and v = square / (1 - beta2), which make the update lr (1 - beta1) / ((1 - beta1^t)
    s) m / (sqrt(v) + epsilon / s) with s = sqrt((1 - beta2) / (1 - beta2^t)).

    Parameters
    ----------
    lr : float or function of the step
        The learning rate, or a schedule.
    beta1, beta2 : float, default 0.9 and 0.999
        The shares of the mean and of the square that a step keeps.
    epsilon : float, default 1e-8
        Added to the denominator.

    Example
    -------
    >>> from tinyae.params import ParamStore
    >>> w = ParamStore({"w": (1,)}, dtype="float64")
    >>> g = w.like()
    >>> g.flat[...] = 2.0
    >>> Adam(0.1).step(w, g)
    >>> w.flat.round(6).tolist()
    [-0.1]
    """

    moments = ("mean", "square")
    weight_decay = 0.0

    @of_layer(beta1=BETA, beta2=BETA, epsilon=WEIGHT)
    def __init__(self, lr=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):
        super().__init__(lr)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def slices(self, w, gradients):
        return [slice(None)] if operations.share_update(w, *gradients) else slices(w)

    def update(self, w, gradients, lr, mean, square):
        t = self.steps + 1
        s = math.sqrt((1 - self.beta2) / (1 - self.beta2**t))
        rate = lr * (1 - self.beta1) / ((1 - self.beta1**t) * s)
        shrink = 1 - lr * self.weight_decay
        operations.adam(w, gradients, mean, square, self.beta1, self.beta2, rate, self.added(s), shrink)

    def added(self, s):
        """What is added to sqrt(v)."""
        return self.epsilon / s


class KerasAdam(Adam):
    """Adam as in Keras and TensorFlow, with epsilon before the bias correction (Kingma & Ba 2015, end of section 2).

        w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) mean / (sqrt(square) + epsilon)

    This is a larger epsilon in the first steps. Keras has 1e-7, TensorFlow 1's AdamOptimizer 1e-8.

    Parameters
    ----------
    lr : float or function of the step
        The learning rate, or a schedule.
    beta1, beta2 : float, default 0.9 and 0.999
        The shares of the mean and of the square that a step keeps.
    epsilon : float, default 1e-7
        Added to the denominator.

    Example
    -------
    >>> from tinyae.params import ParamStore
    >>> w = ParamStore({"w": (1,)}, dtype="float64")
    >>> g = w.like()
    >>> g.flat[...] = 2.0
    >>> KerasAdam(0.1).step(w, g)
    >>> w.flat.round(6).tolist()
    [-0.1]
    """

    @of_layer()
    def __init__(self, lr=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-7):
        super().__init__(lr, beta1, beta2, epsilon)

    def added(self, s):
        return self.epsilon / math.sqrt(1 - self.beta2)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

        w -= lr weight_decay w,   then the update of Adam

    Parameters
    ----------
    lr : float or function of the step
        The learning rate, or a schedule.
    beta1, beta2 : float, default 0.9 and 0.999
        The shares of the mean and of the square that a step keeps.
    epsilon : float, default 1e-8
        Added to the denominator.
    weight_decay : float, default 0.01
        The rate at which weights shrink.

    Example
    -------
    >>> from tinyae.params import ParamStore
    >>> w = ParamStore({"w": (1,)}, dtype="float64")
    >>> g = w.like()
    >>> g.flat[...] = 2.0
    >>> AdamW(0.1).step(w, g)
    >>> w.flat.round(6).tolist()
    [-0.1]
    """

    @of_layer(weight_decay=WEIGHT)
    def __init__(self, lr=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01):
        super().__init__(lr, beta1, beta2, epsilon)
        self.weight_decay = weight_decay


OPTIMIZERS = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW, "keras-adam": KerasAdam}
