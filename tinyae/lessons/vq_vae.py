"""A vector-quantised autoencoder: a gradient past a step that has none.

A VQ-VAE (van den Oord et al. 2017) has discrete codes. A codebook E holds K vectors. The encoder puts out vectors z,
and each is replaced by the nearest vector of the codebook, q = E[k] with k = argmin_j |z - E_j|^2. The decoder sees q.

The hard step is this argmin. A small move of z leaves k as it is, so the derivative of q by z is 0 almost everywhere:
the encoder would learn nothing. The straight-through estimator pretends that q is z in the backward pass:

    forward: q = z + sg(q - z)        backward: dz = dq        sg, "stop gradient", is the identity with derivative 0

This is not the derivative of the loss; it is a direction that works, since q is close to z. Two terms keep it close
(their equation 3). Each has a stop gradient, so that one side moves towards the other:

    loss = |x - y|^2 + |sg(z) - E[k]|^2 + beta |z - sg(E[k])|^2

    codebook term:   dE[k] = 2 (E[k] - z), added up over all z that chose k: a code moves to the mean of its vectors
    commitment:      dz = 2 beta (z - q): the encoder's vectors stay near the codes that they chose

The check keeps k and everything inside sg as they are: then the loss has a derivative, and it is ours.

Shapes: N images of D = 64 pixels, P = 4 vectors an image of C = 8 numbers, K = 32 codes: 4 times 5 bits an image.
"""

import gzip
from pathlib import Path

import numpy as np

BETA, P = 0.25, 4


def forward(p, x, fixed=None):
    """The loss of images x (N, D), and the cache. fixed: the (k, z, q) to take for what is constant in the backward."""
    h = np.tanh(x @ p["W1"] + p["b1"])  # (N, H)
    z = (h @ p["W2"] + p["b2"]).reshape(len(x), P, -1)  # (N, P, C)
    k = ((z[:, :, None] - p["E"]) ** 2).sum(axis=3).argmin(axis=2)  # (N, P), the nearest codes
    k, z0, q0 = fixed or (k, z, p["E"][k])  # (N, P), (N, P, C), (N, P, C)
    q = z + (q0 - z0)  # (N, P, C), straight through: the value of q, the derivative of z
    g = np.tanh(q.reshape(len(x), -1) @ p["W3"] + p["b3"])  # (N, H)
    y = g @ p["W4"] + p["b4"]  # (N, D)
    rec = ((y - x) ** 2).sum() / len(x)  # ()
    book = ((z0 - p["E"][k]) ** 2).sum() / len(x)  # (), |sg(z) - E[k]|^2
    commitment = BETA * ((z - q0) ** 2).sum() / len(x)  # (), beta |z - sg(q)|^2
    return rec + book + commitment, rec, (x, h, z, k, q, g, y)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    x, h, z, k, q, g, y = cache  # (N, D), (N, H), (N, P, C), (N, P), (N, P, C), (N, H), (N, D)
    dy = 2 * (y - x) / len(x)  # (N, D), as rec = |y - x|^2
    dW4, db4 = g.T @ dy, dy.sum(axis=0)  # (H, D), (D,), as y = g W4 + b4
    dc = (dy @ p["W4"].T) * (1 - g**2)  # (N, H), as y = g W4 + b4, g = tanh(c)
    dW3, db3 = q.reshape(len(x), -1).T @ dc, dc.sum(axis=0)  # (P C, H), (H,), as c = q W3 + b3
    dq = (dc @ p["W3"].T).reshape(z.shape)  # (N, P, C), as c = q W3 + b3
    dE = np.zeros(p["E"].shape)  # (K, C)
    np.add.at(dE, k, 2 * (q - z) / len(x))  # rows k of dE, as book = |sg(z) - E[k]|^2
    dz = dq + 2 * BETA * (z - q) / len(x)  # (N, P, C), as q = z + sg(q - z), commitment = beta |z - sg(q)|^2
    dz = dz.reshape(len(x), -1)  # (N, P C), as z = reshape(h W2 + b2)
    dW2, db2 = h.T @ dz, dz.sum(axis=0)  # (H, P C), (P C,), as z = h W2 + b2
    da = (dz @ p["W2"].T) * (1 - h**2)  # (N, H), as z = h W2 + b2, h = tanh(a)
    dW1, db1 = x.T @ da, da.sum(axis=0)  # (D, H), (H,), as a = x W1 + b1
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "E": dE, "W3": dW3, "b3": db3, "W4": dW4, "b4": db4}


def start(rng, x, D=64, H=64, C=8, K=32):
    """Random weights; the codes begin at the encoder's vectors of some images."""
    shapes = {"W1": (D, H), "W2": (H, P * C), "W3": (P * C, H), "W4": (H, D)}
    p = {name: rng.normal(size=shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}
    p |= {name.replace("W", "b"): np.zeros(shape[1]) for name, shape in shapes.items()}
    return p | {"E": (np.tanh(x[:K] @ p["W1"]) @ p["W2"]).reshape(-1, C)[:K].copy()}


def train(p, x, steps, rng, lr=0.02, size=100):
    """Gradient descent on random batches."""
    losses = []
    for step in range(steps + 1):
        loss, rec, cache = forward(p, x[rng.integers(len(x), size=size)])
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss {loss:7.3f}   reconstruction {rec:7.3f}   codes {len(np.unique(cache[3]))}")
        for name, grad in backward(p, cache).items():
            p[name] -= lr * grad
    return losses


def check(p, x, eps=1e-5):
    """The relative error of the gradient along a random direction, compared with a central difference."""
    rng, cache = np.random.default_rng(1), forward(p, x)[2]
    grads, fixed = backward(p, cache), (cache[3], cache[2], cache[4])
    u = {name: (v := rng.normal(size=w.shape)) / np.linalg.norm(v) for name, w in p.items()}
    above, below = (forward({k: w + move * u[k] for k, w in p.items()}, x, fixed)[0] for move in (eps, -eps))
    numeric = (above - below) / (2 * eps)
    return abs(numeric - sum((grads[name] * u[name]).sum() for name in p)) / abs(numeric)


def main(steps=3000):
    """Trains, prints the losses and the check."""
    rng, folder = np.random.default_rng(0), Path(__file__).parents[1] / "data" / "embedded" / "digits"
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255
    p = start(rng, x)
    losses = train(p, x, steps, rng)
    error = check(p, x[:50])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
