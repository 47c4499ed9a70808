"""An autoencoder: a network that learns to copy its input through a narrow code.

An autoencoder (Hinton & Salakhutdinov 2006) has an encoder z = e(x), whose code z has far fewer numbers than x, and a
decoder y = d(z). Both are trained together to make y like x. The code must keep what tells the images apart.

    h = relu(x W1 + b1),  z = h W2 + b2,      g = relu(z W3 + b3),  y = g W4 + b4 (logits)

Pixels are values in [0, 1]. The loss is the cross-entropy of each pixel under the probability s = sigmoid(y), in nats,
summed over pixels:

    loss = -x log s - (1 - x) log(1 - s)        with  s = 1 / (1 + exp(-y))

The hard step is its derivative by y. Insert log s = y - log(1 + exp(y)) and log(1 - s) = -log(1 + exp(y)):

    loss = log(1 + exp(y)) - x y        so   dloss/dy = exp(y) / (1 + exp(y)) - x = s - x

As with the softmax, the gradient is prediction minus target. exp(y) overflows for large y; log(1 + exp(y)) is the same
as max(y, 0) + log(1 + exp(-|y|)), where no exponential is larger than 1.

Shapes: N images of D = 64 pixels, H hidden units, codes of C = 8 numbers.
"""

import gzip
from pathlib import Path

import numpy as np


def forward(p, x):
    """The loss of images x (N, D), and what the backward pass needs again."""
    a = x @ p["W1"] + p["b1"]  # (N, H)
    h = np.maximum(a, 0)  # (N, H)
    z = h @ p["W2"] + p["b2"]  # (N, C), the codes
    c = z @ p["W3"] + p["b3"]  # (N, H)
    g = np.maximum(c, 0)  # (N, H)
    y = g @ p["W4"] + p["b4"]  # (N, D), logits
    nats = np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y))) - x * y  # (N, D)
    return nats.sum() / len(x), (x, a, h, z, c, g, y)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    x, a, h, z, c, g, y = cache  # (N, D), (N, H), (N, H), (N, C), (N, H), (N, H), (N, D)
    dy = (1 / (1 + np.exp(-y)) - x) / len(x)  # (N, D), as nats = log(1 + exp(y)) - x y
    dW4, db4 = g.T @ dy, dy.sum(axis=0)  # (H, D), (D,), as y = g W4 + b4
    dg = dy @ p["W4"].T  # (N, H), as y = g W4 + b4
    dc = dg * (c > 0)  # (N, H), as g = max(c, 0)
    dW3, db3 = z.T @ dc, dc.sum(axis=0)  # (C, H), (H,), as c = z W3 + b3
    dz = dc @ p["W3"].T  # (N, C), as c = z W3 + b3
    dW2, db2 = h.T @ dz, dz.sum(axis=0)  # (H, C), (C,), as z = h W2 + b2
    dh = dz @ p["W2"].T  # (N, H), as z = h W2 + b2
    da = dh * (a > 0)  # (N, H), as h = max(a, 0)
    dW1, db1 = x.T @ da, da.sum(axis=0)  # (D, H), (H,), as a = x W1 + b1
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3, "W4": dW4, "b4": db4}


def start(rng, sizes=(64, 64, 8, 64, 64)):
    """Random weights of the size that keeps the numbers of each layer near 1 (He et al. 2015), and zero biases."""
    p = {}
    for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), 1):
        p |= {f"W{i}": rng.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs), f"b{i}": np.zeros(outputs)}
    return p


def train(p, x, steps, rng, lr=0.02, size=100):
    """Gradient descent with momentum on random batches."""
    losses, speed = [], dict.fromkeys(p, 0.0)
    for step in range(steps + 1):
        loss, cache = forward(p, x[rng.integers(len(x), size=size)])
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss {loss:8.4f} nats")
        for name, grad in backward(p, cache).items():
            speed[name] = 0.9 * speed[name] + grad
            p[name] -= lr * speed[name]
    return losses


def check(p, x, eps=1e-6):
    """The relative error of the gradient along a random direction u, compared with a central difference of the loss."""
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x)[1])
    u = {name: (v := rng.normal(size=w.shape)) / np.linalg.norm(v) for name, w in p.items()}
    above, below = (forward({k: w + move * u[k] for k, w in p.items()}, x)[0] for move in (eps, -eps))
    numeric = (above - below) / (2 * eps)
    return abs(numeric - sum((grads[name] * u[name]).sum() for name in p)) / abs(numeric)


def show(images):
    """Images (n, 64) side by side, as characters from dark to bright."""
    rows = np.clip(images.reshape(-1, 8, 8) * 9.99, 0, 9).astype(int).transpose(1, 0, 2)
    print("\n".join("   ".join("".join(" .:-=+*#%@"[v] for v in image) for image in row) for row in rows))


def main(steps=1500):
    """Trains, prints the losses, three images and their reconstructions, and the check."""
    rng, folder = np.random.default_rng(0), Path(__file__).parents[1] / "data" / "embedded" / "digits"
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    x, p = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255, start(rng)
    losses = train(p, x, steps, rng)
    *_, y = forward(p, x[:3])[1]
    show(np.concatenate((x[:3], 1 / (1 + np.exp(-y)))))
    error = check(p, x[:50])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
