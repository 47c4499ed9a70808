"""All pictures of a run: `training_report` writes the ones that apply to a model."""

import math
import pathlib

import numpy as np

from ..data import to_float
from ..data.examples import as_array, check_some, shaped
from ..data.labels import as_labels
from ..errors import ConfigError
from ..options import MODEL, NAMES, Optional, Path, options
from .axes import class_name
from .cluster_sheet import clusters
from .code_sheet import code_maps, codebook
from .contact_sheet import WIDTH
from .feature_sheet import features
from .prior_sheet import priors
from .scatter import scatter_codes
from .sheets import manifold, reconstructions, restorations, rms, samples
from .style_sheet import styles, transfers
from .table import columns
from .training_curves import RECORDS, curves
from .usage import usage

VECTORS = 2**16  # the largest number of code vectors that are counted
PRIOR_DRAWS = 5000  # samples of the prior behind the codes of an adversarial autoencoder
NO_PRIOR = "Images decoded from uniformly sampled codes, without a prior"


@options(
    folder=Path(), model=MODEL, class_names=Optional(NAMES), records=RECORDS, feature_names=Optional(NAMES)
)
def training_report(folder, model, x, labels=None, class_names=None, records=(), feature_names=None):
    """Write all pictures that apply to a model into a folder; returns their paths.

    x: (N, H, W, C) or (N, D), uint8 or floats, with labels (N,) or None. class_names, feature_names: names of classes
    and of columns. records: see `curves`. The folder is created if needed. A picture that raises `ConfigError` for this
    model is left out.

    reconstructions.png  ten examples of all classes and their reconstructions
    restorations.png     instead of that, for a model that restores corrupted images
    samples.png          samples of a generative model
    manifold.png         the latent plane of a generative model with two dimensions
    clusters.png         the classes that a model found
    styles.png, transfers.png   styles decoded with all labels, for a model with labels
    features.png         the features of a sparse code
    columns.png          the reconstruction error of each column, for rows
    codes.png            the codes of all of x
    usage.png, uniform.png, codebook.png   instead of codes.png, for codes that are maps of integers
    curves.png           the loss and its terms, if there are records
    """
    folder, shape, written = pathlib.Path(folder), tuple(model.input_shape), []
    x = shaped(np.asarray(as_array(x)), shape, model.name)
    check_some(x, model.name)
    labels = as_labels(labels, len(x), model.name)

    def add(name, draw):
        try:
            written.append(draw(folder / name))
        except ConfigError:
            pass

    def arguments(chosen):
        return {} if labels is None else model.label_arguments(labels[chosen])

    def name_of(chosen):
        return None if labels is None else [class_name(labels[i], class_names) for i in chosen]

    def draw_reconstructions(path):
        chosen = _spread(labels, len(x))
        inputs = to_float(x[chosen])
        outputs, words = model.reconstruct(inputs, **arguments(chosen)), {}
        if model.code.discrete:
            size = " x ".join(map(str, model.code_shape))
            words["title"] = f"Inputs and their reconstructions from {size} codes of {model.code_count}"
            words["maps"] = code_maps(model.encode(inputs), model.code_count, shape)
        return reconstructions(path, inputs, outputs, name_of(chosen), rms(inputs, outputs), "RMS", **words)

    def draw_restorations(path):
        chosen = _spread(labels, len(x))
        return restorations(path, model.demonstration(x[chosen]), name_of(chosen))

    def draw_transfers(path):
        chosen = _spread(labels, len(x))
        return transfers(path, model, x[chosen], labels[chosen], class_names)

    def draw_codes(path):
        z = model.encode(x, **arguments(slice(None)))
        prior = model.prior.standard or (model.prior.exists and model.draw_prior(PRIOR_DRAWS))
        return scatter_codes(path, z.reshape(len(z), -1), labels, class_names, prior, model.prior.class_means(model))

    def draw_manifold(path):
        z = None if model.prior.standard else model.encode(x)
        return manifold(path, model, min(15, max(5, WIDTH // shape[1])), codes=z)

    side = min(8, max(3, WIDTH // shape[1])) if len(shape) > 1 else 0  # images along the side of a picture of samples
    images = len(shape) == 3 and shape[2] in (1, 3)
    if model.prior.autoregressive:
        add("samples.png", lambda path: priors(path, model, class_names))
    elif images:
        if "restorations" in model.pictures:
            add("restorations.png", draw_restorations)
        else:
            add("reconstructions.png", draw_reconstructions)
        if model.prior.exists:
            add("samples.png", lambda path: samples(path, model.sample(side * side)))
            if "clusters" in model.pictures:
                add("clusters.png", lambda path: clusters(path, model, x, labels, class_names))
            if model.labels and model.labels.styles:
                add("styles.png", lambda path: styles(path, model, class_names))
                if labels is not None:
                    add("transfers.png", draw_transfers)
            if model.latent_dim == 2:
                add("manifold.png", draw_manifold)
        if "features" in model.pictures:
            add("features.png", lambda path: features(path, model, x))
    if len(shape) == 1:
        add("columns.png", lambda path: columns(path, to_float(x), model.reconstruct(x), feature_names))
    if model.code.discrete:
        some = x[: max(1, VECTORS // math.prod(model.code_shape[:2]))]
        counts = model.usage(some)
        add("usage.png", lambda path: usage(path, counts, len(some)))
        if images:
            add("uniform.png", lambda path: samples(path, model.decode(model.uniform_codes(side * side)), NO_PRIOR))
            if len(counts) == 1:
                add("codebook.png", lambda path: codebook(path, model, counts[0]))
    elif not model.prior.autoregressive:
        add("codes.png", draw_codes)
    if records:
        per = ("code" if len(shape) == 2 else "dim", math.prod(shape)) if model.prior.autoregressive else None
        add("curves.png", lambda path: curves(path, records, model.unit, per))
    return written


def _spread(labels, n, count=10):
    """Indices of `count` of n examples, sorted by class: the first of each class, then the second of each, ..."""
    if labels is None:
        return np.arange(min(n, count))
    labels = np.asarray(labels)
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    turn = np.arange(n) - np.searchsorted(ranked, ranked)  # the rank of each example within its class
    return order[np.sort(np.lexsort((ranked, turn))[:count])]
