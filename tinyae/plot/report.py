"""All pictures of a run."""

from pathlib import Path

import numpy as np

from ..data import to_float
from ..errors import ConfigError
from .axes import class_name
from .cluster_sheet import clusters
from .contact_sheet import WIDTH
from .feature_sheet import features
from .scatter import codes
from .sheets import manifold, reconstructions, restorations, rms, samples
from .style_sheet import styles, transfers
from .table import columns
from .training_curves import curves


def training_report(folder, model, x, labels=None, class_names=None, records=()):
    """Write the pictures that apply to `model` into `folder`, made if it is missing; the list of their paths.

    x: (N, H, W, C) or (N, D), uint8 or floats, with labels (N,) or None. reconstructions.png shows ten examples spread
    over the classes, or restorations.png in its place where the model mends images; samples.png needs a generative
    model, manifold.png one with two latent dimensions as well, clusters.png one that finds classes, styles.png and
    transfers.png one that is told them, features.png a code made sparse; these need images of one or three channels.
    Rows have columns.png, what each column loses. codes.png shows all of x, curves.png needs records. What is refused
    with a `ConfigError`, as by a model that has no codes or decodes from more than codes, is left out.
    """
    folder, shape, written = Path(folder), tuple(model.input_shape), []
    x = np.asarray(x).reshape(-1, *shape)

    def add(name, draw):
        try:
            written.append(draw(folder / name))
        except ConfigError:
            pass

    def given(chosen):
        return {} if labels is None else model.given(labels[chosen])

    def name_of(chosen):
        return None if labels is None else [class_name(labels[i], class_names) for i in chosen]

    def draw_reconstructions(path):
        chosen = _spread(labels, len(x))
        inputs = to_float(x[chosen])
        outputs = model.reconstruct(inputs, **given(chosen))
        return reconstructions(path, inputs, outputs, name_of(chosen), rms(inputs, outputs), "RMS")

    def draw_restorations(path):
        chosen = _spread(labels, len(x))
        return restorations(path, model.demonstration(x[chosen]), name_of(chosen))

    def draw_transfers(path):
        chosen = _spread(labels, len(x))
        return transfers(path, model, x[chosen], labels[chosen], class_names)

    def draw_codes(path):
        z = model.encode(x, **given(slice(None)))
        if z.dtype.kind != "f":
            raise ConfigError(f"{model.name} has codes without an order, which a plane cannot show")
        means = getattr(model, "class_means", None)
        return codes(path, z.reshape(len(z), -1), labels, class_names, model.standard_prior, means)

    def draw_manifold(path):
        z = None if model.standard_prior else model.encode(x)
        return manifold(path, model, min(15, max(5, WIDTH // shape[1])), codes=z)

    if len(shape) == 3 and shape[2] in (1, 3):
        if hasattr(model, "demonstration"):
            add("restorations.png", draw_restorations)
        else:
            add("reconstructions.png", draw_reconstructions)
        if model.generative:
            side = min(8, max(3, WIDTH // shape[1]))
            add("samples.png", lambda path: samples(path, model.sample(side * side)))
            if hasattr(model, "cluster"):
                add("clusters.png", lambda path: clusters(path, model, x, labels, class_names))
            if model.uses_labels:
                add("styles.png", lambda path: styles(path, model, class_names))
                if labels is not None:
                    add("transfers.png", draw_transfers)
            if getattr(model, "latent_dim", None) == 2:
                add("manifold.png", draw_manifold)
        if hasattr(model, "features"):
            add("features.png", lambda path: features(path, model, x))
    if len(shape) == 1:
        add("columns.png", lambda path: columns(path, to_float(x), model.reconstruct(x)))
    add("codes.png", draw_codes)
    if records:
        add("curves.png", lambda path: curves(path, records, model.unit))
    return written


def _spread(labels, n, count=10):
    """Indices of `count` of n examples: the first of each class, then the second of each, ...; sorted by class."""
    if labels is None:
        return np.arange(min(n, count))
    labels = np.asarray(labels)
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    turn = np.arange(n) - np.searchsorted(ranked, ranked)  # the how-manieth of its class each one is
    return order[np.sort(np.lexsort((ranked, turn))[:count])]
