"""Compare the codes of trained models with samples of their priors: do the codes fill the prior without holes?

A plain autoencoder has no prior. A variational autoencoder samples the code of each image, so that the codes of all
images roughly cover N(0, I). An adversarial autoencoder moves codes until a discriminator cannot separate them from
samples of its prior (Makhzani et al. 2015, figure 2).
"""

import numpy as np

from ..backend import Noise
from ..data.examples import as_array, check_some
from ..errors import ConfigError, ShapeError
from ..latent import gaussian
from ..options import SEED, options
from .coverage import NEIGHBOURS, coverage_of_like, match
from .side_by_side import RUNS, check_runs

MOST = 10_000  # the largest number of images that are encoded


@options(runs=RUNS, seed=SEED)
def compare_codes(runs, x, labels=None, seed=0):
    """Compare the codes of examples with samples of each model's prior.

    Parameters
    ----------
    runs : list of (label, model)
        Trained models, with a name for each.
    x : (N, ...) array
        Examples.
    labels : (N,) array, optional
        Their labels, for models that take labels.
    seed : int, default 0
        Seed of the noise.

    Returns
    -------
    figures : list of dict
        For each model its name "run"; "codes", which is "q(z|x)" if the code is sampled from the posterior and "z(x)"
        if the encoder gives it directly; "holes", the share of prior samples without a code nearby; and "outside", the
        share of codes without a prior sample nearby (`coverage.match`), both None without a prior.
    panels : list of (label, codes, samples)
        For each model codes (N, D) and samples of its prior (N, D), or None.

    Raises
    ------
    ShapeError, ConfigError
        See `check_comparable`.
    """
    x = as_array(x)
    check_comparable(runs, x)
    figures, panels = [], []
    for label, model in runs:
        kind, z = codes_of(model, x, labels, seed)
        drawn = draw_prior(model, len(z), seed)
        found = {"holes": None, "outside": None} if drawn is None else match(z, drawn)
        figures.append({"run": label, "codes": kind} | found)
        panels.append((label, z, drawn))
    return figures, panels


@options(runs=RUNS)
def check_comparable(runs, x):
    """Raise ShapeError or ConfigError if x does not suit the models, or a model's code is not a vector."""
    x = as_array(x)
    check_some(x, "a comparison of codes")
    if len(x) <= NEIGHBOURS:
        raise ShapeError(f"a comparison of codes needs more than {NEIGHBOURS} examples, got {len(x)}")
    for label, model in runs:
        if model.code.discrete or not model.code.encoded:
            what = "its codes are integers" if model.code.discrete else "it has no codes of examples"
            raise ConfigError(f"{label}: {what}, and this compares vectors: leave this run out")
    check_runs(runs, x)


def codes_of(model, x, labels, seed):
    """("q(z|x)", samples of the posterior (N, D)) or, for a model without a posterior, ("z(x)", codes (N, D))."""
    told = model.label_arguments(labels)
    if not model.code.gaussian:
        z = model.encode(x, **told)
        return "z(x)", z.reshape(len(z), -1)
    mu, logvar = model.posterior(x, **told)
    return "q(z|x)", gaussian.sample(mu, logvar, Noise(seed).normal("codes", mu.shape, mu.dtype))[0]


def draw_prior(model, n, seed):
    """Samples of the prior (n, D), or None without a prior. Models with the prior N(0, I) get the same samples."""
    if model.prior.standard:
        return Noise(seed).normal("prior", (n, model.latent_dim))
    return model.draw_prior(n, seed) if model.prior.exists else None


def of_the_prior(n):
    """The expected figures of n codes that are themselves samples of the prior."""
    like = 1 - coverage_of_like(n, n)
    return {"run": "samples of the prior", "codes": "p(z)", "holes": like, "outside": like}


def chosen(part):
    """(x, labels or None) of at most MOST examples, evenly spaced in a `Split`."""
    rows = np.linspace(0, len(part) - 1, min(len(part), MOST)).astype(int)
    return part.x[rows], None if part.labels is None else part.labels[rows]


def draw(path, figures, panels, labels=None, class_names=None):
    """Write a picture of the panels, with the figures in their titles."""
    from .. import plot

    worded = []
    for found, (label, z, drawn) in zip(figures, panels, strict=True):
        kind = "samples of q(z|x)" if found["codes"] == "q(z|x)" else "codes z(x)"
        if drawn is not None:
            kind += f": {found['holes']:.1%} holes, {found['outside']:.1%} outside"
        worded.append((f"{label}\n{kind}" + (", no prior" if drawn is None else ""), z, drawn))
    title = f"Codes of {len(panels[0][1]):,} examples, and as many samples of each prior (grey)"
    return plot.codes_beside(path, worded, labels, class_names, title)
