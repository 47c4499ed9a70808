"""A picture of the codes of several models and samples of their priors, with a panel for each model."""

import math

import numpy as np

from ..options import NAMES, Kind, Optional, Path, Sequence, Text, Tuple, options
from .axes import save
from .contact_sheet import INK, drawable, needs_viz
from .scatter import Plane

COLUMNS, SIDE = 3, 4.3  # panels in a row, and the side of a panel in inches


PANEL = Tuple("(words, codes, drawn)", Text(), Kind(), Kind())


@options(
    path=Path(), panels=Sequence(PANEL, "panels, each (words, codes, drawn)", fewest=1), class_names=Optional(NAMES),
    title=Text(),
)
def codes_beside(path, panels, labels=None, class_names=None, title=""):
    """Write a picture with a scatter plot of codes for each model, and one legend.

    panels: [(title of one or two lines, codes (N, D), samples of the prior (M, D) or None), ...]. labels: (N,)
    integers. Panels with the same samples have the same limits of their axes.
    """
    with needs_viz():
        from matplotlib.figure import Figure

    planes = [Plane(z, labels, drawn) for _, z, drawn in panels]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(1.2 * SIDE * columns, 1.3 * SIDE * rows), dpi=120)
    grid = figure.add_gridspec(rows, columns, wspace=0.2, hspace=0.3)
    for i, ((words, _, drawn), plane) in enumerate(zip(panels, planes, strict=True)):
        axes = figure.add_subplot(grid[divmod(i, columns)], box_aspect=1)
        plane.draw(axes, class_names, SIDE, legend=i == columns - 1)
        alike = [other.core() for other, (*_, its) in zip(planes, panels, strict=True) if same(its, drawn)]
        low, high = zip(*(alike or [plane.core()]), strict=True)
        hidden = plane.frame(axes, np.min(low, axis=0), np.max(high, axis=0))
        if hidden:
            axes.text(0.02, 0.02, f"{hidden} codes outside the frame", color=INK, fontsize=9, transform=axes.transAxes)
        words = "\n".join(map(drawable, words.split("\n")))
        axes.set_title(words, loc="left", color=INK, fontsize=11, linespacing=1.4, parse_math=False)
        if i == 0:
            above = dict(xycoords="axes fraction", xytext=(0, 52), textcoords="offset points")
            axes.annotate(title, (0, 1), **above, color=INK, fontsize=12)
    return save(path, figure)


def same(drawn, other):
    return drawn is not None and other is not None and np.array_equal(drawn, other)
