"""A picture of a latent plane: the class that a probe predicts in each region, and the decoded images."""

import numpy as np

from ..data.examples import as_points
from ..data.labels import as_labels
from ..data.labels import check_classes as check_labelled
from ..errors import ShapeError
from ..options import NAMES, Function, Optional, Path, Text, options
from .axes import check_classes, class_legend, palette, save
from .contact_sheet import INK, needs_viz, pixels
from .scatter import core

PANEL, FRAME, TILES = 720, 3, 11  # side of a panel and frame of a tile in pixels; smallest number of tiles in a row
POINTS = 2000  # the largest number of codes that are plotted
DPI = 120


@options(
    path=Path(), probabilities=Function(), decode=Function(), class_names=Optional(NAMES), names=NAMES,
    title=Optional(Text()),
)
def regions(path, points, labels, probabilities, decode, class_names=None, names=("z1", "z2"), title=None):
    """Write a picture with codes over the predicted classes (left), and decoded images framed by their class (right).

    points: codes (N, 2), with labels (N,). probabilities: a function from points (M, 2) to the probe's probabilities
    (M, K). decode: a function from points (M, 2) to images (M, H, W, C). names: names of the two axes. A region is
    paler if the probe is less certain. Raises `ConfigError` if there are more classes than distinct colours.
    """
    with needs_viz():
        from matplotlib.figure import Figure

    points = as_points(points, "the points")
    labels = as_labels(labels, len(points), "regions")
    if points.shape[1] != 2 or len(names) != 2 or not len(points) or labels is None:
        raise ShapeError(f"regions: expected codes (N, 2), labels (N,) and two names, got codes {points.shape}")
    classes = probabilities(points[:1]).shape[1]
    check_labelled(labels, classes, "regions")
    check_classes(classes)
    colours = palette(classes)[:, :3]
    low, high = core(points)
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)

    h, w = pixels(decode(points[:1])).shape[1:3]
    scale = max(1, (PANEL // TILES - 2 * FRAME) // max(h, w))
    tile = np.array([h, w]) * scale + 2 * FRAME
    rows, columns = np.maximum(1, PANEL // tile)
    height, width = tile * (rows, columns)

    def lattice(rows, columns):
        """The centres of rows x columns cells of the plane, beginning in the top left corner."""
        x, y = ((np.arange(count) + 0.5) / count for count in (columns, rows))
        x, y = np.meshgrid(low[0] + x * (high[0] - low[0]), high[1] - y * (high[1] - low[1]))
        return np.stack((x.ravel(), y.ravel()), axis=1)

    p = probabilities(lattice(height // 2, width // 2))
    sure = (p.max(axis=1, keepdims=True) * classes - 1) / (classes - 1)  # it is 0 if all classes are equally probable
    sure = np.rint(8 * sure.clip(0, 1)) / 8  # a few steps give contour lines and a small file
    ground = (colours[p.argmax(axis=1)] - 1) * sure
    ground = ground.reshape(height // 2, width // 2, 3).repeat(2, axis=0).repeat(2, axis=1)
    ground = np.pad(ground, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    decoded = 1 + 0.9 * ground
    images = pixels(decode(lattice(rows, columns))).repeat(scale, axis=1).repeat(scale, axis=2) / 255
    tiles = decoded.reshape(rows, tile[0], columns, tile[1], 3)  # a view
    tiles[:, FRAME:-FRAME, :, FRAME:-FRAME] = images.reshape(rows, columns, h * scale, w * scale, -1).swapaxes(1, 2)

    figure = Figure(figsize=((2 * width + 60) / DPI, height / DPI), dpi=DPI)
    across = width / (2 * width + 60)
    for i, canvas in enumerate((1 + 0.45 * ground, decoded)):
        axes = figure.add_axes((i * (1 - across), 0, across, 1))
        axes.imshow(canvas, extent=(low[0], high[0], low[1], high[1]), aspect="auto", interpolation="nearest")
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel=names[0])
        if i == 0:
            order = np.random.default_rng(0).permutation(len(points))[:POINTS]  # so that no class covers others
            axes.scatter(*points[order].T, 9, colours[labels[order]], linewidths=0.3, edgecolors="white")
            axes.set_ylabel(names[1])
            axes.set_title(title, loc="left", color=INK)
        else:
            axes.set_yticks([])
            class_legend(axes, np.arange(classes), colours, class_names)
    return save(path, figure)
