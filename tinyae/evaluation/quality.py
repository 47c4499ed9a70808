"""Errors of reconstructions: per pixel, at edges, and of structure (SSIM)."""

import math

import numpy as np

from ..data import to_float
from ..data.examples import as_array, check_some, shaped
from ..data.labels import as_labels
from ..losses.image import WINDOW, edges, ssim
from ..options import Having, options

RECONSTRUCTING = Having("a model, such as tinyae.models.VAE()", "reconstruct", "label_arguments")


@options(model=RECONSTRUCTING)
def errors(model, x, labels=None):
    """The squared error of each image's reconstruction, summed over the image: (N,) float64."""
    squares = (((y - target) ** 2).reshape(len(y), -1) for target, y in pairs(model, x, labels))
    return np.concatenate([part.sum(axis=1) for part in squares])


@options(model=RECONSTRUCTING)
def reconstruction_quality(model, x, labels=None):
    """Measure how close reconstructions are to their images.

    Parameters
    ----------
    model : Model
        A model that reconstructs.
    x : (N, ...) array
        Images or rows, uint8 or floats.
    labels : (N,) array, optional
        Labels, for a model that takes labels.

    Returns
    -------
    figures : dict
        "rms", the root mean square error of a value. For images "edge_rms", the same with each pixel weighted by the
        strength of the edge at that pixel (`losses.image.edges`), which is more sensitive to blur. For images with at
        least 11 rows and columns "ssim", the mean structural similarity, 1 for equal images.
    """
    x = as_array(x)
    squared = weighted = weight = similarity = 0.0
    images = len(model.input_shape) == 3
    windows = images and min(model.input_shape[:2]) >= WINDOW
    for target, y in pairs(model, x, labels):
        error = (y - target) ** 2
        squared += float(error.sum())
        if images:
            strength = edges(target)
            weighted += float((strength * error).sum())
            weight += float(strength.sum())
        if windows:
            similarity += float(ssim(y, target).sum())
    found = {"rms": math.sqrt(squared / (len(x) * math.prod(model.input_shape)))}
    if images:
        found["edge_rms"] = math.sqrt(weighted / weight) if weight else 0.0
    return found | ({"ssim": similarity / len(x)} if windows else {})


@options(model=RECONSTRUCTING)
def pairs(model, x, labels=None):
    """Yield (images, their reconstructions), float64 arrays (n, *input_shape) of at most `model.chunk` examples.

    Columns that the model standardises are in units of their standard deviations, so that all have equal weight.
    """
    columns = model.standardization
    scale = 1.0 if columns is None else model.backend.to_host(columns.scale).astype("float64")
    x, labels = as_array(x), as_labels(labels)
    check_some(x, "quality")
    for first in range(0, len(x), model.chunk):
        rows = slice(first, first + model.chunk)
        target = to_float(shaped(np.asarray(x[rows]), model.input_shape, "quality"), "float64")
        given = model.label_arguments(None if labels is None else labels[rows])
        yield target / scale, model.reconstruct(x[rows], **given) / scale
