"""An adversarial autoencoder: a discriminator instead of a KL divergence.

The adversarial autoencoder (Makhzani et al. 2015) is an autoencoder whose codes should look like samples of a prior,
here N(0, I). The VAE's KL divergence needs a formula of the prior; a discriminator D needs samples of it alone.

One training step has three phases. Each is a loss with the networks that it trains; the others are frozen:

    reconstruction   encoder e, decoder d   |d(e(x)) - x|^2
    discriminator    D                      -log s(D(z')) - log(1 - s(D(e(x)))),   z' ~ N(0, I),   s = sigmoid
    generator        encoder e              -log s(D(e(x)))

The hard step is the third phase. As in the lesson `gan`, with the encoder as the generator, the gradient s - 1 at D's
logit passes through D, which is frozen, to the code z = e(x), and from there into the encoder. The gradients of the
phases must not be added up: each phase has an update of its own, at the weights that the phase before left.

Shapes: N images of 64 pixels, codes z (N, 2), H hidden units, logits (N, 1). Each network has one hidden layer.
"""

import gzip
from pathlib import Path

import numpy as np

PHASES = "reconstruction", "discriminator", "generator"


def network_forward(p, name, x):
    """y = tanh(x W + b) V + c of the network `name`: "e", "d" or "D"."""
    h = np.tanh(x @ p[f"{name}W"] + p[f"{name}b"])  # (N, H)
    y = h @ p[f"{name}V"] + p[f"{name}c"]  # (N, outputs)
    return y, (x, h)


def network_backward(p, name, cache, dy):
    """dx, and the gradients of the network's parameters."""
    x, h = cache  # (N, inputs), (N, H)
    dV, dc = h.T @ dy, dy.sum(axis=0)  # (H, outputs), (outputs,), as y = h V + c
    da = (dy @ p[f"{name}V"].T) * (1 - h**2)  # (N, H), as y = h V + c, h = tanh(x W + b)
    dW, db = x.T @ da, da.sum(axis=0)  # (inputs, H), (H,), as h = tanh(x W + b)
    dx = da @ p[f"{name}W"].T  # (N, inputs), as h = tanh(x W + b)
    return dx, {f"{name}W": dW, f"{name}b": db, f"{name}V": dV, f"{name}c": dc}


def forward(p, phase, x, prior):
    """The loss of a phase for images x (N, 64) and samples of the prior (N, 2), and the cache."""
    z, c_enc = network_forward(p, "e", x)  # (N, 2)
    if phase == "reconstruction":
        y, c_dec = network_forward(p, "d", z)  # (N, 64)
        return ((y - x) ** 2).sum() / len(x), (phase, c_enc, c_dec, y - x)
    fake, c_fake = network_forward(p, "D", z)  # (N, 1)
    if phase == "generator":
        return np.logaddexp(0, -fake).sum() / len(x), (phase, c_enc, c_fake, fake)
    real, c_real = network_forward(p, "D", prior)  # (N, 1)
    loss = (np.logaddexp(0, -real) + np.logaddexp(0, fake)).sum() / len(x)  # ()
    return loss, (phase, c_fake, c_real, fake, real)


def backward(p, cache):
    """The gradients of the networks that the phase trains."""
    (phase, *cache), n = cache, len(cache[-1])  # (), (3 or 4,), ()
    if phase == "reconstruction":
        c_enc, c_dec, error = cache  # (2,), (2,), (N, 64)
        dz, grads = network_backward(p, "d", c_dec, 2 * error / n)  # (N, 2), (d's), as loss = |d(z) - x|^2
        return grads | network_backward(p, "e", c_enc, dz)[1]
    if phase == "generator":
        c_enc, c_fake, fake = cache  # (2,), (2,), (N, 1)
        dfake = (1 / (1 + np.exp(-fake)) - 1) / n  # (N, 1), as loss = -log s(fake)
        dz, _ = network_backward(p, "D", c_fake, dfake)  # (N, 2), as fake = D(z), which is frozen
        return network_backward(p, "e", c_enc, dz)[1]
    c_fake, c_real, fake, real = cache  # (2,), (2,), (N, 1), (N, 1)
    dfake, dreal = 1 / (1 + np.exp(-fake)) / n, (1 / (1 + np.exp(-real)) - 1) / n  # (N, 1), (N, 1), as loss = -log ...
    _, grads = network_backward(p, "D", c_fake, dfake)  # (D's shapes), as fake = D(e(x))
    _, more = network_backward(p, "D", c_real, dreal)  # (D's shapes), as real = D(z')
    return {name: grads[name] + more[name] for name in grads}


def train(p, x, steps, rng, lr=(0.005, 0.1, 0.02), size=100):
    """The three phases in each step. -> the reconstruction losses."""
    losses = []
    for step in range(steps + 1):
        batch, prior = x[rng.integers(len(x), size=size)], rng.normal(size=(size, 2))
        for phase, rate in zip(PHASES, lr, strict=True):
            loss, cache = forward(p, phase, batch, prior)
            if phase == "reconstruction" and step % max(1, steps // 10) == 0:
                losses.append(loss)
                std = network_forward(p, "e", x)[0].std(axis=0).round(2)
                print(f"step {step:5d}   loss {loss:7.3f}   standard deviations of the codes {std}")
            for name, grad in backward(p, cache).items():
                p[name] -= rate * grad
    return losses


def check(p, x, prior, eps=1e-5):
    """The largest relative error of the phases' gradients along a random direction of what the phase trains."""
    rng, errors = np.random.default_rng(1), []
    for phase in PHASES:
        grads = backward(p, forward(p, phase, x, prior)[1])
        u = {name: (v := rng.normal(size=g.shape)) / np.linalg.norm(v) for name, g in grads.items()}
        moved = (p | {name: p[name] + move * u[name] for name in u} for move in (eps, -eps))
        numeric = np.subtract(*(forward(q, phase, x, prior)[0] for q in moved)) / (2 * eps)
        errors.append(abs(numeric - sum((grads[name] * u[name]).sum() for name in u)) / abs(numeric))
    return max(errors)


def main(steps=3000):
    """Trains, prints the losses and the check."""
    rng, folder = np.random.default_rng(0), Path(__file__).parents[1] / "data" / "embedded" / "digits"
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    x, p = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255, {}
    for name, inputs, outputs in (("e", 64, 2), ("d", 2, 64), ("D", 2, 1)):
        p |= {f"{name}W": rng.normal(size=(inputs, 64)) / np.sqrt(inputs), f"{name}b": np.zeros(64)}
        p |= {f"{name}V": rng.normal(size=(64, outputs)) / 8, f"{name}c": np.zeros(outputs)}
    losses = train(p, x, steps, rng)
    error = check(p, x[:50], rng.normal(size=(50, 2)))
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
