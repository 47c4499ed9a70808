"""Compare trained models on the same images: reconstructions, interpolations and samples, side by side.

A plain autoencoder leaves holes between the codes of its training images, so random codes decode to poor images; a
variational one fills its prior. Both blur details that the code does not represent, and more so with squared error.
"""

import numpy as np

from ..backend import Noise
from ..data import to_float
from ..data.examples import as_array
from ..data.labels import as_labels
from ..errors import ConfigError, ShapeError
from ..explore import linear
from ..options import SEED, Having, Optional, Sequence, Text, Tuple, options
from .diversity import nearest_images
from .judge import sharpness

COLUMNS = 10  # images in a row of the picture
RUN = Tuple("(label, model)", Text(), Having("a model", "input_shape", "label_arguments"))
RUNS = Sequence(RUN, "one or more pairs (label, model)", fewest=1)
DRAWN = 100  # images that are decoded from random codes


@options(runs=RUNS, seed=SEED, judge=Optional(Having("a tinyae.evaluation.judge.Judge", "count", "figures")))
def side_by_side(runs, x, seed=0, labels=None, judge=None):
    """Compare models on images: figures for a table, and rows of images for a picture.

    Parameters
    ----------
    runs : list of (label, model)
        Trained models, with a name for each.
    x : (N, H, W, C) array
        Images.
    seed : int, default 0
        Seed of random codes and samples.
    labels : (N,) array, optional
        Labels of x, for models that take labels.
    judge : Judge, optional
        Adds its figures for sampled images. The picture then has no interpolations.

    Returns
    -------
    figures : list of dict
        For each model its name "run"; "rms", the root mean square error of a pixel over all of x; "sharpness", the
        ratio of the reconstructions' `sharpness` to the images', below 1 for blurred ones (both are None without
        reconstructions); and "random_rms", the distance from images of random codes to the nearest image of x.
    rows : list of (label, images)
        Images (10, H, W, C) for each row of the picture.

    Raises
    ------
    ShapeError, ConfigError
        See `check_comparable`.
    """
    check_comparable(runs, x)
    x, labels = as_array(x), as_labels(labels)
    x = to_float(x)
    shown = x[:COLUMNS]
    rows, figures = [("input", shown)], []
    for label, model in runs:
        found, coder = {"run": label, "rms": None, "sharpness": None}, autoencoder(model)
        drawn = np.clip(random_images(model, x, max(DRAWN, judge.count if judge else 0), seed), 0, 1)
        if coder is not None:
            back = np.clip(coder.reconstruct(x, **coder.label_arguments(labels)), 0, 1)
            found |= {"rms": float(np.sqrt(np.mean((back - x) ** 2))), "sharpness": sharpness(back) / sharpness(x)}
            rows.append((f"{label}: reconstruction", back[:COLUMNS]))
        if coder is model and not model.code.discrete and judge is None:  # maps of integers cannot be interpolated
            ends = model.encode(shown[:2], **model.label_arguments(None if labels is None else labels[:2]))
            under = model.label_arguments(None if labels is None else labels[:1].repeat(COLUMNS))
            rows.append((f"{label}: from first to second", model.decode(linear(*ends, COLUMNS), **under)))
        what = "samples" if coder is not model or model.prior.exists else "random codes"
        rows.append((f"{label}: {what}", drawn[:COLUMNS]))
        found["random_rms"] = nearest_rms(drawn[:DRAWN], x)
        figures.append(found | (judge.figures(drawn[: judge.count]) if judge else {}))
    return figures, rows


@options(runs=RUNS)
def check_comparable(runs, x):
    """Raise ShapeError if x are no images, and the errors of `check_runs`."""
    x = as_array(x)
    if x.ndim != 4 or x.shape[3] not in (1, 3) or len(x) < COLUMNS:
        raise ShapeError(f"a comparison needs at least {COLUMNS} grey or colour images, got shape {x.shape}")
    check_runs(runs, x)


def check_runs(runs, x):
    """Raise ShapeError if a model takes examples of another shape than x, and ConfigError if labels are equal."""
    for label, model in runs:
        shape = tuple((autoencoder(model) or model).input_shape)
        if shape != x.shape[1:]:
            raise ShapeError(f"{label} takes examples of shape {shape}, got {x.shape[1:]}")
    if len(dict(runs)) < len(runs):
        raise ConfigError("a comparison needs runs with different names: give each run only once")


def autoencoder(model):
    """The model that reconstructs images: `model` itself, or the vq-vae of a prior over codes; None for a GAN."""
    model = model.codec if model.prior.autoregressive else model
    return model if model is not None and model.code.encoded else None


def random_images(model, x, count, seed):
    """Images (count, H, W, C) decoded from random codes, with all labels in turn for a model that takes labels."""
    if model.prior.autoregressive:
        return model.images(model.sample(count, seed))
    if model.code.discrete:
        return model.decode(model.uniform_codes(count, seed))
    if model.prior.exists and (model.labels or not model.prior.standard):
        return model.sample(count, seed)
    return model.decode(random_codes(model, x, count, seed))


def random_codes(model, x, count, seed):
    """Random codes (count, D) from the prior N(0, I), or without a prior from a Gaussian fitted to the codes of x.

    That Gaussian has the mean and variance of each dimension.
    """
    noise = Noise(seed).normal("random codes", (count, model.latent_dim))
    if model.prior.standard:
        return noise
    codes = model.encode(x)
    return (codes.mean(axis=0) + codes.std(axis=0) * noise).astype(codes.dtype)


def nearest_rms(drawn, x):
    """The mean distance of sampled images to the nearest image of x, as a root mean square difference of pixels."""
    return float(nearest_images(drawn, x)[1].mean())


def table(figures, data=None):
    """Format figures as lines of a table, with "-" for None. data: `Judge.data` for a first row, or None."""
    rows = ([{"run": "training images"} | data] if data else []) + figures
    names = list(figures[0])[1:]
    beside, widths = max(len(row["run"]) for row in rows) + 2, [max(len(name), 8) + 2 for name in names]
    words = [[name.replace("_", " ") for name in names]]
    words += [[_text(row.get(name)) for name in names] for row in rows]
    return [
        f"{label:<{beside}}" + "".join(f"{word:>{width}}" for word, width in zip(line, widths, strict=True))
        for label, line in zip(["", *(row["run"] for row in rows)], words, strict=True)
    ]


def _text(value):
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def draw(path, rows):
    """Write the rows of images as a picture."""
    from .. import plot

    labels, images = zip(*rows, strict=True)
    return plot.grid(path, np.concatenate(images), columns=COLUMNS, row_labels=labels, title="Models side by side")
