"""What the classes that a model found by itself hold."""

import numpy as np

from ..data.examples import as_array, check_some
from ..data.labels import as_labels
from ..options import NAMES, SEED, Having, Optional, Path, options
from .axes import class_name
from .contact_sheet import grid, pixels

FINDER = Having("a model that finds classes, such as tinyae.models.MixtureVAE()", "probabilities", "sample")
GIVEN, DRAWN = 6, 8  # images in a row that were given to a cluster, and that were drawn from it


@options(path=Path(), model=FINDER, class_names=Optional(NAMES), seed=SEED)
def clusters(path, model, x, labels=None, class_names=None, seed=0):
    """A row for each class that `model` found: images of x (N, H, W, C) that it was given, from the surest on, a gap,
    and images drawn from it. Beside the row, its share of x and, with labels (N,), which class it mostly holds and how
    purely. A model needs `probabilities` and `sample` by labels.
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
    heads = ["given", *[""] * GIVEN, "drawn", *[""] * (DRAWN - 1)]
    title = "Classes found without labels: images given to each, and drawn from each"
    return grid(
        path, np.concatenate(rows), GIVEN + 1 + DRAWN, title=title, row_labels=words, column_labels=heads
    )  # fmt: skip
