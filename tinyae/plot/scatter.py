"""Scatter plots of codes."""

import numpy as np

from ..data.examples import as_array, as_points
from ..data.labels import as_labels
from ..errors import ShapeError
from ..options import NAMES, Optional, Path, options
from .axes import MOST_CLASSES, SERIES, class_legend, palette, save, tidy
from .contact_sheet import INK, needs_viz

GROUND = "#b0b0b0"
SIDE = 7.5  # inches, the side of a picture of one model


@options(path=Path(), class_names=Optional(NAMES))
def scatter_codes(path, z, labels=None, class_names=None, prior=True, means=None):
    """Write a scatter plot of codes z (N, D), coloured by class.

    More than two dimensions are projected onto the first two principal directions of the codes. One dimension is spread
    at random along the other axis.

    labels: (N,) integers. class_names: by label. prior: codes (M, D) sampled from the prior, shown in grey behind the
    codes, so that holes are visible; or True for circles at one and two standard deviations of N(0, I), which a
    projection does not change. means: (classes, D), marked by crosses if D is 2. Codes that are not finite are left
    out. The axes may leave out a few outliers, whose number is in the title. Raises `ShapeError` if no code is left.
    """
    with needs_viz():
        from matplotlib import patheffects
        from matplotlib.figure import Figure
        from matplotlib.patches import Circle

    shown = Plane(z, labels, None if isinstance(prior, bool) else prior)
    means = None if means is None else _of_dimension(shown.dim, means, "means of classes")
    n, m, dim = len(shown.points), len(shown.ground), shown.dim
    figure = Figure(figsize=(SIDE, SIDE), dpi=120)
    axes = figure.add_subplot(box_aspect=1)
    shown.draw(axes, class_names)
    if prior is True and dim > 1:
        for radius in (1, 2):
            axes.add_patch(Circle((0, 0), radius, fill=False, color=INK, linestyle=(0, (4, 3)), linewidth=1))
            axes.text(
                0, radius, f"{radius}σ", color=INK, ha="center", va="center", clip_on=True,
                path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip

    if means is not None and dim == 2:
        fill = palette(len(means)) if len(means) <= MOST_CLASSES else "white"
        axes.scatter(*means.T, 120, fill, marker="X", edgecolors=INK, linewidths=1.2, zorder=3)

    low, high = shown.core()
    if prior is True:
        low, high = np.minimum(low, -2.1), np.maximum(high, 2.1)
    hidden = shown.frame(axes, low, high)
    note = f", {hidden:,} of them outside the frame" if hidden else ""
    over = f" over {m:,} samples of the prior" if m else ""
    axes.set_title(f"Codes of {n:,} example{'s' * (n != 1)}{over}{note}", loc="left", color=INK)
    return save(path, figure)


class Plane:
    """Codes z (N, D) as points of a plane, with `drawn`, samples of their prior (M, D), or None; labels (N,) or None.

    `points` (n, 2) are the finite codes in a random order, so that no class covers the others; `labels` are their
    labels, and `ground` (M, 2) are the points of `drawn`. Raises `ShapeError` if no code is finite.
    """

    def __init__(self, z, labels=None, drawn=None):
        z = np.asarray(as_array(z, "codes"), np.float64)
        finite = np.isfinite(z).all(axis=1) if z.ndim == 2 else np.zeros(0, bool)
        if not finite.any():
            raise ShapeError(f"codes: expected finite numbers of shape (N, D), got {z.shape}")
        labels = as_labels(labels, len(z), "codes")
        order = np.random.default_rng(0).permutation(np.flatnonzero(finite))
        drawn = np.zeros((0, z.shape[1])) if drawn is None else _of_dimension(z.shape[1], drawn, "codes of the prior")
        self.dim, self.labels = z.shape[1], None if labels is None else labels[order]
        self.points, self.ground, self.names = _plane(z[order], drawn)

    def draw(self, axes, class_names=None, side=SIDE, legend=True):
        """Plot the points over the prior's samples, on axes of `side` inches, with a legend or a scale of classes."""
        share, n = (side / SIDE) ** 2, len(self.points)  # area of a point, relative to a picture of one model
        size, alpha = share * min(36, max(5, 15000 / n)), 0.85 if n < 3000 else 0.7
        axes.scatter(*self.ground.T, 12 * share, GROUND, alpha=0.5, linewidths=0, zorder=0.9)
        if self.labels is None:
            axes.scatter(*self.points.T, size, SERIES["train"], alpha=alpha, linewidths=0)
            return
        classes = np.union1d(np.arange(len(class_names or ())), self.labels)
        if len(classes) > MOST_CLASSES:
            shown = axes.scatter(*self.points.T, size, self.labels, alpha=alpha, linewidths=0, cmap="viridis")
            if legend:
                scale = axes.figure.colorbar(shown, cax=axes.inset_axes((1.04, 0, 0.04, 1)), label="class")
                scale.solids.set_alpha(1)
            return
        colours = palette(len(classes))
        of_each = colours[np.searchsorted(classes, self.labels)]
        axes.scatter(*self.points.T, size, of_each, alpha=alpha, linewidths=0)
        if legend:
            there = np.isin(classes, self.labels)
            class_legend(axes, classes[there], colours[there], class_names)

    def core(self):
        """(low, high) of each axis, for codes and samples of the prior; see `core`."""
        return core(np.concatenate((self.points, self.ground)))

    def frame(self, axes, low, high):
        """Set the axes' limits to a square around low and high; returns the number of codes outside it."""
        centre, half = (low + high) / 2, 1.04 * ((high - low).max() / 2 or 1)
        axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
        axes.set(xlabel=self.names[0], ylabel=self.names[1])
        if self.dim == 1:
            axes.set_yticks([])
        tidy(axes)
        return np.count_nonzero((np.abs(self.points - centre) > half).any(axis=1))


def _of_dimension(dim, codes, what):
    """Codes as an array (M, dim) of finite numbers. what: their name in the message of the `ShapeError`."""
    codes = as_points(codes, what)
    if codes.shape[1] != dim:
        raise ShapeError(f"codes: expected {what} of shape (M, {dim}), got {codes.shape}")
    return codes


def _plane(z, drawn):
    """Project z (N, D) and drawn (M, D) to (N, 2) and (M, 2); returns both and the names of the two axes."""
    if z.shape[1] == 1:
        rng, reach = np.random.default_rng(1), z.std() or 1
        points, ground = (np.concatenate((a, rng.uniform(-1, 1, a.shape) * reach), axis=1) for a in (z, drawn))
        return points, ground, ("z1", "(spread at random)")
    if z.shape[1] == 2:
        return z, drawn, ("z1", "z2")
    _, singular, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    share = singular**2 / (np.sum(singular**2) or 1)
    # The origin is not moved to the mean, so the projection of N(0, I) is a standard normal distribution, too.
    points, ground = (a @ directions[:2].T for a in (z, drawn))
    if len(directions) < 2:  # a single example
        points, ground, share = np.pad(points, ((0, 0), (0, 1))), np.zeros((0, 2)), np.zeros(2)
    names = [f"principal direction {i + 1} of {z.shape[1]} ({share[i]:.0%} of the variance)" for i in (0, 1)]
    return points, ground, names


def core(points):
    """(low, high) of each column without extreme outliers: at most 30 % more on each side than the middle 99 %."""
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    reach = 0.3 * (high - low)
    return np.maximum(points.min(axis=0), low - reach), np.minimum(points.max(axis=0), high + reach)
