"""Pictures of an explanation: gradients next to their central differences, and the flow of gradient norms."""

import numpy as np

from ..errors import ConfigError
from ..plot.axes import save, tidy
from ..plot.contact_sheet import INK, needs_viz

WIDE = 100  # the ratio of norms from which on their axis is logarithmic


def plot(path, found):
    """Write the picture of a dict that `explain` gives; the path. Raises ConfigError for what has none."""
    if found["kind"] == "model":
        return flow(path, found)
    if not found.get("arrays"):
        others = "layers, losses, latent operations and models"
        raise ConfigError(f"{found['name']} is an {found['kind']}: --plot is for {others}")
    return heat_maps(path, found)


def heat_maps(path, found):
    """A row for each array: the analytic gradient, the numeric one, and their difference on a scale of its own."""
    with needs_viz():
        from matplotlib.figure import Figure

    arrays = found["arrays"]
    planes = {name: [_plane(part) for part in (a, n, a - n)] for name, (a, n) in arrays.items()}
    heights = [0.5 if parts[0].shape[0] == 1 else 1.6 for parts in planes.values()]
    figure = Figure(figsize=(12, sum(heights) + 0.9 * len(heights) + 0.5), layout="constrained")
    grid = figure.subplots(len(planes), 3, squeeze=False, height_ratios=heights)
    for row, (name, parts) in zip(grid, planes.items(), strict=True):
        largest = max(np.abs(parts[0]).max(), np.abs(parts[1]).max()) or 1.0
        titles = (f"{name} {arrays[name][0].shape}: analytic", "numeric", "difference")
        for axes, title, part in zip(row, titles, parts, strict=True):
            limit = largest if title != "difference" else np.abs(part).max() or 1e-300
            image = axes.imshow(part, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
            bar = figure.colorbar(image, ax=axes, pad=0.02)
            bar.ax.tick_params(labelsize=8)
            axes.set_title(title, fontsize=11, color=INK, loc="left")
            axes.set_xticks([])
            axes.set_yticks([])
    figure.suptitle(f"{found['name']}: gradient and central differences", x=0.01, ha="left", fontsize=14, color=INK)
    return save(path, figure)


def _plane(array):
    """An array as a plane that is wider than high."""
    if array.ndim < 2:
        return array.reshape(1, -1)
    plane = array.reshape(-1, array.shape[-1])
    return plane.T if plane.shape[0] > plane.shape[1] else plane


def flow(path, found):
    """The norm of each parameter's gradient in a training step, in the order of the networks, phase by phase."""
    with needs_viz():
        from matplotlib.figure import Figure

    phases = [step["phase"] for step in found["steps"]]
    groups = {phase: [row for row in found["norms"] if row["phase"] == phase] for phase in phases}
    heights = [0.28 * len(rows) + 0.9 for rows in groups.values()]
    figure = Figure(figsize=(10, sum(heights) + 0.8), layout="constrained")
    for axes, (phase, rows) in zip(
        figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0], groups.items(), strict=True
    ):
        places, norms = np.arange(len(rows)), [row["norm"] for row in rows]
        axes.barh(places, norms, color="#0072b2", height=0.7)
        axes.set_yticks(places, [row["array"] for row in rows], fontsize=9)
        axes.invert_yaxis()
        if min(norms) > 0 and max(norms) > WIDE * min(norms):
            axes.set_xscale("log")
        axes.set_xlabel("norm of the gradient")
        axes.set_title(f"phase {phase}" if phase else "training step", fontsize=11, color=INK, loc="left")
        tidy(axes)
    figure.suptitle(f"{found['name']}: gradients from the input to the loss", x=0.01, ha="left", fontsize=14, color=INK)
    return save(path, figure)
