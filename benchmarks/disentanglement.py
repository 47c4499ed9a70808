"""How far codes of dSprites separate its factors: variational autoencoders, PCA, the pixels, the factors themselves.

Every model is 4096-256-256-256-10, mirrored, and sees the same images once, in batches of 64; Adam 1e-3. (With 512-256
instead, five numbers shared the place after 1,800 steps at beta 40, where here x and y have one each.) The metrics are
computed by `tinyae.evaluation.disentanglement` on the codes of the 10,000 test images. A stopped run goes on
where it was.

Published are Higgins et al. 2017, table 1, on the original images: a network of their own, trained for longer, and a
classifier trained by Adagrad.
"""

from pathlib import Path

import numpy as np

import tinyae
from tinyae.backend import Noise
from tinyae.data import Split, dsprites, to_float
from tinyae.evaluation.disentanglement import disentanglement
from tinyae.models import VAE, BetaVAE
from tinyae.training.feed import Feed
from tinyae.training.loop import evaluate

NETWORK = {"input_shape": (dsprites.SIDE, dsprites.SIDE, 1), "latent_dim": 10, "hidden": (256, 256, 256)}
FIT = {"batch_size": 64, "lr": 1e-3, "epochs": 1}
PUBLISHED = {"VAE": 61.58, "beta-VAE, beta 4": 99.23, "PCA": 84.9, "raw pixels": 45.75}
LEARNED = {
    "VAE": lambda: VAE(**NETWORK),
    "beta-VAE, beta 4": lambda: BetaVAE(**NETWORK, beta=4.0),
    "beta-VAE, beta 40": lambda: BetaVAE(**NETWORK, beta=40.0),
}
NAMES = (*LEARNED, "PCA", "raw pixels", "factors")
PCA_IMAGES = 10_000  # spread evenly over those that the models see


def measure(steps, out, threads=None, names=None):
    """{"steps", "images", "rows": {name: its metrics, and of a model its terms in nats}}. names: of `NAMES`, or all."""
    data, rows = tinyae.data.load("dsprites"), {}
    count = min(steps * FIT["batch_size"], len(data.train))
    images = data.train.x.select(np.sort(Noise(0).permutation(len(data.train), "trained on")[:count]))
    names = NAMES if names is None else names
    if unknown := set(names) - set(NAMES):
        raise SystemExit(f"no such contender: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    x, factors = data.test.x, data.test.factors
    for name in names:
        if name in LEARNED:
            model = LEARNED[name]()
            terms = train(model, images, data.test, Path(out) / name.replace(", ", "-").replace(" ", "-"), threads)
            rows[name] = disentanglement(model.encode, x, factors) | terms
        elif name == "PCA":
            few = images[:: -(-count // PCA_IMAGES)]
            rows[name] = disentanglement(principal_components(few), x, factors)
        elif name == "raw pixels":
            rows[name] = disentanglement(flat, x, factors)
        else:
            rows[name] = disentanglement(np.asarray, factors, factors)
        show({"rows": {name: rows[name]}})
    return {"steps": -(-count // FIT["batch_size"]), "images": count, "rows": rows}


def train(model, images, test, folder, threads):
    """Train the model, or go on where its run in the folder stopped; the terms on the test part."""
    history = tinyae.fit(model, Split(images), out=folder, resume=folder.exists(), threads=threads, **FIT)
    if history.interrupted:
        raise SystemExit(f"stopped; the same command goes on with {folder}")
    return evaluate(model, Feed(test.x, None, model.backend, 1, 0), 0)


def flat(images):
    return images.reshape(len(images), -1)


def principal_components(images, count=NETWORK["latent_dim"], iterations=30):
    """The function that projects images on the `count` directions of most variance, by orthogonal iteration:

    Q <- orthonormal basis of X^T X Q,     then the eigenvectors of Q^T X^T X Q
    """
    x = to_float(flat(images))
    mean = x.mean(axis=0)
    x -= mean
    basis = Noise(0).normal("basis", (x.shape[1], 2 * count))
    for _ in range(iterations):
        basis = np.linalg.qr(x.T @ (x @ basis))[0]
    projected = x @ basis
    _, vectors = np.linalg.eigh(projected.T @ projected)  # the largest last
    directions = basis @ vectors[:, ::-1][:, :count]
    return lambda images: (to_float(flat(images)) - mean) @ directions


def show(result):
    if len(result["rows"]) > 1:
        print(f"\n{result['images']:,} images in {result['steps']:,} steps")
        names = "".join(f"{name:>10}" for name in (*dsprites.FACTORS, "-ELBO"))
        print(f"{'':24}{'Higgins, %':>11}{'published':>11}{'MIG':>8}   {names}")
    for name, row in result["rows"].items():
        numbers = f"{100 * row['higgins']:11.2f}{PUBLISHED.get(name, ''):>11}{row['mig']:8.3f}   "
        numbers += "".join(f"{gap:10.3f}" for gap in row["gaps"])
        numbers += f"{row['reconstruction'] + row['kl']:10.2f}" if "kl" in row else ""
        print(f"{name:24}{numbers}", flush=True)
