"""A picture of codebook usage: how often each code is used."""

import math

import numpy as np

from ..latent.quantize import perplexity
from ..options import Count, Optional, Path, options
from .axes import FAINT, SERIES, save, tidy
from .code_sheet import as_counts
from .contact_sheet import INK, needs_viz


@options(path=Path(), images=Optional(Count()))
def usage(path, counts, images=None):
    """Write a picture with the share of each code in decreasing order, and the share for uniform use.

    counts: (codebooks, K), how often each code was chosen, with a panel for each codebook. images: the number of
    encoded images, for the title. The scale is logarithmic, since the background of images often has one code with a
    large share, and rare codes should still be visible.
    """
    with needs_viz():
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    counts = as_counts(counts, "usage", "codebooks", "K")
    books, count = counts.shape
    rows = math.ceil(books / 3)
    columns = math.ceil(books / rows)
    width = 8 if books == 1 else 5 * columns
    figure = Figure(figsize=(width, 3.6 * rows + 0.3), dpi=110, layout="constrained")
    all_shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    least = min(all_shares[all_shares > 0].min(initial=1), 1 / count) / 2  # the lower end of the scale
    top = 1.5 * max(all_shares.max(), 1 / count)
    for b, (used, shares) in enumerate(zip(counts, all_shares, strict=True)):
        axes = figure.add_subplot(rows, columns, b + 1)
        steps = np.arange(count + 1) + 0.5
        axes.stairs(np.sort(shares)[::-1], steps, baseline=least, fill=True, color=SERIES["train"], linewidth=0)
        axes.axhline(1 / count, color=INK, linestyle=(0, (4, 3)), linewidth=1)
        note = {"ha": "right", "va": "bottom", "fontsize": 8, "color": FAINT}
        axes.annotate("uniform", (1, 1 / count), (-2, 2), ("axes fraction", "data"), "offset points", **note)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.set(xlim=(0.5, count + 0.5), ylim=(least, top))
        axes.set(xlabel="rank of the code", ylabel="share")
        which = "" if books == 1 else f"codebook {b + 1}: "
        found = f"{which}{np.count_nonzero(used)} of {count} codes used, perplexity {perplexity(used):.1f}"
        axes.set_title(found, loc="left", color=INK, fontsize=10)
        tidy(axes)
        axes.grid(axis="x", visible=False)
    if images:
        figure.suptitle(f"Codes of {images} image{'s' * (images != 1)}", x=0.01, ha="left", color=INK)
    return save(path, figure)
