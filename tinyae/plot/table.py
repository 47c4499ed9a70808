"""A picture of the reconstruction error of each column of a table."""

import numpy as np

from ..data.examples import as_points
from ..errors import ConfigError, ShapeError
from ..options import NAMES, Optional, Path, options
from .axes import SERIES, save, shortened, tidy
from .contact_sheet import INK, needs_viz

MOST = 40  # the largest number of bars


@options(path=Path(), names=Optional(NAMES))
def columns(path, inputs, outputs, names=None):
    """Write a picture with a bar for each column: its root mean square error divided by its standard deviation.

    inputs, outputs: (N, D). An error of 1 is as large as for predicting the column's mean. Of more than 40 columns the
    worst are shown; constant columns are left out. names: D column names. Raises `ConfigError` if all columns are
    constant.
    """
    with needs_viz():
        from matplotlib.figure import Figure

    inputs, outputs = as_points(inputs, "inputs"), as_points(outputs, "outputs")
    if inputs.shape != outputs.shape or not inputs.size:
        raise ShapeError(f"columns: expected two tables of one shape (N, D), got {inputs.shape} and {outputs.shape}")
    if names is not None and len(names) != inputs.shape[1]:
        raise ShapeError(f"columns: {len(names)} names for {inputs.shape[1]} columns")
    spread = inputs.std(axis=0)
    varying = np.flatnonzero(spread > np.finfo("float32").eps * np.abs(inputs.mean(axis=0)))
    if not len(varying):
        raise ConfigError("columns: every column is constant, so errors cannot be divided by standard deviations")
    left = np.sqrt(((outputs - inputs)[:, varying] ** 2).mean(axis=0)) / spread[varying]
    worst = np.sort(np.argsort(-left, kind="stable")[:MOST])

    figure = Figure(figsize=(8, 1.4 + 0.24 * len(worst)), dpi=120)
    axes = figure.add_subplot()
    axes.barh(np.arange(len(worst)), left[worst], color=SERIES["test"])
    words = [names[i] if names else f"column {i + 1}" for i in varying[worst]]
    axes.set_yticks(np.arange(len(worst)), [shortened(word) for word in words], parse_math=False)
    axes.axvline(1, color=INK, linestyle=(0, (4, 3)), linewidth=1)
    axes.text(1, -0.9, "the mean", color=INK, ha="center", va="bottom", fontsize=8)
    axes.set(ylim=(len(worst) - 0.4, -0.6), xlim=(0, 1.08 * max(1, left[worst].max())))
    axes.set_xlabel("root mean square error / standard deviation of the column")
    some = f"the {len(worst)} worst of {len(varying)} columns" if len(worst) < len(varying) else "each column"
    axes.set_title(f"Reconstruction error of {some}", loc="left", color=INK, pad=18)
    tidy(axes)
    axes.grid(axis="y", visible=False)
    return save(path, figure)
