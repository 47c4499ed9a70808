"""A picture of the features that the units of a sparse code represent."""

import numpy as np

from ..options import Count, Having, Path, options
from .contact_sheet import grid

SPARSE = Having("a model of sparse codes, such as tinyae.models.SparseAE()", "features", "activity")


@options(path=Path(), model=SPARSE, most=Count())
def features(path, model, x, most=64):
    """Write a picture of the contribution of each code unit to an image (`model.features`), the most active ones first.

    Grey is 0, white positive and black negative, scaled by the largest weight of each feature. The caption is the
    unit's activity over images x (`model.activity`).
    """
    activity, weights = model.activity(x), model.features()
    order = np.argsort(-activity, kind="stable")[:most]
    largest = np.abs(weights[order]).max(axis=(1, 2, 3), keepdims=True)
    shown = 0.5 + 0.5 * weights[order] / np.where(largest > 0, largest, 1)
    captions = [f"{100 * share:.3g} %" for share in activity[order]]
    title = (
        f"Features of {'the most active' if most < len(activity) else 'all'} {len(order)} of {len(activity)} code units"
    )
    return grid(path, shown, title=title, captions=captions)
