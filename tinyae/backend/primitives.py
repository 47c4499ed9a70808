"""The operations with an implementation per backend; each is tested against a plain formula written in the tests.

Here is NumPy's. CuPy's are in `cuda`; float32 on the CPU goes to the compiled ones where there are any (`native`).
"""

import numpy as np

from . import array_module, native
from .native import primitives as compiled


def bce_with_logits(logits, x, scale):
    """Binary cross-entropy of every element, from logits, and the gradient of `scale` times their sum.

        loss_i    = l g_i + log(1 + exp(-|l|)),   g_i = 1[l > 0] - x       (no g, no loss: 0 times infinity is 0)
        dlogits_i = scale (sigmoid(l) - x),   sigmoid(l) = exp(min(l, 0)) / (1 + exp(-|l|))

    No exponential sees a positive number, and for x in [0, 1] two terms of one sign are added: any logit is safe.
    Returns (sum, dlogits), the sum of shape ().
    """
    if array_module(logits) is not np:
        from . import cuda

        return cuda.bce_with_logits(logits, x, scale)
    if native.takes_alike(logits, x):
        return compiled.bce_with_logits(logits, x, scale)
    loss = np.subtract(logits > 0, x, dtype=logits.dtype)
    np.multiply(loss, logits, out=loss, where=loss != 0)
    e = np.abs(logits)
    np.negative(e, out=e)
    np.exp(e, out=e)
    dlogits = np.minimum(logits, 0)
    np.exp(dlogits, out=dlogits)
    dlogits /= e + 1
    dlogits -= x
    dlogits *= scale
    np.log1p(e, out=e)
    loss += e
    return loss.sum(), dlogits


def adam(w, gradients, m, v, beta1, beta2, rate, epsilon, shrink=1.0):
    """One update of Adam or AdamW in place, over flat arrays of one length; g is the sum of `gradients`, a list.

        m = beta1 m + g        v = beta2 v + g^2        w = shrink w - rate m / (sqrt(v) + epsilon)

    The factors 1 - beta of the moments and the bias corrections are in the two scalars `rate` and `epsilon` (see
    `optim.Adam`): three passes over memory fewer.
    """
    if array_module(w) is not np:
        from . import cuda

        return cuda.adam(w, total(gradients), m, v, beta1, beta2, rate, epsilon, shrink)
    if native.takes_alike(w, m, v, *gradients) and all(a.flags.writeable for a in (w, m, v)):
        return compiled.adam(w, gradients, m, v, beta1, beta2, rate, epsilon, shrink)
    g = total(gradients)
    m *= beta1
    m += g
    v *= beta2
    scratch = np.multiply(g, g)
    v += scratch
    if shrink != 1:
        w *= shrink
    np.sqrt(v, out=scratch)
    scratch += epsilon
    np.divide(m, scratch, out=scratch)
    scratch *= rate
    w -= scratch


def total(gradients):
    """The sum of a list of arrays, in its order."""
    g = gradients[0]
    for other in gradients[1:]:
        g = g + other
    return g


def relu(x):
    """max(x, 0)."""
    return compiled.relu(x) if native.takes(x) else array_module(x).maximum(x, 0)


def relu_gradient(y, dy):
    """dy where y > 0, else 0."""
    if native.takes_alike(y, dy):
        return compiled.relu_gradient(y, dy)
    return dy * (y > 0)


def affine(x, weight, bias=None):
    """x @ weight + bias.   (N, K), (K, F), (F,) -> (N, F)."""
    if _takes_product(x, weight, 1, 0) and weight.shape[1] % 4 == 0 and native.takes_columns(weight, bias):
        return compiled.affine(x, weight, bias)
    y = x @ weight
    if bias is not None:
        y += bias
    return y


def add_rows(grads, name, x):
    """grads[name] (C,) += the sum of the rows of x (..., C)."""
    sums = grads[name]
    if native.takes_columns(x, sums) and sums.flags.writeable:
        compiled.add_rows(sums, x)
    else:
        sums += x.sum(axis=tuple(range(x.ndim - 1)))


def add_product(grads, name, x, dy):
    """grads[name] (K, F) += x.T @ dy.   (N, K), (N, F).

    Where `grads` has nothing there yet (`params.Gradients`), the product is written in place: no zeros, no second pass.
    """
    fresh = grads.take_unset(name) if hasattr(grads, "take_unset") else None
    out = grads[name] if fresh is None else fresh
    fits = native.takes(out) and out.flags.writeable and out.shape == (*x.shape[1:], *dy.shape[1:])
    if fits and _takes_product(x, dy, 0, 0) and dy.shape[1] % 4 == 0:
        compiled.product_first(x, dy, out, fresh is not None)
    elif fresh is None:
        out += x.T @ dy
    else:
        array_module(x).matmul(x.T, dy, out=out)


def product_transposed(a, b):
    """a @ b.T.   (M, K), (N, K) -> (M, N).

    On the CPU computed as (b @ a.T).T: for this form OpenBLAS has a kernel that is a fifth faster.
    """
    if _takes_product(a, b, 1, 1):
        return compiled.product_transposed(a, b)
    if array_module(a) is not np or a.dtype != np.float32:
        return a @ b.T
    return np.ascontiguousarray((b @ a.T).T)


def _takes_product(a, b, axis, other):
    """Whether the compiled products take matrices a and b, over `axis` of a and axis `other` of b."""
    return native.takes(a, b) and a.ndim == b.ndim == 2 and a.shape[axis] == b.shape[other]
