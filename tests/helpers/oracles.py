"""What the library computes, once more: loops over single numbers, straight from the definitions.

Nothing here imports tinyae. Arrays come in as NumPy arrays and go out as float64 arrays; a loss is a float.
"""

import math
from decimal import Decimal, localcontext
from itertools import product

import numpy as np


def places(array):
    """Every index of an array."""
    return product(*map(range, np.shape(array)))


def elementwise(function, x):
    y = np.empty(np.shape(x))
    for place in places(x):
        y[place] = function(float(x[place]))
    return y


# Layers


def dense(x, weight, bias=None):
    (rows, inputs), units = x.shape, weight.shape[1]
    y = np.zeros((rows, units))
    for n in range(rows):
        for j in range(units):
            y[n, j] = math.fsum(float(x[n, i]) * float(weight[i, j]) for i in range(inputs))
            if bias is not None:
                y[n, j] += float(bias[j])
    return y


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


ACTIVATIONS = {
    "ReLU": lambda v: v if v > 0 else 0.0,
    "LeakyReLU": lambda v: v if v > 0 else 0.01 * v,
    "ELU": lambda v: v if v > 0 else math.exp(v) - 1,
    "GELU": lambda v: v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2,
    "SiLU": lambda v: v * sigmoid(v),
    "Sigmoid": sigmoid,
    "Tanh": math.tanh,
    "Softplus": lambda v: math.log(1 + math.exp(v)),
}


def moments(values):
    """Mean and (biased) variance of numbers."""
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((v - mean) ** 2 for v in values) / len(values)


def layer_norm(x, scale, shift, epsilon=1e-5):
    y = np.empty(x.shape)
    for row in np.ndindex(x.shape[:-1]):
        mean, var = moments([float(v) for v in x[row]])
        for c, v in enumerate(x[row]):
            y[(*row, c)] = float(scale[c]) * (float(v) - mean) / math.sqrt(var + epsilon) + float(shift[c])
    return y


def batch_norm(x, scale, shift, epsilon=1e-5, running=None):
    """`running`: (means, variances) to use in place of the batch's."""
    y = np.empty(x.shape)
    for c in range(x.shape[-1]):
        mean, var = moments([float(v) for v in x[..., c].flat]) if running is None else (running[0][c], running[1][c])
        for row in np.ndindex(x.shape[:-1]):
            y[(*row, c)] = float(scale[c]) * (float(x[(*row, c)]) - mean) / math.sqrt(var + epsilon) + float(shift[c])
    return y


def batch_norm_running(running, x, momentum):
    """(means, variances) after one training batch, with the unbiased variance."""
    means, variances = [], []
    for c in range(x.shape[-1]):
        values = [float(v) for v in x[..., c].flat]
        mean, var = moments(values)
        unbiased = var * len(values) / (len(values) - 1)
        means.append(momentum * running[0][c] + (1 - momentum) * mean)
        variances.append(momentum * running[1][c] + (1 - momentum) * unbiased)
    return np.array(means), np.array(variances)


def dropout(x, keep, rate):
    y = np.zeros(x.shape)
    for place in places(x):
        y[place] = float(x[place]) / (1 - rate) if keep[place] else 0.0
    return y


def residual(x, inner):
    y = np.empty(x.shape)
    for place in places(x):
        y[place] = float(x[place]) + float(inner[place])
    return y


def embedding(x, weight):
    y = np.empty((*x.shape, weight.shape[1]))
    for place in places(x):
        for j in range(weight.shape[1]):
            y[(*place, j)] = weight[int(x[place]), j]
    return y


# Losses: summed over features, averaged over the batch


def per_example(term, *arrays):
    """1/N sum of term(a, b, ...) over all places of arrays of one shape."""
    total = math.fsum(term(*(float(a[place]) for a in arrays)) for place in places(arrays[0]))
    return total / len(arrays[0])


def mse(prediction, target):
    return per_example(lambda p, t: (p - t) ** 2, prediction, target)


def l1(prediction, target):
    return per_example(lambda p, t: abs(p - t), prediction, target)


def bernoulli(logit, x):
    """(-log p(x), its derivative by the logit) in 80 digits, so that the definition serves for every logit."""
    with localcontext(prec=80):
        logit, x = Decimal(logit), Decimal(x)
        log_p, log_not_p = -(1 + (-logit).exp()).ln(), -(1 + logit.exp()).ln()
        return float(-(x * log_p + (1 - x) * log_not_p)), float(log_p.exp() - x)


def bce_with_logits(logits, target):
    return per_example(lambda logit, x: bernoulli(logit, x)[0], logits, target)


def gaussian_nll(mu, target, logvar):
    def term(m, x, lv):
        return -math.log(math.exp(-((x - m) ** 2) / (2 * math.exp(lv))) / math.sqrt(2 * math.pi * math.exp(lv)))

    return per_example(term, mu, target, logvar)


def laplace_nll(mu, target, log_scale):
    def term(m, x, ls):
        return -math.log(math.exp(-abs(x - m) / math.exp(ls)) / (2 * math.exp(ls)))

    return per_example(term, mu, target, log_scale)


def softmax(logits):
    """(probabilities, their logarithms) of a list of numbers, through 80 digits."""
    with localcontext(prec=80):
        powers = [Decimal(float(v)).exp() for v in logits]
        shares = [p / sum(powers) for p in powers]
        return [float(s) for s in shares], [float(s.ln()) for s in shares]


