"""The operations with an implementation per backend; each is tested against a plain formula written in the tests."""

import numpy as np

from . import array_module

# Elements per slice: five float32 slices of 256 KB pass through the nearest caches, and a slice is long enough that two
# threads seldom wait for each other at the interpreter's lock.
SLICE = 1 << 16


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


def adam(w, g, m, v, lr, beta1, beta2, epsilon, correction1, correction2, weight_decay, slice_=slice(None)):
    """One Adam (or AdamW) update in place, over flat arrays of one length.

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        w = w (1 - lr weight_decay) - lr (m / correction1) / (sqrt(v / correction2) + epsilon)

    with correction_i = 1 - beta_i^t at step t (Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2).
    """
    if array_module(w) is not np:
        from . import cuda

        return cuda.adam(w, g, m, v, lr, beta1, beta2, epsilon, correction1, correction2, weight_decay)
    start, stop, _ = slice_.indices(len(w))
    scratch = np.empty(min(SLICE, stop - start), w.dtype)
    rate = lr / correction1
    root = correction2**-0.5
    for i in range(start, stop, SLICE):
        part = slice(i, min(i + SLICE, stop))
        wi, gi, mi, vi, t = w[part], g[part], m[part], v[part], scratch[: part.stop - i]
        mi *= beta1
        mi += np.multiply(gi, 1 - beta1, out=t)
        vi *= beta2
        np.multiply(gi, gi, out=t)
        t *= 1 - beta2
        vi += t
        if weight_decay:
            wi *= 1 - lr * weight_decay
        np.sqrt(vi, out=t)
        t *= root
        t += epsilon
        np.divide(mi, t, out=t)
        t *= rate
        wi -= t
