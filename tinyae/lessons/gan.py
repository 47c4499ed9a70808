"""A GAN: two networks, and the gradient of one through the other.

A generative adversarial network (Goodfellow et al. 2014) has a generator G, which turns noise z into samples, and a
discriminator D, which gives a logit: how sure it is that a sample is real. They are trained in turn, in two phases:

    discriminator    minimises  -log s(D(x)) - log(1 - s(D(G(z))))        with s = sigmoid
    generator        minimises  -log s(D(G(z)))

The losses work against each other, so neither falls for long; what matters is whether samples resemble data.

Hard step one: the derivative by a logit d. As in the lesson `autoencoder`, -log s(d) = log(1 + exp(-d)) has the
derivative s(d) - 1, and -log(1 - s(d)) = log(1 + exp(d)) has s(d).

Hard step two: which gradients are used where. In the generator's phase the loss is a function of D's output, so the
gradient travels back through D to its input, the sample, and from there into G. D is frozen: it passes the gradient on,
and its own weights get none. In the discriminator's phase it is the reverse: the samples are data, and G gets nothing.

Why does the generator minimise -log s(D(G(z))) instead of log(1 - s(D(G(z))))? Both make s large. But at the start D
rejects every sample, s is about 0, and the derivative of the second, -s, vanishes; the first has s - 1.

Shapes: the data are N points (N, 2): the digits' two principal components. z (N, 2), H hidden units, logits (N, 1).
"""

import gzip
from pathlib import Path

import numpy as np


def network_forward(p, name, x):
    """y = tanh(x W + b) V + c of the network `name`, "G" or "D"."""
    h = np.tanh(x @ p[f"{name}W"] + p[f"{name}b"])  # (N, H)
    y = h @ p[f"{name}V"] + p[f"{name}c"]  # (N, 2) or (N, 1)
    return y, (x, h)


def network_backward(p, name, cache, dy):
    """dx, and the gradients of the network's parameters."""
    x, h = cache  # (N, 2), (N, H)
    dV, dc = h.T @ dy, dy.sum(axis=0)  # (H, 2) or (H, 1), (2,) or (1,), as y = h V + c
    da = (dy @ p[f"{name}V"].T) * (1 - h**2)  # (N, H), as y = h V + c, h = tanh(x W + b)
    dW, db = x.T @ da, da.sum(axis=0)  # (2, H), (H,), as h = tanh(x W + b)
    dx = da @ p[f"{name}W"].T  # (N, 2), as h = tanh(x W + b)
    return dx, {f"{name}W": dW, f"{name}b": db, f"{name}V": dV, f"{name}c": dc}


def forward(p, phase, x, z):
    """The loss of a phase for real points x (N, 2) and noise z (N, 2), and the cache."""
    fake, c_gen = network_forward(p, "G", z)  # (N, 2)
    d_fake, c_fake = network_forward(p, "D", fake)  # (N, 1)
    d_real, c_real = network_forward(p, "D", x)  # (N, 1)
    if phase == "generator":
        loss = np.logaddexp(0, -d_fake).sum() / len(x)  # (), -log s(D(G(z)))
    else:
        loss = (np.logaddexp(0, -d_real) + np.logaddexp(0, d_fake)).sum() / len(x)  # ()
    return loss, (phase, c_gen, c_fake, c_real, d_fake, d_real)


def backward(p, cache):
    """The gradients of the one network that the phase trains."""
    phase, c_gen, c_fake, c_real, d_fake, d_real = cache  # (), (2,), (2,), (2,), (N, 1), (N, 1)
    s_fake, s_real = 1 / (1 + np.exp(-d_fake)), 1 / (1 + np.exp(-d_real))  # (N, 1), (N, 1)
    if phase == "generator":
        dfake, _ = network_backward(p, "D", c_fake, (s_fake - 1) / len(s_fake))  # (N, 2), as loss = -log s(D(fake))
        return network_backward(p, "G", c_gen, dfake)[1]
    _, grads = network_backward(p, "D", c_fake, s_fake / len(s_fake))  # (D's shapes), as loss has -log(1 - s(D(fake)))
    _, more = network_backward(p, "D", c_real, (s_real - 1) / len(s_real))  # (D's shapes), as loss has -log s(D(x))
    return {name: grads[name] + more[name] for name in grads}


def distance(p, x, z):
    """How far the samples are from the data: the mean difference of sorted coordinates, over both axes."""
    fake, _ = network_forward(p, "G", z)
    return np.abs(np.sort(fake, axis=0) - np.sort(x, axis=0)).mean()


def train(p, x, steps, rng, lr=0.1, size=100):
    """Both phases in each step, on the same batch with new noise. -> the distances."""
    distances, noise = [], rng.normal(size=x.shape)
    for step in range(steps + 1):
        if step % max(1, steps // 10) == 0:
            distances.append(distance(p, x, noise))
            print(f"step {step:5d}   distance of samples from data {distances[-1]:6.3f}")
        batch = x[rng.integers(len(x), size=size)]
        for phase in ("discriminator", "generator"):
            for name, grad in backward(p, forward(p, phase, batch, rng.normal(size=(size, 2)))[1]).items():
                p[name] -= lr * grad
    return distances


def check(p, x, z, eps=1e-5):
    """The larger relative error of both phases' gradients along a random direction of what the phase trains."""
    rng, errors = np.random.default_rng(1), []
    for phase in ("discriminator", "generator"):
        grads = backward(p, forward(p, phase, x, z)[1])
        u = {name: (v := rng.normal(size=g.shape)) / np.linalg.norm(v) for name, g in grads.items()}
        moved = (p | {name: p[name] + move * u[name] for name in u} for move in (eps, -eps))
        above, below = (forward(q, phase, x, z)[0] for q in moved)
        numeric = (above - below) / (2 * eps)
        errors.append(abs(numeric - sum((grads[name] * u[name]).sum() for name in u)) / abs(numeric))
    return max(errors)


def main(steps=3000):
    """Trains, prints the distances and the check."""
    rng, folder = np.random.default_rng(0), Path(__file__).parents[1] / "data" / "embedded" / "digits"
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255
    x = (x - x.mean(axis=0)) @ np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:2].T + (2.0, 1.0)
    p = {"GW": rng.normal(size=(2, 32)), "Gb": np.zeros(32), "GV": rng.normal(size=(32, 2)) / 6, "Gc": np.zeros(2)}
    p |= {"DW": rng.normal(size=(2, 32)), "Db": np.zeros(32), "DV": rng.normal(size=(32, 1)) / 6, "Dc": np.zeros(1)}
    distances = train(p, x, steps, rng)
    error = check(p, x[:50], rng.normal(size=(50, 2)))
    print(f"finite-difference check: relative error {error:.1e}")
    return distances, error


if __name__ == "__main__":
    main()
