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


def adam(w, g, m, v, lr, beta1, beta2, epsilon, correction1, correction2, weight_decay):
    """One Adam (or AdamW) update in place, over flat arrays of one length.

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        w = w (1 - lr weight_decay) - lr (m / correction1) / (sqrt(v / correction2) + epsilon)

    with correction_i = 1 - beta_i^t at step t (Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2).
    """
    if array_module(w) is not np:
        from . import cuda

        return cuda.adam(w, g, m, v, lr, beta1, beta2, epsilon, correction1, correction2, weight_decay)
    scratch = np.multiply(g, 1 - beta1)
    m *= beta1
    m += scratch
    np.multiply(g, g, out=scratch)
    scratch *= 1 - beta2
    v *= beta2
    v += scratch
    if weight_decay:
        w *= 1 - lr * weight_decay
    np.sqrt(v, out=scratch)
    # lr / correction1 m / (sqrt(v / correction2) + epsilon) with both corrections moved into two scalars
    root = correction2**0.5
    scratch += epsilon * root
    np.divide(m, scratch, out=scratch)
    scratch *= lr * root / correction1
    w -= scratch
