"""Trained models side by side on the same images: what comes back, what lies between two codes, what random codes give.

A plain autoencoder leaves holes between the codes of its training images, and a code drawn at random falls into them; a
variational one fills the prior. Both blur what the code does not hold, more so under squared error.
"""

import numpy as np

from .backend import Noise
from .data import to_float
from .errors import ConfigError, ShapeError
from .explore import linear

COLUMNS = 10  # images in a row of the picture
DRAWN = 100  # images decoded from random codes


def compare(runs, x, seed=0, labels=None):
    """Figures and rows of images for [(label, model), ...] on images x (N, H, W, C), and their labels (N,) or None.

    Returns (figures, rows): figures a list of dicts, one a model:
      "rms"        root mean squared error of a pixel, over all of x
      "sharpness"  mean gradient of the reconstructions over that of x (`sharpness`); below 1 they are blurred
      "random_rms" how far images from random codes are from the nearest image of x, per pixel (`nearest_rms`)
    and rows a list of (label, images (10, H, W, C)) for a picture. Raises ShapeError if a model is of another shape.
    """
    if x.ndim != 4 or x.shape[3] not in (1, 3) or len(x) < COLUMNS:
        raise ShapeError(f"a comparison needs at least {COLUMNS} grey or colour images, got shape {x.shape}")
    for label, model in runs:
        if tuple(model.input_shape) != x.shape[1:]:
            raise ShapeError(f"{label} takes {tuple(model.input_shape)}, the images are {x.shape[1:]}")
    x = to_float(x)
    shown = x[:COLUMNS]
    rows, figures = [("input", shown)], []
    for label, model in runs:
        back = np.clip(model.reconstruct(x, **model.given(labels)), 0, 1)
        drawn = np.clip(random_images(model, x, DRAWN, seed), 0, 1)
        figures.append({
            "run": label,
            "rms": float(np.sqrt(np.mean((back - x) ** 2))),
            "sharpness": sharpness(back) / sharpness(x),
            "random_rms": nearest_rms(drawn, x),
        })  # fmt: skip
        rows.append((f"{label}: reconstruction", back[:COLUMNS]))
        if not model.discrete_codes:  # between two codes of those there is nothing
            ends = model.encode(shown[:2], **model.given(None if labels is None else labels[:2]))
            under = model.given(None if labels is None else labels[:1].repeat(COLUMNS))
            rows.append((f"{label}: from first to second", model.decode(linear(*ends, COLUMNS), **under)))
        rows.append((f"{label}: random codes", drawn[:COLUMNS]))
    return figures, rows


def random_images(model, x, count, seed):
    """(count, H, W, C): decoded random codes, drawn under every label in turn where the model knows labels."""
    if model.discrete_codes:
        return model.decode(model.uniform_codes(count, seed))
    if model.generative and (model.uses_labels or not model.standard_prior):
        return model.sample(count, seed)
    return model.decode(random_codes(model, x, count, seed))


def random_codes(model, x, count, seed):
    """(count, D): from N(0, I) where that is the prior, else from a Gaussian with each dimension's mean and variance
    over the codes of x, the best guess without a prior."""
    noise = Noise(seed).normal("random codes", (count, model.latent_dim))
    if model.standard_prior:
        return noise
    codes = model.encode(x)
    return (codes.mean(axis=0) + codes.std(axis=0) * noise).astype(codes.dtype)


def sharpness(x):
    """Mean absolute difference of neighbouring pixels of x (N, H, W, C), down and across."""
    return float(np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean())


def nearest_rms(drawn, x):
    """Mean over drawn images of the root mean squared difference to the nearest image of x."""
    a, b = drawn.reshape(len(drawn), -1), x.reshape(len(x), -1)
    squared = (a * a).sum(axis=1)[:, None] - 2 * (a @ b.T) + (b * b).sum(axis=1)
    return float(np.sqrt(np.maximum(squared.min(axis=1), 0) / a.shape[1]).mean())


def draw(path, rows):
    """The rows of `compare` as a picture."""
    from . import plot

    labels, images = zip(*rows, strict=True)
    if len({label for label in labels}) != len(labels):
        raise ConfigError("a comparison needs runs of different names")
    return plot.grid(path, np.concatenate(images), columns=COLUMNS, row_labels=labels, title="Side by side")
