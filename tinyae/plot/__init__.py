"""Pictures of a trained model: arrays in, one PNG out (extra `viz`).

    plot.reconstructions("reconstructions.png", x[:10], model.reconstruct(x[:10]))
    plot.training_report("pictures", model, x, labels, class_names, records)

Images are magnified by an integer factor, so that every pixel of the model stays a sharp square. They are laid out with
Pillow alone; `codes`, `codes_beside`, `curves` and `usage` draw on a matplotlib `Figure` of their own, without pyplot
and its global state.
Every function returns the path it wrote, and raises `MissingExtraError` without the extra. A file is replaced whole, so
pictures may be rewritten while someone looks at them.
"""

from .axes import COLOURS, SERIES
from .cluster_sheet import clusters
from .code_sheet import code_maps, codebook
from .codes_beside import codes_beside
from .contact_sheet import check_viz, drawable, grid
from .feature_sheet import features
from .prior_sheet import priors
from .regions import regions
from .report import training_report
from .scatter import scatter_codes
from .sheets import manifold, reconstructions, restorations, samples
from .style_sheet import styles, transfers
from .table import columns
from .training_curves import curves
from .usage import usage

__all__ = [
    "COLOURS", "SERIES", "check_viz", "clusters", "code_maps", "codebook", "codes_beside", "columns", "curves",
    "drawable", "features", "grid", "manifold", "priors", "reconstructions", "regions", "restorations", "samples",
    "scatter_codes", "styles", "training_report", "transfers", "usage",
]  # fmt: skip