def cross_entropy_with_logits(logits, labels, weights=None, ignored=None, smoothing=0.0):
    """labels: integers, or for each place the probabilities of the classes."""
    classes, total = logits.shape[-1], 0.0
    for place in places(logits[..., 0]):
        if np.shape(labels[place]):
            shares = [float(q) for q in labels[place]]
        else:
            shares = [float(k == labels[place]) for k in range(classes)]
        if labels[place] is not None and not np.shape(labels[place]) and labels[place] == ignored:
            continue
        for k, (q, log_p) in enumerate(zip(shares, softmax(logits[place])[1], strict=True)):
            q = (1 - smoothing) * q + smoothing / classes
            total -= q * log_p * (1.0 if weights is None else float(weights[k]))
    return total / len(logits)


# The Gaussian latent


def sample(mu, logvar, noise):
    z = np.empty(mu.shape)
    for place in places(mu):
        z[place] = float(mu[place]) + math.sqrt(math.exp(float(logvar[place]))) * float(noise[place])
    return z


def kl_between(mu, logvar, prior_mu, prior_logvar):
    """log(sigma_p / sigma_q) + (sigma_q^2 + (mu_q - mu_p)^2) / (2 sigma_p^2) - 1/2, over the diagonal."""

    def term(m, lv, pm, plv):
        q, p = math.exp(lv / 2), math.exp(plv / 2)
        return math.log(p / q) + (q * q + (m - pm) ** 2) / (2 * p * p) - 0.5

    return per_example(term, mu, logvar, prior_mu, prior_logvar)


def kl_to_mean(mu, logvar, prior_mu):
    return kl_between(mu, logvar, prior_mu, np.zeros(np.shape(mu)))


def kl_standard(mu, logvar):
    return kl_to_mean(mu, logvar, np.zeros(np.shape(mu)))


def kl_to_mixture(z, logvar, logits, means):
    """Mean over examples of E_q(y)[-log N(z | means_y, I)] - H(N(mu, exp(logvar))), q = softmax(logits)."""
    total = 0.0
    for n in range(len(z)):
        entropy = math.fsum(0.5 * math.log(2 * math.pi * math.e * math.exp(v)) for v in logvar[n])
        surprise = -normal_log_density(np.tile(z[n], (len(means), 1)), means, np.zeros(means.shape))
        total += math.fsum(q * s for q, s in zip(softmax(logits[n])[0], surprise, strict=True)) - entropy
    return total / len(z)


def kl_to_uniform(logits):
    total = 0.0
    for row in logits:
        total += math.fsum(q * (log_q + math.log(len(row))) for q, log_q in zip(*softmax(row), strict=True))
    return total / len(logits)


def l1_of_code(h):
    return math.fsum(max(float(v), 0.0) for v in h.flat) / len(h)


def kl_to_rate(h, rate):
    total = 0.0
    for j in range(h.shape[1]):
        active = math.fsum(sigmoid(float(v)) for v in h[:, j]) / len(h)
        total += rate * math.log(rate / active) + (1 - rate) * math.log((1 - rate) / (1 - active))
    return total


def normal_log_density(z, mu, logvar):
    def term(v, m, lv):
        return -0.5 * math.log(2 * math.pi) - 0.5 * lv - (v - m) ** 2 / (2 * math.exp(lv))

    return np.array([math.fsum(map(term, z[n], mu[n], logvar[n])) for n in range(len(z))])


# Optimisers: each takes parameters and the gradients of successive steps, and gives the parameters after each


def sgd(w, gradients, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    w, u = [float(v) for v in w], [0.0] * len(w)
    for gradient in gradients:
        for i, g in enumerate(map(float, gradient)):
            g += weight_decay * w[i]
            u[i] = momentum * u[i] + g
            w[i] -= lr * (g + momentum * u[i] if nesterov else u[i])
        yield np.array(w)


def rmsprop(w, gradients, lr, decay=0.9, epsilon=1e-8):
    w, v = [float(x) for x in w], [0.0] * len(w)
    for gradient in gradients:
        for i, g in enumerate(map(float, gradient)):
            v[i] = decay * v[i] + (1 - decay) * g**2
            w[i] -= lr * g / (math.sqrt(v[i]) + epsilon)
        yield np.array(w)


def adam(w, gradients, lr, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    w, m, v = [float(x) for x in w], [0.0] * len(w), [0.0] * len(w)
    for t, gradient in enumerate(gradients, start=1):
        for i, g in enumerate(map(float, gradient)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
            w[i] = w[i] - lr * weight_decay * w[i] - lr * m_hat / (math.sqrt(v_hat) + epsilon)
        yield np.array(w)


def keras_adam(w, gradients, lr, beta1=0.9, beta2=0.999, epsilon=1e-7):
    """By the text of Keras 2's Adam.get_updates."""
    w, m, v = [float(x) for x in w], [0.0] * len(w), [0.0] * len(w)
    for t, gradient in enumerate(gradients, start=1):
        lr_t = lr * (math.sqrt(1 - beta2**t) / (1 - beta1**t))
        for i, g in enumerate(map(float, gradient)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            w[i] = w[i] - lr_t * m[i] / (math.sqrt(v[i]) + epsilon)
        yield np.array(w)


def clip(gradient, max_norm):
    """(clipped, norm before)."""
    norm = math.sqrt(math.fsum(float(g) ** 2 for g in gradient))
    return np.array([float(g) * min(1.0, max_norm / norm) if norm else 0.0 for g in gradient]), norm


# Learning rates at a step counted from 0


def step_decay(lr, every, factor, step):
    for past in range(1, step + 1):
        if past % every == 0:
            lr *= factor
    return lr


def cosine(lr, total, floor, step):
    share = 1.0 if step >= total else step / total
    return floor + (lr - floor) * (1 + math.cos(math.pi * share)) / 2


def warm_up(lr, steps, step):
    return lr * (step + 1) / steps if step + 1 < steps else lr
