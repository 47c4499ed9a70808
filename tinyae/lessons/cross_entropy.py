"""Softmax and cross-entropy: why the gradient of a classifier's loss is simply p - t.

A classifier has a score for each of K classes, the logits l. The softmax turns them into probabilities, and the loss is
minus the logarithm of the probability of the right class y, in nats (0 when it is certain and right):

    p_k = exp(l_k) / sum_j exp(l_j),      loss = -log p_y = log(sum_j exp(l_j)) - l_y

The hard step is the derivative of this with respect to a logit l_k. Differentiate the two terms on the right:

    d/dl_k log(sum_j exp(l_j)) = exp(l_k) / sum_j exp(l_j) = p_k      (log' = 1/sum, and only exp(l_k) depends on l_k)
    d/dl_k l_y                 = 1 if k = y, otherwise 0 = t_k        (t is the one-hot vector of the right class)

so  dl = p - t.  Each wrong class is pushed down by its probability, the right one is pushed up by what it lacks of 1,
and the pushes add up to 0. When the prediction is perfect, p = t, nothing moves any more. (Differentiating p first and
the logarithm after it gives the same: dp_j/dl_k = p_j (1[j = k] - p_k), and the 1/p_y of the logarithm cancels p_y.)

One trap: exp(l) overflows for a logit of 1000. Subtracting the same number from all logits changes neither p nor the
loss, because it multiplies the numerator and the denominator by the same factor. We subtract the largest logit, so that
the largest exponential is exp(0) = 1. The loss never takes the logarithm of a probability, which could be log(0).

Shapes: N images of D = 64 pixels, K = 10 classes. The model is one dense layer (lesson `dense`): multinomial logistic
regression.
"""

import gzip
from pathlib import Path

import numpy as np


def forward(p, x, labels):
    """The loss of images x (N, D) with integer labels (N,), and what the backward pass needs again."""
    rows = np.arange(len(x))  # (N,)
    logits = x @ p["W"] + p["b"]  # (N, K)
    shifted = logits - logits.max(axis=1, keepdims=True)  # (N, K), at most 0
    exps = np.exp(shifted)  # (N, K)
    total = exps.sum(axis=1, keepdims=True)  # (N, 1)
    nats = np.log(total[:, 0]) - shifted[rows, labels]  # (N,), -log of the probability of the right class
    loss = nats.sum() / len(x)  # ()
    return loss, (x, labels, exps, total)


def backward(p, cache):
    """The derivative of the loss with respect to each parameter."""
    x, labels, exps, total = cache  # (N, D), (N,), (N, K), (N, 1)
    probabilities = exps / total  # (N, K)
    target = np.eye(exps.shape[1])[labels]  # (N, K), one-hot
    dlogits = (probabilities - target) / len(x)  # (N, K), as nats = log(sum exp(logits)) - logits[label]
    dW = x.T @ dlogits  # (D, K), as logits = x W + b
    db = dlogits.sum(axis=0)  # (K,), as logits = x W + b
    return {"W": dW, "b": db}


def start(inputs=64, classes=10):
    """Zero weights: all classes begin with the same probability, so the first loss is log(10) = 2.303 nats."""
    return {"W": np.zeros((inputs, classes)), "b": np.zeros(classes)}


def train(p, x, labels, steps, rng, lr=0.5, size=100):
    """Gradient descent on random batches."""
    losses = []
    for step in range(steps + 1):
        batch = rng.integers(len(x), size=size)
        loss, cache = forward(p, x[batch], labels[batch])
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss {loss:8.4f} nats")
        for name, grad in backward(p, cache).items():
            p[name] -= lr * grad
    return losses


def check(p, x, labels, eps=1e-5):
    """The relative error of the gradient along a random direction u, compared with a central difference of the loss."""
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x, labels)[1])
    u = {name: rng.normal(size=w.shape) for name, w in p.items()}
    u = {name: v / np.linalg.norm(v) for name, v in u.items()}
    above, below = ({name: w + move * u[name] for name, w in p.items()} for move in (eps, -eps))
    numeric = (forward(above, x, labels)[0] - forward(below, x, labels)[0]) / (2 * eps)
    analytic = sum((grads[name] * u[name]).sum() for name in p)
    return abs(numeric - analytic) / (abs(numeric) + abs(analytic))


def digits(split):
    """The images (N, 64), in [0, 1], and labels (N,) of a split; the files' headers are 16 and 8 bytes long."""
    folder = Path(__file__).parents[1] / "data" / "embedded" / "digits"
    files = (folder / f"{split}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    images, labels = (gzip.decompress(file.read_bytes()) for file in files)
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255, np.frombuffer(labels, np.uint8, offset=8)


def main(steps=2000):
    """Trains, prints the losses, the accuracy on images that training has not seen, and the check."""
    rng = np.random.default_rng(0)
    (x, labels), (x_test, labels_test) = digits("train"), digits("t10k")
    p = start()
    losses = train(p, x, labels, steps, rng)
    predicted = (x_test @ p["W"] + p["b"]).argmax(axis=1)
    print(f"accuracy on the test images: {np.mean(predicted == labels_test):.1%}")
    error = check(p, x[:50], labels[:50])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
