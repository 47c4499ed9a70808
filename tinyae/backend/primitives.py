"""The operations with an implementation per backend; each is tested against a plain formula written in the tests."""

import numpy as np

from . import array_module


def bce_with_logits(logits, x, scale):
    """Binary cross-entropy of every element, from logits, and the gradient of `scale` times their sum.

        loss_i    = max(l, 0) - l x + log(1 + exp(-|l|))
        dlogits_i = scale (sigmoid(l) - x),   sigmoid(l) = exp(min(l, 0)) / (1 + exp(-|l|))

    No exponential sees a positive number, so any finite logit is safe. Returns (sum, dlogits), the sum of shape ().
    """
    if array_module(logits) is not np:
        from . import cuda

        return cuda.bce_with_logits(logits, x, scale)
    magnitude = np.abs(logits)
    negative_part = np.subtract(logits, magnitude)
    negative_part *= 0.5
    loss = np.add(logits, magnitude)
    loss *= 0.5
    e = np.negative(magnitude, out=magnitude)
    np.exp(e, out=e)
    dlogits = np.exp(negative_part)
    denominator = np.add(e, 1, out=negative_part)
    dlogits /= denominator
    dlogits -= x
    dlogits *= scale
    np.log1p(e, out=e)
    loss += e
    loss -= np.multiply(logits, x, out=e)
    return loss.sum(), dlogits


def adam(w, g, m, v, beta1, beta2, rate, epsilon, shrink=1.0):
    """One update of Adam or AdamW in place, over flat arrays of one length.

        m = beta1 m + g        v = beta2 v + g^2        w = shrink w - rate m / (sqrt(v) + epsilon)

    The factors 1 - beta of the moments and the bias corrections are in the two scalars `rate` and `epsilon` (see
    `optim.Adam`): three passes over memory fewer.
    """
    if array_module(w) is not np:
        from . import cuda

        return cuda.adam(w, g, m, v, beta1, beta2, rate, epsilon, shrink)
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


def add_product(grads, name, a, b):
    """grads[name] += a @ b.   (M, K), (K, N) -> (M, N).

    Where `grads` has nothing there yet (`params.Gradients`), the product is written in place: no zeros, no second pass.
    """
    out = grads.take_unset(name) if hasattr(grads, "take_unset") else None
    if out is None:
        grads[name] += a @ b
    else:
        array_module(a).matmul(a, b, out=out)


def product_transposed(a, b):
    """a @ b.T.   (M, K), (N, K) -> (M, N).

    On the CPU computed as (b @ a.T).T: for this form OpenBLAS has a kernel that is a fifth faster.
    """
    if array_module(a) is not np or a.dtype != np.float32:
        return a @ b.T
    return np.ascontiguousarray((b @ a.T).T)
