"""Adam: a step size for every parameter, from running averages of its gradient and of its square.

Gradient descent moves each parameter by lr times its gradient, with one lr for all. If one input is a hundred times
smaller than another, so is the gradient of its weights: a rate that suits one is far too small for the other. Adam
(Kingma & Ba 2015, algorithm 1) divides the gradient by its own typical size, which cancels such a factor:

    mean   <- beta1 mean   + (1 - beta1) g               the direction, with the noise of single batches averaged out
    square <- beta2 square + (1 - beta2) g^2             the size of g, squared
    w      <- w - lr  (mean / (1 - beta1^t)) / (sqrt(square / (1 - beta2^t)) + epsilon)        at step t = 1, 2, ...

The hard step is the two corrections. Both averages start at 0 and are too small at first. How much too small? Write
out the recursion: after t steps,

    mean_t = (1 - beta1) sum_{i=1..t} beta1^(t-i) g_i

Suppose that every g_i has the same expectation E[g]. Then  E[mean_t] = E[g] (1 - beta1) sum_{i=1..t} beta1^(t-i).  The
sum is geometric, 1 + beta1 + ... + beta1^(t-1) = (1 - beta1^t) / (1 - beta1), so  E[mean_t] = E[g] (1 - beta1^t).
Dividing by 1 - beta1^t makes it right at every t; in the same way for the square. At t = 1 this gives mean = g and
square = g^2, so the first step is lr times the sign of g, whatever the size of g is.

To see it at work, the pixels of the digits are multiplied by factors from 1 to 1/1000. The classifier of the lesson
`cross_entropy` is trained on them twice, by gradient descent and by Adam. Shapes: x (N, D), D = 64 pixels, K classes.
"""

import gzip
from pathlib import Path

import numpy as np


def forward(p, x, labels):
    """The cross-entropy of a dense layer's softmax, in nats: lesson `cross_entropy` derives it."""
    logits = x @ p["W"] + p["b"]  # (N, K)
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))  # (N, K)
    q = exps / exps.sum(axis=1, keepdims=True)  # (N, K), probabilities
    loss = -np.log(q[np.arange(len(x)), labels]).sum() / len(x)  # ()
    return loss, (x, labels, q)


def backward(p, cache):
    """The gradients, which the optimisers below take."""
    x, labels, q = cache  # (N, D), (N,), (N, K)
    dlogits = (q - np.eye(q.shape[1])[labels]) / len(x)  # (N, K), as loss = -log softmax(logits)[label]
    dW = x.T @ dlogits  # (D, K), as logits = x W + b
    db = dlogits.sum(axis=0)  # (K,), as logits = x W + b
    return {"W": dW, "b": db}


def descend(p, grads, lr=0.5):
    """One step of gradient descent, in place."""
    for name, g in grads.items():
        p[name] -= lr * g


def adam(p, grads, state, lr=0.05, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """One step of Adam, in place. state: a dict, empty before the first step; keeps t, and two averages by name."""
    state["t"] = t = state.get("t", 0) + 1
    for name, g in grads.items():
        mean, square = state.get(name, (0.0, 0.0))
        state[name] = mean, square = beta1 * mean + (1 - beta1) * g, beta2 * square + (1 - beta2) * g**2
        p[name] -= lr * (mean / (1 - beta1**t)) / (np.sqrt(square / (1 - beta2**t)) + epsilon)


def train(x, labels, steps, rng, size=100):
    """Gradient descent and Adam side by side, each with its own weights, on the same batches."""
    plain, adaptive, state, losses = start(x.shape[1]), start(x.shape[1]), {}, []
    for step in range(steps + 1):
        batch = rng.integers(len(x), size=size)
        loss_plain, cache_plain = forward(plain, x[batch], labels[batch])
        loss, cache = forward(adaptive, x[batch], labels[batch])
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss: gradient descent {loss_plain:7.4f}   Adam {loss:7.4f} nats")
        descend(plain, backward(plain, cache_plain))
        adam(adaptive, backward(adaptive, cache), state)
    return adaptive, losses


def start(inputs, classes=10):
    """Zero weights: all classes begin with the same probability."""
    return {"W": np.zeros((inputs, classes)), "b": np.zeros(classes)}


def check(p, x, labels, eps=1e-5):
    """The relative error of the gradient along a random direction u, compared with a central difference of the loss."""
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x, labels)[1])
    u = {name: rng.normal(size=w.shape) for name, w in p.items()}
    u = {name: v / np.linalg.norm(v) for name, v in u.items()}
    above, below = ({name: w + move * u[name] for name, w in p.items()} for move in (eps, -eps))
    numeric = (forward(above, x, labels)[0] - forward(below, x, labels)[0]) / (2 * eps)
    analytic = sum((grads[name] * u[name]).sum() for name in p)
    return abs(numeric - analytic) / (abs(numeric) + abs(analytic))


def digits():
    """The images (N, 64), in [0, 1], and labels (N,) of the training split."""
    folder = Path(__file__).parents[1] / "data" / "embedded" / "digits"
    files = (folder / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    images, labels = (gzip.decompress(file.read_bytes()) for file in files)
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255, np.frombuffer(labels, np.uint8, offset=8)


def main(steps=1000):
    """Trains both, prints their losses and the check."""
    rng = np.random.default_rng(0)
    x, labels = digits()
    x = x * np.logspace(0, -3, 64)  # each pixel has a scale of its own
    p, losses = train(x, labels, steps, rng)
    error = check(p, x[:50], labels[:50])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
