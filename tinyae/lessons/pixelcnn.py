"""PixelCNN: a convolution that cannot see the future.

Any distribution of images is a product of conditional ones, in a fixed order of the pixels, row by row:

    p(x) = p(x_1) p(x_2 | x_1) ... p(x_64 | x_1 ... x_63)

PixelCNN (van den Oord et al. 2016) computes all factors at once, by convolutions over the image. The hard step is that
the output at a pixel may depend on the pixels before it alone: else it would copy its target. Place (u, v) of a K x K
kernel reads the pixel (u - K//2, v - K//2) away, which comes before the pixel itself if it is in a row above, or in the
same row on the left. A masked convolution uses these places alone:

    mask A   places before the centre: for the first layer, whose input is the image
    mask B   and the centre itself: for later layers, whose input at a place already excludes that place's pixel

A place that is left out has no weight, so the backward pass is a convolution's over the places that are used; the
lesson `convolution` derives it. The loss is  -log p(x), exactly, in nats: the cross-entropy of each pixel under its
factor (lesson `autoencoder`: dy = sigmoid(y) - x).

A sample is made pixel by pixel: compute the factor of pixel 1, toss a coin with that probability, go on to pixel 2.

Shapes: N images (N, 8, 8, 1) of 0 and 1, kernels (K, K, in, out): 5 x 5 (A) to 16 channels, 3 x 3 (B), 1 x 1 (B) to y.
"""

import gzip
from pathlib import Path

import numpy as np


def places(size, mask):
    """The places (u, v) of a size x size kernel that a mask lets through."""
    centre = size // 2 * size + size // 2
    return [divmod(i, size) for i in range(centre + (mask == "B"))]


def masked_forward(x, W, b, mask):
    """y (N, A, B, F): at each pixel the sum over the kernel's places that come before it."""
    pad = len(W) // 2  # ()
    wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))  # (N, A + 2 pad, B + 2 pad, C)
    y = np.zeros((*x.shape[:3], len(b))) + b  # (N, A, B, F)
    for u, v in places(len(W), mask):
        y += wide[:, u : u + x.shape[1], v : v + x.shape[2]] @ W[u, v]  # (N, A, B, F)
    return y, (wide, mask)


def masked_backward(cache, W, dy):
    """dx, dW, db. Weights outside of the mask have the gradient 0."""
    (wide, mask), (_, A, B, _), pad = cache, dy.shape, len(W) // 2  # (2,), (4,), ()
    dwide, dW = np.zeros(wide.shape), np.zeros(W.shape)  # (N, A + 2 pad, B + 2 pad, C), (K, K, C, F)
    for u, v in places(len(W), mask):
        dW[u, v] = np.tensordot(wide[:, u : u + A, v : v + B], dy, ([0, 1, 2],) * 2)  # (C, F), as y += wide W[u, v]
        dwide[:, u : u + A, v : v + B] += dy @ W[u, v].T  # (N, A, B, C), as y += wide W[u, v]
    dx = dwide[:, pad : pad + A, pad : pad + B]  # (N, A, B, C), as wide = pad(x)
    return dx, dW, dy.sum(axis=(0, 1, 2))


def forward(p, x):
    """The loss -log p(x) in nats of images x (N, 8, 8, 1), and the cache."""
    a, c_a = masked_forward(x, p["W1"], p["b1"], "A")  # (N, 8, 8, 16)
    h = np.maximum(a, 0)  # (N, 8, 8, 16)
    c, c_c = masked_forward(h, p["W2"], p["b2"], "B")  # (N, 8, 8, 16)
    g = np.maximum(c, 0)  # (N, 8, 8, 16)
    y, c_y = masked_forward(g, p["W3"], p["b3"], "B")  # (N, 8, 8, 1), logits
    loss = (np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y))) - x * y).sum() / len(x)  # ()
    return loss, (x, c_a, a, c_c, c, c_y, y)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    x, c_a, a, c_c, c, c_y, y = cache  # (N, 8, 8, 1), (2,), (N, 8, 8, 16), (2,), (N, 8, 8, 16), (2,), (N, 8, 8, 1)
    dy = (1 / (1 + np.exp(-y)) - x) / len(x)  # (N, 8, 8, 1), as loss = log(1 + exp(y)) - x y
    dg, dW3, db3 = masked_backward(c_y, p["W3"], dy)  # (N, 8, 8, 16), (1, 1, 16, 1), (1,), as y = masked(g)
    dh, dW2, db2 = masked_backward(c_c, p["W2"], dg * (c > 0))  # (N, 8, 8, 16), (3, 3, 16, 16), (16,), as g = max(c, 0)
    dx, dW1, db1 = masked_backward(c_a, p["W1"], dh * (a > 0))  # (N, 8, 8, 1), (5, 5, 1, 16), (16,), as h = max(a, 0)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}


def train(p, x, steps, rng, lr=0.004, size=50):
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
    """The relative error of the gradient along a random direction, compared with a central difference."""
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x)[1])
    u = {name: (v := rng.normal(size=w.shape)) / np.linalg.norm(v) for name, w in p.items()}
    above, below = (forward({k: w + move * u[k] for k, w in p.items()}, x)[0] for move in (eps, -eps))
    numeric = (above - below) / (2 * eps)
    return abs(numeric - sum((grads[name] * u[name]).sum() for name in p)) / abs(numeric)


def main(steps=300):
    """Trains, prints the losses, six samples and the check."""
    rng, folder = np.random.default_rng(0), Path(__file__).parents[1] / "data" / "embedded" / "digits"
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    x, p = (np.frombuffer(images, np.uint8, offset=16).reshape(-1, 8, 8, 1) > 127) * 1.0, {}
    for i, shape in enumerate(((5, 5, 1, 16), (3, 3, 16, 16), (1, 1, 16, 1)), 1):
        p |= {f"W{i}": rng.normal(size=shape) / np.sqrt(np.prod(shape[:3]) / 2), f"b{i}": np.zeros(shape[3])}
    losses, sample = train(p, x, steps, rng), np.zeros((6, 8, 8, 1))
    for i, j in np.ndindex(8, 8):
        sample[:, i, j, 0] = rng.random(6) < 1 / (1 + np.exp(-forward(p, sample)[1][-1][:, i, j, 0]))
    print("\n".join("   ".join("".join(" #"[int(v)] for v in row[:, 0]) for row in sample[:, i]) for i in range(8)))
    error = check(p, x[:20])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
