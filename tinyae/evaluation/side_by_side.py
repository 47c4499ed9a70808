"""Trained models side by side on the same images: what comes back, what lies between two codes, what is drawn.

A plain autoencoder leaves holes between the codes of its training images, and a code drawn at random falls into them; a
variational one fills the prior. Both blur what the code does not hold, more so under squared error.
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
DRAWN = 100  # images decoded from random codes


@options(runs=RUNS, seed=SEED, judge=Optional(Having("a tinyae.evaluation.judge.Judge", "count", "figures")))
def side_by_side(runs, x, seed=0, labels=None, judge=None):
    """Figures and rows of images for [(label, model), ...] on images x (N, H, W, C), and their labels (N,) or None.

    Returns (figures, rows): figures a list of dicts, one a model:
      "rms"        root mean squared error of a pixel, over all of x; None where nothing is reconstructed
      "sharpness"  mean gradient of the reconstructions over that of x (`sharpness`); below 1 they are blurred; or None
      "random_rms" how far images from random codes are from the nearest image of x, per pixel (`nearest_rms`)
    and with a `Judge` its figures of drawn images; and rows a list of (label, images (10, H, W, C)) for a picture,
    without those between two codes where there is a judge. Raises the errors of `check`.
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
        if coder is model and not model.code.discrete and judge is None:  # between two maps of codes there is nothing
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
    """Raises ShapeError where x are no images, and the errors of `check_runs`."""
    x = as_array(x)
    if x.ndim != 4 or x.shape[3] not in (1, 3) or len(x) < COLUMNS:
        raise ShapeError(f"a comparison needs at least {COLUMNS} grey or colour images, got shape {x.shape}")
    check_runs(runs, x)


def check_runs(runs, x):
    """Raises ShapeError where a model takes other examples than x, ConfigError where labels are equal."""
    for label, model in runs:
        shape = tuple((autoencoder(model) or model).input_shape)
        if shape != x.shape[1:]:
            raise ShapeError(f"{label} takes {shape}, the examples are {x.shape[1:]}")
    if len(dict(runs)) < len(runs):
        raise ConfigError("a comparison needs runs of different names: leave out the second of a run given twice")


def autoencoder(model):
    """What reconstructs images: the model; for a prior over codes the vq-vae that they are of; or None, as in a GAN."""
    model = model.codec if model.prior.autoregressive else model
    return model if model is not None and model.code.encoded else None


def random_images(model, x, count, seed):
    """(count, H, W, C): decoded random codes, drawn under every label in turn where the model knows labels."""
    if model.prior.autoregressive:
        return model.images(model.sample(count, seed))
    if model.code.discrete:
        return model.decode(model.uniform_codes(count, seed))
    if model.prior.exists and (model.labels or not model.prior.standard):
        return model.sample(count, seed)
    return model.decode(random_codes(model, x, count, seed))


def random_codes(model, x, count, seed):
    """(count, D), for models without a prior or with N(0, I): from that, or as the best guess without a prior from a
    Gaussian with each dimension's mean and variance over the codes of x."""
    noise = Noise(seed).normal("random codes", (count, model.latent_dim))
    if model.prior.standard:
        return noise
    codes = model.encode(x)
    return (codes.mean(axis=0) + codes.std(axis=0) * noise).astype(codes.dtype)


def nearest_rms(drawn, x):
    """Mean over drawn images of the root mean squared difference to the nearest image of x."""
    return float(nearest_images(drawn, x)[1].mean())


def table(figures, data=None):
    """The figures of `compare` as lines of text, below those of the `Judge.data` if given; "-" for what is not."""
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
    """The rows of `compare` as a picture."""
    from .. import plot

    labels, images = zip(*rows, strict=True)
    return plot.grid(path, np.concatenate(images), columns=COLUMNS, row_labels=labels, title="Side by side")
