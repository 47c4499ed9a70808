"""A variational autoencoder: sampling a code, and still knowing its gradient.

A variational autoencoder (Kingma & Welling 2014) is a model of images that can be sampled: take a code z from N(0, I)
and decode it to p(x|z). For each image the encoder gives a Gaussian of likely codes, q(z|x) = N(mu, sigma^2), as mu and
logvar = log sigma^2. The loss is an upper bound of -log p(x), in nats (the negative ELBO, their equation 3):

    loss = E_q[-log p(x|z)] + KL(q(z|x) || N(0, I))

First hard step: the expectation is estimated with one sample z ~ N(mu, sigma^2), but a sample has no derivative. So
write it as z = mu + sigma e with noise e ~ N(0, I), which does not depend on the network (the reparameterisation):

    dmu = dz,      dlogvar = dz e dsigma/dlogvar = dz e sigma / 2        as sigma = exp(logvar / 2)

Second: the KL of two Gaussians is E_q[log q(z) - log p(z)]. Both logarithms are quadratic in z, and E_q[(z - mu)^2] =
sigma^2, E_q[z^2] = mu^2 + sigma^2, so the expectation is exact:

    KL = 1/2 sum(mu^2 + exp(logvar) - 1 - logvar),      dmu = mu,      dlogvar = (exp(logvar) - 1) / 2

It pulls each code towards mu = 0 and sigma = 1: the encoder pays for what it says.

Shapes: N images of D = 64 pixels, H hidden units, codes of C numbers. p(x|z) is a Bernoulli distribution of each pixel
with logits y; the lesson `autoencoder` derives dy = sigmoid(y) - x.
"""

import gzip
from pathlib import Path

import numpy as np


def forward(p, x, e):
    """The loss of images x (N, D) with the noise e (N, C), its two parts, and what the backward pass needs again."""
    h = np.tanh(x @ p["W1"] + p["b1"])  # (N, H)
    mu = h @ p["Wm"] + p["bm"]  # (N, C)
    logvar = h @ p["Wv"] + p["bv"]  # (N, C)
    sigma = np.exp(logvar / 2)  # (N, C)
    z = mu + sigma * e  # (N, C), a sample of q(z|x)
    g = np.tanh(z @ p["W2"] + p["b2"])  # (N, H)
    y = g @ p["W3"] + p["b3"]  # (N, D), logits of p(x|z)
    rec = (np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y))) - x * y).sum() / len(x)  # ()
    kl = 0.5 * (mu**2 + sigma**2 - 1 - logvar).sum() / len(x)  # ()
    return rec + kl, (rec, kl), (x, e, h, mu, logvar, sigma, z, g, y)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    x, e, h, mu, logvar, sigma, z, g, y = cache  # (N, D), (N, C), (N, H), 4 x (N, C), (N, C), (N, H), (N, D)
    dy = (1 / (1 + np.exp(-y)) - x) / len(x)  # (N, D), as rec = log(1 + exp(y)) - x y
    dW3, db3 = g.T @ dy, dy.sum(axis=0)  # (H, D), (D,), as y = g W3 + b3
    dc = (dy @ p["W3"].T) * (1 - g**2)  # (N, H), as y = g W3 + b3, g = tanh(z W2 + b2)
    dW2, db2 = z.T @ dc, dc.sum(axis=0)  # (C, H), (H,), as g = tanh(z W2 + b2)
    dz = dc @ p["W2"].T  # (N, C), as g = tanh(z W2 + b2)
    dmu = dz + mu / len(x)  # (N, C), as z = mu + sigma e, and kl = mu^2 / 2 + ...
    dlogvar = dz * e * sigma / 2 + (sigma**2 - 1) / (2 * len(x))  # (N, C), as z = mu + sigma e, and kl
    dWm, dbm = h.T @ dmu, dmu.sum(axis=0)  # (H, C), (C,), as mu = h Wm + bm
    dWv, dbv = h.T @ dlogvar, dlogvar.sum(axis=0)  # (H, C), (C,), as logvar = h Wv + bv
    da = (dmu @ p["Wm"].T + dlogvar @ p["Wv"].T) * (1 - h**2)  # (N, H), as h = tanh(a) is used by mu and logvar
    dW1, db1 = x.T @ da, da.sum(axis=0)  # (D, H), (H,), as a = x W1 + b1
    biases = {"b1": db1, "bm": dbm, "bv": dbv, "b2": db2, "b3": db3}  # (H,), (C,), (C,), (H,), (D,)
    return {"W1": dW1, "Wm": dWm, "Wv": dWv, "W2": dW2, "W3": dW3} | biases


def start(rng, D=64, H=64, C=6):
    """Random weights and zero biases."""
    shapes = {"W1": (D, H), "Wm": (H, C), "Wv": (H, C), "W2": (C, H), "W3": (H, D)}
    p = {name: rng.normal(size=shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}
    return p | {name.replace("W", "b"): np.zeros(shape[1]) for name, shape in shapes.items()}


def train(p, x, steps, rng, lr=0.02, size=100):
    """Gradient descent with momentum on random batches, with new noise in each step."""
    losses, speed = [], dict.fromkeys(p, 0.0)
    for step in range(steps + 1):
        batch, e = x[rng.integers(len(x), size=size)], rng.normal(size=(size, len(p["bm"])))
        loss, (rec, kl), cache = forward(p, batch, e)
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss {loss:7.3f} = reconstruction {rec:7.3f} + KL {kl:6.3f} nats")
        for name, grad in backward(p, cache).items():
            speed[name] = 0.9 * speed[name] + grad
            p[name] -= lr * speed[name]
    return losses


def check(p, x, e, eps=1e-5):
    """The relative error of the gradient along a random direction at fixed e, compared with a central difference."""
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x, e)[2])
    u = {name: (v := rng.normal(size=w.shape)) / np.linalg.norm(v) for name, w in p.items()}
    above, below = (forward({k: w + move * u[k] for k, w in p.items()}, x, e)[0] for move in (eps, -eps))
    numeric = (above - below) / (2 * eps)
    return abs(numeric - sum((grads[name] * u[name]).sum() for name in p)) / abs(numeric)


def main(steps=3000):
    """Trains, prints the losses, six sampled images and the check."""
    rng, folder = np.random.default_rng(0), Path(__file__).parents[1] / "data" / "embedded" / "digits"
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    x, p = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255, start(rng)
    losses = train(p, x, steps, rng)
    y = np.tanh(rng.normal(size=(6, 6)) @ p["W2"] + p["b2"]) @ p["W3"] + p["b3"]
    rows = (9.99 / (1 + np.exp(-y))).astype(int).reshape(-1, 8, 8).transpose(1, 0, 2)
    print("\n".join("   ".join("".join(" .:-=+*#%@"[v] for v in image) for image in row) for row in rows))
    error = check(p, x[:50], rng.normal(size=(50, 6)))
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
