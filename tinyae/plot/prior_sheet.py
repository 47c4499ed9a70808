"""A picture of samples from an autoregressive prior over maps of codes, or over pixels."""

import math

import numpy as np

from ..options import NAMES, SEED, Having, Optional, Path, options
from .axes import class_name
from .code_sheet import code_maps
from .contact_sheet import grid, pixels

DRAWING = Having("an autoregressive model, such as tinyae.models.PixelCNN()", "codec", "sample")
SIDE, ROWS = 8, 16  # the largest numbers of images in a row, and of rows with classes
PLACES = 2**14  # the largest number of values to sample one by one, so that a picture takes little time


@options(path=Path(), model=DRAWING, class_names=Optional(NAMES), seed=SEED)
def priors(path, model, class_names=None, seed=0):
    """Write a picture of samples from an autoregressive model, with a row for each class if it takes labels.

    Sampled maps of codes are decoded by `model.codec`, and shown next to images of uniformly sampled codes. Without a
    codec the codes themselves are shown. At most ROWS classes are shown.
    """
    fit = PLACES // math.prod(model.input_shape)
    rows = min(ROWS, model.classes) if model.classes else min(SIDE, max(3, math.isqrt(fit)))
    columns = min(SIDE, max(2, fit // rows)) if model.classes else rows
    labels = np.arange(rows).repeat(columns) if model.classes else None
    drawn, title = model.sample(rows * columns, seed, labels), "Images sampled pixel by pixel"
    words = {"row_labels": [class_name(k, class_names) for k in range(rows)]} if model.classes else {}
    if model.codec is not None:
        beside = columns // 2
        uniform = model.codec.uniform_codes(rows * beside, seed)
        blocks = [_block(images, rows) for images in (model.images(drawn), model.codec.decode(uniform))]
        gap = np.full_like(blocks[0][:, :1], 255)
        drawn = np.concatenate((blocks[0], gap, blocks[1]), axis=1).reshape(-1, *blocks[0].shape[2:])
        words["column_labels"] = ["prior", *[""] * columns, "uniform", *[""] * (beside - 1)]
        columns, title = columns + 1 + beside, "Samples of the prior, and images of uniformly sampled codes"
    elif len(model.input_shape) == 2:
        (drawn,) = code_maps(drawn, model.levels, model.input_shape).values()
        title = f"Maps of {model.levels} codes sampled from the prior"
    return grid(path, drawn, columns, title=title, **words)


def _block(images, rows):
    images = pixels(images)
    return images.reshape(rows, -1, *images.shape[1:])
