"""A transposed convolution: the backward pass of a convolution, used as a layer that enlarges images.

With all numbers of x and y in vectors, a convolution of stride s is a matrix M. Its transpose is used forwards here:

    convolution               y = M x          dx = M^T dy
    transposed convolution    y = M^T x        dx = M dy

So the backward pass is a convolution. In one dimension:

    convolution               y[i, f] = sum over u, c of x[s i + u, c] W[u, c, f]
    transposed convolution    y[s i + u, c] += x[i, f] W[u, c, f]      for each i and u

The hard step is dW. Each i adds x[i, f] W[u, c, f] to y[s i + u, c], so dW[u, c, f] = sum_i dy[s i + u, c] x[i, f].

Shapes: x (N, I, J, F) small, W (U, V, C, F), y (N, A, B, C) large, with A = s (I - 1) + U. Images of 8 x 8 pixels are
restored from means of 2 x 2: 4 x 4 -> (3 x 3, stride 1, tanh) 6 x 6 x 16 -> (4 x 4, stride 2) 14 x 14, cut to 8 x 8.
"""

import gzip
from pathlib import Path

import numpy as np


def loops_forward(x, W, stride):
    """y by the definition, one number of x after the other."""
    (N, I, J, _), (U, V, C, _) = x.shape, W.shape  # (4,), (4,)
    y = np.zeros((N, stride * (I - 1) + U, stride * (J - 1) + V, C))  # (N, A, B, C)
    for n, i, j, f in np.ndindex(*x.shape):
        y[n, stride * i : stride * i + U, stride * j : stride * j + V] += x[n, i, j, f] * W[:, :, :, f]  # (U, V, C)
    return y


def places(u, v, I, J, s):
    """The places of the output that kernel place (u, v) writes."""
    return np.s_[:, u : u + s * (I - 1) + 1 : s, v : v + s * (J - 1) + 1 : s]


def conv_transposed_forward(x, W, stride):
    """The same y, with a loop over the kernel's places alone."""
    (N, I, J, _), (U, V, C, _) = x.shape, W.shape  # (4,), (4,)
    y = np.zeros((N, stride * (I - 1) + U, stride * (J - 1) + V, C))  # (N, A, B, C)
    for u, v in np.ndindex(U, V):
        y[places(u, v, I, J, stride)] += x @ W[u, v].T  # (N, I, J, C)
    return y, (x, W, stride)


def conv_transposed_backward(cache, dy):
    """dx, a convolution of dy, and dW."""
    x, W, stride = cache  # (N, I, J, F), (U, V, C, F), ()
    dx, dW = np.zeros(x.shape), np.zeros(W.shape)  # (N, I, J, F), (U, V, C, F)
    for u, v in np.ndindex(*W.shape[:2]):
        read = dy[places(u, v, x.shape[1], x.shape[2], stride)]  # (N, I, J, C)
        dx += read @ W[u, v]  # (N, I, J, F), as y[places] += x W[u, v]^T
        dW[u, v] = np.tensordot(read, x, axes=([0, 1, 2],) * 2)  # (C, F), as y[places] += x W[u, v]^T
    return dx, dW


def forward(p, small, target):
    """The squared error of images (N, 8, 8, 1) reconstructed from their means (N, 4, 4, 1)."""
    a, c_a = conv_transposed_forward(small, p["W1"], 1)  # (N, 6, 6, 16)
    h = np.tanh(a + p["b1"])  # (N, 6, 6, 16)
    y, c_y = conv_transposed_forward(h, p["W2"], 2)  # (N, 14, 14, 1)
    error = y[:, 3:11, 3:11] + p["b2"] - target  # (N, 8, 8, 1)
    return (error**2).sum() / len(small), (c_a, h, c_y, error)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    c_a, h, c_y, error = cache  # (3), (N, 6, 6, 16), (3), (N, 8, 8, 1)
    derror = 2 * error / len(error)  # (N, 8, 8, 1), as loss = sum error^2 / N
    dy = np.pad(derror, ((0, 0), (3, 3), (3, 3), (0, 0)))  # (N, 14, 14, 1), as error = cut(y) + b2 - target
    dh, dW2 = conv_transposed_backward(c_y, dy)  # (N, 6, 6, 16), (4, 4, 1, 16), as y = transposed conv(h)
    da = dh * (1 - h**2)  # (N, 6, 6, 16), as h = tanh(a + b1)
    dsmall, dW1 = conv_transposed_backward(c_a, da)  # (N, 4, 4, 1), (3, 3, 16, 1), as a = transposed conv(small)
    return {"small": dsmall, "W1": dW1, "b1": da.sum(axis=(0, 1, 2)), "W2": dW2, "b2": derror.sum(axis=(0, 1, 2))}


def train(p, small, x, steps, rng, lr=0.01, size=50):
    """Gradient descent on random batches."""
    losses = []
    for step in range(steps + 1):
        i = rng.integers(len(x), size=size)
        loss, cache = forward(p, small[i], x[i])
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss {loss:8.4f}")
        grads = backward(p, cache)
        for name in p:
            p[name] -= lr * grads[name]
    return losses


def check(p, small, x, eps=1e-5):
    """The relative error of the gradient along a random direction of all inputs, compared with a central difference."""
    rng, grads, point = np.random.default_rng(1), backward(p, forward(p, small, x)[1]), p | {"small": small}
    u = {name: (v := rng.normal(size=w.shape)) / np.linalg.norm(v) for name, w in point.items()}
    moved = ({k: w + move * u[k] for k, w in point.items()} for move in (eps, -eps))
    above, below = (forward(q, q["small"], x)[0] for q in moved)
    return abs((above - below) / (2 * eps) - sum((grads[k] * u[k]).sum() for k in u)) / abs(above - below) * 2 * eps


def main(steps=400):
    """Compares both forms, trains, prints the losses and the check."""
    rng, folder = np.random.default_rng(0), Path(__file__).parents[1] / "data" / "embedded" / "digits"
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 8, 8, 1) / 255
    small = x.reshape(-1, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    p = {"W1": rng.normal(size=(3, 3, 16, 1)) / 3, "W2": rng.normal(size=(4, 4, 1, 16)) / 16}
    p |= {"b1": np.zeros(16), "b2": np.zeros(1)}
    difference = loops_forward(small[:2], p["W1"], 2) - conv_transposed_forward(small[:2], p["W1"], 2)[0]
    print(f"loops and fast form differ by at most {np.abs(difference).max():.0e}")
    losses = train(p, small, x, steps, rng)
    error = check(p, small[:20], x[:20])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
