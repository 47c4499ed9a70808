"""Batch and layer normalisation: a backward pass through a mean and a standard deviation.

Normalisation brings numbers to mean 0 and standard deviation 1, then gives each feature a scale and a shift of its own:

    centred = x - mean,    r = 1 / sqrt(mean of centred^2 + epsilon),    n = centred r,    y = scale n + shift

Batch normalisation takes the mean over the batch, for each feature; layer normalisation takes it over the features, for
each example. The formula is the same; only the axis differs, and m is the number of values along it.

The hard step is that each x moves its own n, and also the mean and r, and through them every other n along the axis.
Let dn be the gradient of n. Walk back through the four operations. A number that is used twice gets two terms.

    n = centred r            dcentred = dn r,    dr = sum(dn centred)
    r = (v + epsilon)^(-1/2)   dv = -1/2 r^3 dr            as d/dv (v + epsilon)^(-1/2) = -1/2 (v + epsilon)^(-3/2)
    v = mean(centred^2)      dcentred += 2 centred dv / m
    centred = x - mean(x)    dx = dcentred - mean(dcentred)

Insert the lines into each other, with centred = n / r:  the second term is  -r n mean(dn n), and its mean is 0, so

    dx = r (dn - mean(dn) - n mean(dn n))

In words: the gradient loses its mean and its part along n, the two directions in which moving x changes nothing.

Shapes: N images of D = 64 pixels -> a (N, H) -> normalised -> tanh -> K = 10 logits, with softmax cross-entropy. The
training uses batch normalisation; the check covers both.
"""

import gzip
from pathlib import Path

import numpy as np

EPSILON = 1e-5


def normalize_forward(x, axis):
    """n (N, H), x with mean 0 and standard deviation 1 along an axis: 0 for batch, 1 for layer normalisation."""
    centred = x - x.mean(axis, keepdims=True)  # (N, H)
    v = (centred**2).mean(axis, keepdims=True)  # (1, H) or (N, 1)
    r = 1 / np.sqrt(v + EPSILON)  # (1, H) or (N, 1)
    n = centred * r  # (N, H)
    return n, (n, r, axis)


def normalize_backward(cache, dn):
    """dx (N, H): the four operations of the text in one line."""
    n, r, axis = cache  # (N, H), (1, H) or (N, 1), ()
    dx = r * (dn - dn.mean(axis, keepdims=True) - n * (dn * n).mean(axis, keepdims=True))  # (N, H), as n = centred r
    return dx


def forward(p, x, labels, axis=0):
    """The loss of images x (N, D) with integer labels (N,), and what the backward pass needs again."""
    a = x @ p["W1"]  # (N, H), without a bias: the mean would remove it
    n, c_n = normalize_forward(a, axis)  # (N, H)
    h = np.tanh(p["scale"] * n + p["shift"])  # (N, H)
    logits = h @ p["W2"] + p["b2"]  # (N, K)
    shifted = logits - logits.max(axis=1, keepdims=True)  # (N, K)
    nats = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(x)), labels]  # (N,)
    return nats.sum() / len(x), (x, labels, n, c_n, h, shifted)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    x, labels, n, c_n, h, shifted = cache  # (N, D), (N,), (N, H), -, (N, H), (N, K)
    q = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)  # (N, K), probabilities
    dlogits = (q - np.eye(q.shape[1])[labels]) / len(x)  # (N, K), as nats = -log softmax(logits)[label]
    dW2, db2 = h.T @ dlogits, dlogits.sum(axis=0)  # (H, K), (K,), as logits = h W2 + b2
    dh = dlogits @ p["W2"].T  # (N, H), as logits = h W2 + b2
    dy = dh * (1 - h**2)  # (N, H), as h = tanh(y)
    dscale, dshift = (dy * n).sum(axis=0), dy.sum(axis=0)  # (H,), (H,), as y = scale n + shift
    dn = dy * p["scale"]  # (N, H), as y = scale n + shift
    da = normalize_backward(c_n, dn)  # (N, H), as n = normalize(a)
    dW1 = x.T @ da  # (D, H), as a = x W1
    return {"W1": dW1, "scale": dscale, "shift": dshift, "W2": dW2, "b2": db2}


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


def check(p, x, labels, axis, eps=1e-5):
    """The relative error of the gradient along a random direction u, compared with a central difference of the loss."""
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x, labels, axis)[1])
    u = {name: rng.normal(size=w.shape) for name, w in p.items()}
    u = {name: v / np.linalg.norm(v) for name, v in u.items()}
    above, below = ({name: w + move * u[name] for name, w in p.items()} for move in (eps, -eps))
    numeric = (forward(above, x, labels, axis)[0] - forward(below, x, labels, axis)[0]) / (2 * eps)
    analytic = sum((grads[name] * u[name]).sum() for name in p)
    return abs(numeric - analytic) / (abs(numeric) + abs(analytic))


def main(steps=1000):
    """Trains, prints the losses and the check of both normalisations."""
    folder, kinds = Path(__file__).parents[1] / "data" / "embedded" / "digits", ("images-idx3", "labels-idx1")
    images, labels = (gzip.decompress((folder / f"train-{kind}-ubyte.gz").read_bytes()) for kind in kinds)
    x, labels = np.frombuffer(images, np.uint8, offset=16) / 255, np.frombuffer(labels, np.uint8, offset=8)
    rng, x = np.random.default_rng(0), x.reshape(-1, 64)
    p = {"W1": rng.normal(size=(64, 64)) / 8, "scale": np.ones(64), "shift": np.zeros(64),
         "W2": rng.normal(size=(64, 10)) / 8, "b2": np.zeros(10)}  # fmt: skip
    losses = train(p, x, labels, steps, rng)
    error = max(check(p, x[:50], labels[:50], axis) for axis in (0, 1))
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
