"""A dense layer and the chain rule: how the derivative of the loss travels back through a network.

A network is a chain of steps, here  x -> a -> h -> y -> loss.  Training needs the derivative of the loss with respect
to every weight. One idea gives them all. Write dy for the array that holds the derivative of the loss with respect to
each number of y; dy has the shape of y. Once dy is known, the step that made y gives the derivatives with respect to
its own inputs. So we start at the loss and walk the chain backwards, one forward line at a time.

The hard step is the dense layer y = h W + b. Written for one number it is  y_nk = sum_j h_nj W_jk + b_k.  The chain
rule says: the derivative with respect to a number is the sum over everything that this number moves.

    W_jk moves y_nk in every row n, by h_nj each:       dW_jk = sum_n h_nj dy_nk      that is   dW = h^T dy
    b_k  moves y_nk in every row n, by 1 each:          db_k  = sum_n dy_nk           that is   db = dy summed over n
    h_nj moves y_nk in every column k, by W_jk each:    dh_nj = sum_k dy_nk W_jk      that is   dh = dy W^T

The shapes confirm it: dW must have the shape (H, K) of W, and h^T dy is the only product of h (N, H) and dy (N, K)
that has this shape. The tanh acts on each number alone, so its backward multiplies each number of dh by the slope at
that place, tanh'(a) = 1 - tanh(a)^2 = 1 - h^2.

Shapes: N images of D = 64 pixels, H hidden units, K = 10 classes. The network learns to say which digit it sees: the
target t is 1 for the right class and 0 for the others, and the loss is the squared distance between y and t.
"""

import gzip
from pathlib import Path

import numpy as np


def forward(p, x, t):
    """The loss of images x (N, D) with targets t (N, K), and what the backward pass needs again."""
    a = x @ p["W1"] + p["b1"]  # (N, H)
    h = np.tanh(a)  # (N, H)
    y = h @ p["W2"] + p["b2"]  # (N, K)
    loss = ((y - t) ** 2).sum() / len(x)  # (), summed over classes, averaged over the batch
    return loss, (x, h, y, t)


def backward(p, cache):
    """The derivative of the loss with respect to each parameter: the forward lines in reverse order."""
    x, h, y, t = cache  # (N, D), (N, H), (N, K), (N, K)
    dy = 2 * (y - t) / len(x)  # (N, K), as loss = sum (y - t)^2 / N
    dW2 = h.T @ dy  # (H, K), as y = h W2 + b2
    db2 = dy.sum(axis=0)  # (K,), as y = h W2 + b2
    dh = dy @ p["W2"].T  # (N, H), as y = h W2 + b2
    da = dh * (1 - h**2)  # (N, H), as h = tanh(a)
    dW1 = x.T @ da  # (D, H), as a = x W1 + b1
    db1 = da.sum(axis=0)  # (H,), as a = x W1 + b1
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def start(rng, inputs=64, hidden=64, classes=10):
    """Random weights, small enough that sums over many inputs stay near 1, and zero biases."""
    return {
        "W1": rng.normal(size=(inputs, hidden)) / np.sqrt(inputs), "b1": np.zeros(hidden),
        "W2": rng.normal(size=(hidden, classes)) / np.sqrt(hidden), "b2": np.zeros(classes),
    }  # fmt: skip


def train(p, x, t, steps, rng, lr=0.1, size=100):
    """Gradient descent on random batches: a small step against the gradient, again and again."""
    losses = []
    for step in range(steps + 1):
        batch = rng.integers(len(x), size=size)
        loss, cache = forward(p, x[batch], t[batch])
        if step % max(1, steps // 10) == 0:
            losses.append(loss)
            print(f"step {step:5d}   loss {loss:8.4f}")
        for name, grad in backward(p, cache).items():
            p[name] -= lr * grad
    return losses


def check(p, x, t, eps=1e-5):
    """The relative error of the backward pass: move all parameters a little and see how much the loss really changes.

    Along a random direction u the loss changes by (loss(p + eps u) - loss(p - eps u)) / (2 eps) per unit of length.
    The backward pass says that this is the sum of gradient times u.
    """
    rng, grads = np.random.default_rng(1), backward(p, forward(p, x, t)[1])
    u = {name: rng.normal(size=w.shape) for name, w in p.items()}
    u = {name: v / np.linalg.norm(v) for name, v in u.items()}
    above, below = ({name: w + move * u[name] for name, w in p.items()} for move in (eps, -eps))
    numeric = (forward(above, x, t)[0] - forward(below, x, t)[0]) / (2 * eps)
    analytic = sum((grads[name] * u[name]).sum() for name in p)
    return abs(numeric - analytic) / (abs(numeric) + abs(analytic))


def digits(split):
    """The images (N, 64), in [0, 1], and labels (N,) of a split; the files' headers are 16 and 8 bytes long."""
    folder = Path(__file__).parents[1] / "data" / "embedded" / "digits"
    files = (folder / f"{split}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    images, labels = (gzip.decompress(file.read_bytes()) for file in files)
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 64) / 255, np.frombuffer(labels, np.uint8, offset=8)


def main(steps=2000):
    """Trains, prints the losses, the accuracy on images that training has not seen, and the check."""
    rng = np.random.default_rng(0)
    (x, labels), (x_test, labels_test) = digits("train"), digits("t10k")
    t, t_test = np.eye(10)[labels], np.eye(10)[labels_test]
    p = start(rng)
    losses = train(p, x, t, steps, rng)
    _, (_, _, y, _) = forward(p, x_test, t_test)
    print(f"accuracy on the test images: {np.mean(y.argmax(axis=1) == labels_test):.1%}")
    error = check(p, x[:50], t[:50])
    print(f"finite-difference check: relative error {error:.1e}")
    return losses, error


if __name__ == "__main__":
    main()
