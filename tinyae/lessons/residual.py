"""A residual block: why adding the input to the output keeps gradients alive in a deep network.

A residual block (He et al. 2016) computes  y = x + f(x).  The hard step is only that x is used twice, so its gradient
is the sum over both uses:

    y moves by dx through the identity, and by f'(x) dx through f:       dx = dy + (df/dx)^T dy

Now stack L blocks. Without the identity the gradient at the bottom is  (df_1/dx)^T ... (df_L/dx)^T dy:  if each matrix
shrinks vectors a little, the product shrinks exponentially in L, and the first layers learn nothing. With the identity
it is the product of the  I + (df_l/dx)^T.  Multiply it out: one term is dy itself, untouched, whatever L is.

Here f(x) = tanh(x V) U with small random weights. The lesson builds the same network of L = 12 blocks with and without
the identity, prints the size of the first block's gradient in each at the start, and trains both.

Shapes: N images of D = 64 pixels -> x_0 = images W (N, H) -> 12 blocks -> logits (N, K), softmax cross-entropy.
"""

import gzip
from pathlib import Path

import numpy as np

BLOCKS = 12


def block_forward(x, V, U, skip):
    """y = skip x + tanh(x V) U: a residual block with skip = 1, a plain one with skip = 0."""
    h = np.tanh(x @ V)  # (N, H)
    y = skip * x + h @ U  # (N, H)
    return y, (x, h, skip)


def block_backward(cache, V, U, dy):
    """dx, dV, dU."""
    x, h, skip = cache  # (N, H), (N, H), ()
    dU = h.T @ dy  # (H, H), as y = skip x + h U
    da = (dy @ U.T) * (1 - h**2)  # (N, H), as h = tanh(x V)
    dV = x.T @ da  # (H, H), as h = tanh(x V)
    dx = skip * dy + da @ V.T  # (N, H), as y = skip x + h U, and h = tanh(x V)
    return dx, dV, dU


def forward(p, x, labels, skip=1):
    """The loss of images x (N, D) with integer labels (N,), and the cache."""
    h, caches = x @ p["W"], []  # (N, H), [-]
    for k in range(BLOCKS):
        h, cache = block_forward(h, p[f"V{k}"], p[f"U{k}"], skip)  # (N, H)
        caches.append(cache)
    logits = h @ p["R"] + p["b"]  # (N, K)
    shifted = logits - logits.max(axis=1, keepdims=True)  # (N, K)
    nats = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(x)), labels]  # (N,)
    return nats.sum() / len(x), (x, labels, caches, h, shifted)


def backward(p, cache):
    """The gradients: the forward lines in reverse order."""
    x, labels, caches, h, shifted = cache  # (N, D), (N,), [-], (N, H), (N, K)
    q = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)  # (N, K), probabilities
    dlogits = (q - np.eye(q.shape[1])[labels]) / len(x)  # (N, K), as nats = -log softmax(logits)[label]
    dR, db = h.T @ dlogits, dlogits.sum(axis=0)  # (H, K), (K,), as logits = h R + b
    dh = dlogits @ p["R"].T  # (N, H), as logits = h R + b
    grads = {"R": dR, "b": db}  # (H, K), (K,)
    for k in reversed(range(BLOCKS)):
        dh, dV, dU = block_backward(caches[k], p[f"V{k}"], p[f"U{k}"], dh)  # (N, H), (H, H), (H, H), as h = block(h)
        grads |= {f"V{k}": dV, f"U{k}": dU}  # (H, H), (H, H)
    dW = x.T @ dh  # (D, H), as h = x W
    return grads | {"W": dW}


def start(rng, inputs=64, hidden=32, classes=10):
    """Random weights, small enough that each plain block shrinks its input."""
    p = {"W": rng.normal(size=(inputs, hidden)) / np.sqrt(inputs), "R": rng.normal(size=(hidden, classes)) / 6}
    for k in range(BLOCKS):
        p |= {f"V{k}": rng.normal(size=(hidden, hidden)) / 12, f"U{k}": rng.normal(size=(hidden, hidden)) / 12}
    return p | {"b": np.zeros(classes)}


def train(x, labels, steps, rng, lr=0.1, size=100):
    """Gradient descent on the residual and the plain network, from the same weights and on the same batches."""
    p, losses = start(rng), []
    plain = {name: w.copy() for name, w in p.items()}
    for step in range(steps + 1):
        batch = rng.integers(len(x), size=size)
        (loss, cache), (other, c_other) = (forward(w, x[batch], labels[batch], s) for w, s in ((p, 1), (plain, 0)))
        grads, others = backward(p, cache), backward(plain, c_other)
        if step == 0:
            sizes = (np.linalg.norm(g["V0"]) for g in (grads, others))
            print("first block's gradient: residual {:.1e}, plain {:.1e}".format(*sizes))
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss: residual {loss:7.4f}   plain {other:7.4f} nats")
        for name in p:
            p[name] -= lr * grads[name]
            plain[name] -= lr * others[name]
    return p, losses


def check(p, x, labels, eps=1e-5):
    """The relative error of the gradient along a random direction u, compared with a central difference of the loss."""
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x, labels)[1])
    u = {name: (v := rng.normal(size=w.shape)) / np.linalg.norm(v) for name, w in p.items()}
    above, below = ({name: w + move * u[name] for name, w in p.items()} for move in (eps, -eps))
    numeric = (forward(above, x, labels)[0] - forward(below, x, labels)[0]) / (2 * eps)
    return abs(numeric - sum((grads[k] * u[k]).sum() for k in p)) / abs(numeric)


def main(steps=400):
    """Trains both, prints their losses and the check."""
    folder, kinds = Path(__file__).parents[1] / "data" / "embedded" / "digits", ("images-idx3", "labels-idx1")
    images, labels = (gzip.decompress((folder / f"train-{kind}-ubyte.gz").read_bytes()) for kind in kinds)
    x, labels = np.frombuffer(images, np.uint8, offset=16) / 255, np.frombuffer(labels, np.uint8, offset=8)
    x = x.reshape(-1, 64)
    p, losses = train(x, labels, steps, np.random.default_rng(0))
    error = check(p, x[:50], labels[:50])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
