"""Pictures of a model with labels: a style in each row, a class in each column."""

import numpy as np

from ..data import to_float
from ..data.examples import as_array
from ..options import NAMES, SEED, Having, Optional, Path, options
from .axes import MOST_CLASSES, class_name
from .contact_sheet import grid

STYLED = Having("a model that is told labels, such as tinyae.models.CVAE()", "styled", "across")
ROWS = 8


@options(path=Path(), model=STYLED, class_names=Optional(NAMES), seed=SEED)
def styles(path, model, class_names=None, seed=0):
    """Write a picture of styles decoded with every label: the mean style, and then styles sampled from N(0, I).

    model: a model with labels and styles. Only the first MOST_CLASSES labels are shown.
    """
    drawn = model.backend.to_host(model.backend.noise(seed).normal("styles", (ROWS, model.style_dim), model.dtype))
    drawn[0] = 0
    title = "Sampled styles (rows), decoded with every label (columns)"
    return _sheet(path, model, drawn, class_names, title, ["mean"] + [""] * (ROWS - 1))


@options(path=Path(), model=STYLED, class_names=Optional(NAMES))
def transfers(path, model, x, labels, class_names=None):
    """Write a picture of images x (N, H, W, C) with labels (N,), and the style of each decoded with every label."""
    title = "Images, and the style of each image decoded with every label"
    return _sheet(path, model, model.style(x, labels), class_names, title, None, to_float(np.asarray(as_array(x))))


def _sheet(path, model, z, class_names, title, row_labels, before=None):
    images = model.across(z)[:, :MOST_CLASSES]
    names = [class_name(label, class_names) for label in range(images.shape[1])]
    if before is not None:
        images, names = np.concatenate((before[:, None], images), axis=1), ["image", *names]
    shown = images.reshape(-1, *images.shape[2:])
    return grid(path, shown, len(names), title=title, column_labels=names, row_labels=row_labels)
