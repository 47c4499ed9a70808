"""Pictures of images in rows and columns: reconstructions, restorations, samples, and a decoded latent plane."""

import math

import numpy as np

from ..data import to_float
from ..data.examples import as_array
from ..errors import ShapeError
from ..explore import CHOSEN, CODED, check_plane, decode, plane
from ..options import NAMES, SHARE, Count, Kind, Optional, Path, Text, options
from .contact_sheet import grid, pixels


class Rows(Kind):
    wanted = "images by name, {name: (N, H, W, C)}, of at least one name"

    def convert(self, value):
        if not isinstance(value, dict) or not value:
            raise TypeError
        return {str(name): pixels(images) for name, images in value.items()}


@options(path=Path(), labels=Optional(NAMES), error_name=Text(), maps=Optional(Rows()), title=Optional(Text()))
def reconstructions(
    path, inputs, outputs, labels=None, errors=None, error_name="error", maps=None,
    title="Inputs and their reconstructions",
):  # fmt: skip
    """Write a picture of inputs above their reconstructions, with at most ten pairs in a row.

    inputs, outputs: (N, H, W, C). labels: N class names. errors: N numbers, shown with `error_name` below each
    reconstruction. maps: {name: (N, H, W, 3)} of further rows (`code_maps`).
    """
    if errors is not None:
        errors = np.asarray(as_array(errors, "errors"))
        if errors.shape != np.shape(inputs)[:1]:
            raise ShapeError(f"reconstructions: expected an error for each of the inputs, got {errors.shape}")
    notes = None if errors is None else {"reconstruction": [_error(error_name, error) for error in errors]}
    rows = {"input": inputs, "reconstruction": outputs}
    _same_shape("reconstructions", rows)
    return _above_each_other(path, rows | (maps or {}), title, labels, notes)


@options(path=Path(), rows=Rows(), labels=Optional(NAMES), title=Optional(Text()))
def restorations(path, rows, labels=None, title="Corrupted images, their restorations, and the originals"):
    """Write a picture of corrupted images, their restorations and the originals, with RMS errors.

    rows: {name: (N, H, W, C)} from top to bottom. The last ones are the originals, and the others are compared with
    them. labels: N class names.
    """
    _same_shape("restorations", rows)
    *others, original = ((name, to_float(np.asarray(images))) for name, images in rows.items())
    notes = {name: [_error("RMS", rms) for rms in rms(images, original[1])] for name, images in others}
    return _above_each_other(path, rows, title, labels, notes)


def _error(name, value):
    return f"{name} {value:.{3 if abs(value) < 10 else 1}f}"


def rms(a, b):
    """The root mean square difference of each pair of images (N, H, W, C): (N,)."""
    return np.sqrt(np.mean((a - b) ** 2, axis=(1, 2, 3)))


def _same_shape(what, rows):
    shapes = {name: np.shape(images) for name, images in rows.items()}
    if len(set(shapes.values())) > 1:
        raise ShapeError(f"{what}: {' and '.join(f'{name}s {s}' for name, s in shapes.items())} differ in shape")


def _above_each_other(path, rows, title, labels=None, notes=None):
    """Write a picture with rows of N images, {name: (N, H, W, C)}, in blocks of at most ten columns.

    labels: N class names, shown below the last row. notes: {name: N strings}, shown below the row of that name.
    """
    rows = {name: pixels(images) for name, images in rows.items()}
    colours = max(images.shape[3] for images in rows.values())  # grey images become coloured if another row is coloured
    rows = {name: np.broadcast_to(images, (*images.shape[:3], colours)) for name, images in rows.items()}
    first = next(iter(rows.values()))
    n, _, w, _ = first.shape
    blocks = math.ceil(n / min(10, max(4, 1200 // w)))
    columns = math.ceil(n / blocks)
    lines = {name: [[] for _ in range(n)] for name in rows}  # lines of text below each image
    if labels is not None and len(labels) != n:
        raise ShapeError(f"{len(labels)} labels for {n} image{'s' * (n != 1)}")
    for name, texts in [(list(rows)[-1], labels)] * (labels is not None) + list((notes or {}).items()):
        lines[name] = [line + [str(text)] for line, text in zip(lines[name], texts, strict=True)]

    shown, captions = [], []
    for start in range(0, n, columns):
        part = slice(start, start + columns)
        missing = columns - len(first[part])  # white images fill the last block
        for name, images in rows.items():
            shown += [images[part], np.full((missing, *first.shape[1:]), 255, np.uint8)]
            captions += ["\n".join(line) for line in lines[name][part]] + [""] * missing
    return grid(
        path, np.concatenate(shown), columns, title=title, row_labels=list(rows) * blocks,
        captions=captions if any(captions) else None,
    )  # fmt: skip


@options(path=Path(), title=Optional(Text()))
def samples(path, images, title=None):
    """Write a picture of sampled images (N, H, W, C), in a nearly square grid."""
    images = pixels(images)
    return grid(path, images, title=title or f"{len(images)} sample{'s' * (len(images) != 1)} from the prior")


@options(path=Path(), model=CODED, side=Count(), low=SHARE, high=SHARE, chosen=CHOSEN, title=Optional(Text()))
def manifold(
    path, model, side=15, low=0.05, high=0.95, chosen=(0, 1), codes=None, label=None,
    title="Decoded points of a latent plane", centre=None,
):  # fmt: skip
    """Write a picture of the decoded points of a plane of the latent space (Kingma & Welling 2014, figure 4).

    The side x side points are at quantiles from `low` to `high` of the prior; see `explore.plane`. chosen: two
    dimensions; the first increases from left to right, the second from bottom to top. codes: (N, D), whose quantiles
    and means are used instead of N(0, I). centre: (D,), the other dimensions. label: the class to decode as, for a
    model with labels. Raises `ConfigError` if the model has no such dimensions.
    """
    check_plane(model, chosen)
    points, values = plane(side, model.latent_dim, chosen, codes, low, high, centre)
    across, up = ([f"{round(v, 2) + 0.0:.2f}".replace("-", "−") for v in row] for row in values)  # + 0.0: no −0.00
    scale = f"at quantiles {low:g} to {high:g} of the {'prior' if codes is None else 'codes'}"
    x_label, y_label = (f"z{i + 1}, {scale}" for i in chosen)
    return grid(
        path, decode(model, points, label).reshape(-1, *model.input_shape), side, title=title,
        row_labels=up[::-1], captions=[""] * (side * side - side) + across, x_label=x_label, y_label=y_label, gap=2,
    )  # fmt: skip
