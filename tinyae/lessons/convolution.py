"""A convolution: loops first, then the same numbers as one matrix product.

A convolution multiplies the window at every place (i, j) of an image with a kernel W, for each filter f:

    y[n, i, j, f] = b[f] + sum over u, v, c of  x[n, i + u, j + v, c] W[u, v, c, f]

The hard step is dx, because a pixel is in many windows. The chain rule adds over everything that a number moves. The
pixel x[n, i + u, j + v, c] is read for the output at (i, j), by W[u, v, c, f], for each u, v and f:

    dx[n, i + u, j + v, c] += sum over f of  dy[n, i, j, f] W[u, v, c, f]          for each i, j, u, v
    dW[u, v, c, f]          = sum over n, i, j of  x[n, i + u, j + v, c] dy[n, i, j, f]

The fast form copies each window into a row of a matrix, columns (N I J, U V C). Then y = columns W is one product, and
dW = columns^T dy, dcolumns = dy W^T as in any dense layer. The gradients of a pixel's copies are added up: that is dx.

Shapes: x (N, A, B, C), W (U, V, C, F), y (N, I, J, F), I = A - U + 1; then ReLU, mean over places, dense, softmax.
"""

import gzip
from pathlib import Path

import numpy as np


def loops_forward(x, W, b):
    """y by the definition, one number after the other: slow, and beyond doubt."""
    U, V, _, F = W.shape  # (4,)
    y = np.zeros((len(x), x.shape[1] - U + 1, x.shape[2] - V + 1, F))  # (N, I, J, F)
    for n, i, j, f in np.ndindex(*y.shape):
        y[n, i, j, f] = b[f] + (x[n, i : i + U, j : j + V] * W[:, :, :, f]).sum()  # ()
    return y


def conv_forward(x, W, b):
    """The same y, as a product of the columns, one row for each window."""
    (N, A, B, C), (U, V, _, F) = x.shape, W.shape  # (4,), (4,)
    I, J = A - U + 1, B - V + 1  # (), ()
    columns = np.stack([x[:, u : u + I, v : v + J] for u, v in np.ndindex(U, V)], axis=3)  # (N, I, J, U V, C)
    columns = columns.reshape(N * I * J, U * V * C)  # (N I J, U V C)
    y = (columns @ W.reshape(-1, F)).reshape(N, I, J, F) + b  # (N, I, J, F)
    return y, (x.shape, columns)


def conv_backward(cache, W, dy):
    """dx, dW, db: a dense layer's backward, then the sum over a pixel's copies."""
    shape, columns = cache  # (4,), (N I J, U V C)
    (U, V, C, F), (N, I, J, _) = W.shape, dy.shape  # (4,), (4,)
    rows = dy.reshape(-1, F)  # (N I J, F)
    dW, db = (columns.T @ rows).reshape(W.shape), rows.sum(axis=0)  # (U, V, C, F), (F,), as y = columns W + b
    dcolumns = (rows @ W.reshape(-1, F).T).reshape(N, I, J, U, V, C)  # (N, I, J, U, V, C), as y = columns W + b
    dx = np.zeros(shape)  # (N, A, B, C)
    for u, v in np.ndindex(U, V):
        dx[:, u : u + I, v : v + J] += dcolumns[:, :, :, u, v]  # (N, I, J, C), as columns[u, v] = x[u:, v:]
    return dx, dW, db


def forward(p, x, labels):
    """The loss of images x (N, A, B, C) with integer labels (N,), and the cache."""
    a, c_a = conv_forward(x, p["W1"], p["b1"])  # (N, I, J, F)
    m = np.maximum(a, 0).mean(axis=(1, 2))  # (N, F)
    logits = m @ p["W2"] + p["b2"]  # (N, K)
    shifted = logits - logits.max(axis=1, keepdims=True)  # (N, K)
    nats = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(x)), labels]  # (N,)
    return nats.sum() / len(x), (c_a, a, m, shifted, labels)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    c_a, a, m, shifted, labels = cache  # (2,), (N, I, J, F), (N, F), (N, K), (N,)
    q = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)  # (N, K), probabilities
    dlogits = (q - np.eye(q.shape[1])[labels]) / len(m)  # (N, K), as nats = -log softmax(logits)[label]
    dW2, db2 = m.T @ dlogits, dlogits.sum(axis=0)  # (F, K), (K,), as logits = m W2 + b2
    dm = dlogits @ p["W2"].T  # (N, F), as logits = m W2 + b2
    da = dm[:, None, None] * (a > 0) / (a.shape[1] * a.shape[2])  # (N, I, J, F), as m = mean of max(a, 0)
    dx, dW1, db1 = conv_backward(c_a, p["W1"], da)  # (N, A, B, C), (U, V, C, F), (F,), as a = conv(x)
    return {"x": dx, "W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def train(p, x, labels, steps, rng, lr=2.0, size=50):
    """Gradient descent on random batches."""
    losses = []
    for step in range(steps + 1):
        batch = rng.integers(len(x), size=size)
        loss, cache = forward(p, x[batch], labels[batch])
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss {loss:8.4f} nats")
        grads = backward(p, cache)
        for name in p:
            p[name] -= lr * grads[name]
    return losses


def check(p, x, labels, eps=1e-5):
    """The relative error of the gradient along a random direction of x and p, compared with a central difference."""
    rng, grads, point = np.random.default_rng(1), backward(p, forward(p, x, labels)[1]), p | {"x": x}
    u = {name: (v := rng.normal(size=w.shape)) / np.linalg.norm(v) for name, w in point.items()}
    moved = ({k: w + move * u[k] for k, w in point.items()} for move in (eps, -eps))
    above, below = (forward(q, q["x"], labels)[0] for q in moved)
    return abs((above - below) / (2 * eps) - sum((grads[k] * u[k]).sum() for k in u)) / abs(above - below) * 2 * eps


def main(steps=500):
    """Compares both forms, trains, prints the losses and the check."""
    folder, kinds = Path(__file__).parents[1] / "data" / "embedded" / "digits", ("images-idx3", "labels-idx1")
    images, labels = (gzip.decompress((folder / f"train-{kind}-ubyte.gz").read_bytes()) for kind in kinds)
    x, labels = np.frombuffer(images, np.uint8, offset=16) / 255, np.frombuffer(labels, np.uint8, offset=8)
    rng, x = np.random.default_rng(0), x.reshape(-1, 8, 8, 1)
    p = {"W1": rng.normal(size=(4, 4, 1, 24)) / 4, "b1": np.zeros(24)}
    p |= {"W2": rng.normal(size=(24, 10)) / 5, "b2": np.zeros(10)}
    difference = loops_forward(x[:2], p["W1"], p["b1"]) - conv_forward(x[:2], p["W1"], p["b1"])[0]
    print(f"loops and matrix product differ by at most {np.abs(difference).max():.0e}")
    losses = train(p, x, labels, steps, rng)
    error = check(p, x[:20], labels[:20])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
