"""A picture of the classes that a model found without labels."""

import numpy as np

from ..data.examples import as_array, check_some
from ..data.labels import as_labels
from ..options import NAMES, SEED, Having, Optional, Path, options
from .axes import class_name
from .contact_sheet import grid, pixels

FINDER = Having("a model that finds classes, such as tinyae.models.MixtureVAE()", "probabilities", "sample")
GIVEN, DRAWN = 6, 8  # images in a row that are assigned to a cluster, and that are sampled from it


@options(path=Path(), model=FINDER, class_names=Optional(NAMES), seed=SEED)
def clusters(path, model, x, labels=None, class_names=None, seed=0):
    """Write a picture with a row for each class that a model found: assigned images, and samples.

    The images of x (N, H, W, C) that are assigned to it come first, in order of decreasing probability. The label of a
    row has the class's share of x and, with labels (N,), the most frequent label and its share. The model needs
    `probabilities` and `sample` by labels.
    """
    x = np.asarray(as_array(x))
    check_some(x, "clusters")
    labels, q = as_labels(labels, len(x), "clusters"), model.probabilities(x)
    found = q.argmax(axis=1)
    rows, words = [], []
    for k in range(q.shape[1]):
        chosen = np.flatnonzero(found == k)
        surest = chosen[np.argsort(-q[chosen, k], kind="stable")[:GIVEN]]
        blank = np.full((GIVEN + 1 - len(surest), *x.shape[1:]), 255, np.uint8)
        rows += [pixels(x[surest]) if len(surest) else blank[:0], blank, pixels(model.sample(DRAWN, seed, labels=k))]
        words.append(f"{k}: {len(chosen) / len(x):.0%} of all")
        if labels is not None and (labels[chosen] >= 0).any():
            counts = np.bincount(labels[chosen][labels[chosen] >= 0])
            words[-1] += f"\nmostly {class_name(counts.argmax(), class_names)}, {counts.max() / len(chosen):.0%}"
    heads = ["assigned", *[""] * GIVEN, "samples", *[""] * (DRAWN - 1)]
    title = "Classes found without labels: images assigned to each, and samples of each"
    return grid(
        path, np.concatenate(rows), GIVEN + 1 + DRAWN, title=title, row_labels=words, column_labels=heads
    )  # fmt: skip
