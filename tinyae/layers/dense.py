"""The fully connected layer and the table of vectors."""

from ..backend import array_module
from ..backend.indices import rows
from ..backend.operations import add_rows, affine, product_transposed
from ..options import VALUES, Choice, Count, Flag, of_layer
from ..params import add_product
from .base import Layer
from .initialisers import INITIALISERS


class Dense(Layer):
    """A fully connected layer.

        y = x W + b,   dx = dy W^T,   dW += x^T dy,   db += sum_n dy

    (N, D) -> (N, units), with weight W (D, units) and bias b (units,).

    Parameters
    ----------
    units : int
        The size of the output.
    bias : bool, default True
        Whether b is added.
    init : "glorot", "he" or "uniform", default "glorot"
        The initialiser of W; b starts at zero.

    Example
    -------
    >>> Dense(3).output_shape((5,)), Dense(3).param_shapes((5,))
    ((3,), {'weight': (5, 3), 'bias': (3,)})
    """

    bias_init = "zeros"

    @of_layer(units=Count(1, VALUES), bias=Flag(), init=Choice(INITIALISERS, "initialiser"))
    def __init__(self, units, bias=True, init="glorot"):
        self.units, self.bias, self.init_name = units, bias, init

    @classmethod
    def examples(cls):
        return [(cls(3), (5,)), (cls(1, bias=False), (4,)), (cls(4, init="he"), (1,)), (cls(2, init="uniform"), (3,))]

    def __repr__(self):
        return f"Dense({self.units}{'' if self.bias else ', bias=False'})"

    def output_shape(self, input_shape):
        self.expect(len(input_shape) == 1, "of one axis besides the batch (put Flatten() before it)", input_shape)
        return (self.units,)

    def param_shapes(self, input_shape):
        self.output_shape(input_shape)
        shapes = {"weight": (input_shape[0], self.units)}
        return shapes | {"bias": (self.units,)} if self.bias else shapes

    def initialisers(self):
        return {"weight": self.init_name, "bias": self.bias_init}

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        return affine(x, params["weight"], params.get("bias")), x  # x @ W + b

    def backward(self, params, cache, dy, grads=None):
        self.check_gradient(dy, (len(cache), self.units))
        if grads is not None:
            self.add_grads(params, cache, dy, grads)
        return product_transposed(dy, params["weight"])  # dy @ W.T

    def add_grads(self, params, cache, dy, grads):
        x = cache
        self.check_gradient(dy, (len(x), self.units))
        add_product(grads, "weight", x, dy)  # grads["weight"] += x.T @ dy
        if self.bias:
            add_rows(grads["bias"], dy)  # grads["bias"] += dy.sum(axis=0)


class Embedding(Layer):
    """A table with a row of numbers for each integer.

        y = W[x],   dW_k += sum of dy over the places where x = k

    (N, ...) integers -> (N, ..., units), with weight W (count, units). dW is the product onehot(x)^T dy, deterministic
    on every backend. There is no gradient by x: backward returns None.

    Parameters
    ----------
    count : int
        The number of rows; x is in [0, count).
    units : int
        The size of a row.

    Raises
    ------
    DataError
        For an integer outside [0, count) on NumPy. On a device, where a look at x would wait, its row of y is NaN.

    Example
    -------
    >>> import numpy as np
    >>> Embedding(10, 4).forward({"weight": np.eye(10, 4)}, np.array([2, 0]))[0].tolist()
    [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """

    @of_layer(count=Count(), units=Count())
    def __init__(self, count, units):
        self.count, self.units = count, units

    @classmethod
    def examples(cls):
        return [(cls(7, 3), ()), (cls(4, 2), (5,))]

    @property
    def integer_input(self):
        return self.count

    def output_shape(self, input_shape):
        return (*input_shape, self.units)

    def param_shapes(self, input_shape):
        return {"weight": (self.count, self.units)}

    def initialisers(self):
        return {"weight": "normal"}

    def forward(self, params, x, train=False, rng=None, state=None):
        self.check_params(params, x)
        return rows(params["weight"], x, repr(self)), x

    def backward(self, params, cache, dy, grads=None):
        x = cache
        self.check_gradient(dy, (*x.shape, self.units))
        if grads is not None:
            xp = array_module(dy)
            onehot = (x.reshape(-1, 1) == xp.arange(self.count)).astype(dy.dtype)
            grads["weight"] += onehot.T @ dy.reshape(-1, self.units)
        return None
