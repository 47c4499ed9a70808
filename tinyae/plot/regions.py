"""A plane of codes as a map: what class a probe gives each region, and what is decoded there."""

import numpy as np

from ..data.examples import as_points
from ..data.labels import as_labels
from ..data.labels import check_classes as check_labelled
from ..errors import ShapeError
from ..options import NAMES, Function, Optional, Path, Text, options
from .axes import check_classes, class_legend, palette, save
from .contact_sheet import INK, needs_viz, pixels
from .scatter import core

PANEL, FRAME, TILES = 720, 3, 11  # pixels of a panel's side and of the colour around a tile; tiles a side, at least
POINTS = 2000  # drawn at most
DPI = 120


@options(
    path=Path(), probabilities=Function(), decode=Function(), class_names=Optional(NAMES), names=NAMES,
    title=Optional(Text()),
)
def regions(path, points, labels, probabilities, decode, class_names=None, names=("z1", "z2"), title=None):
    """Left the codes over the regions of their classes, right what the plane decodes to, framed by the region's class.

    points: codes (N, 2), with labels (N,). probabilities: (M, 2) -> (M, K), of the probe. decode: (M, 2) -> images
    (M, H, W, C). A region is paler where the probe is less sure. names: of the axes. Raises `ConfigError` for more
    classes than colours tell apart.
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
        """Points at the middles of rows x columns cells of the plane, from the top left corner on."""
        x, y = ((np.arange(count) + 0.5) / count for count in (columns, rows))
        x, y = np.meshgrid(low[0] + x * (high[0] - low[0]), high[1] - y * (high[1] - low[1]))
        return np.stack((x.ravel(), y.ravel()), axis=1)

    p = probabilities(lattice(height // 2, width // 2))
    sure = (p.max(axis=1, keepdims=True) * classes - 1) / (classes - 1)  # 0: all classes alike
    sure = np.rint(8 * sure.clip(0, 1)) / 8  # contour lines, as on a map, and a small file
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
            order = np.random.default_rng(0).permutation(len(points))[:POINTS]  # so that no class covers the rest
            axes.scatter(*points[order].T, 9, colours[labels[order]], linewidths=0.3, edgecolors="white")
            axes.set_ylabel(names[1])
            axes.set_title(title, loc="left", color=INK)
        else:
            axes.set_yticks([])
            class_legend(axes, np.arange(classes), colours, class_names)
    return save(path, figure)
