"""Codes of trained models over the priors that images are drawn from, side by side: do codes fill them, without holes?

A plain autoencoder has no prior. A variational one draws the codes of each image apart, so that together they cover
N(0, I) more or less; an adversarial one moves them until a discriminator takes them for draws of its prior (Makhzani et
al. 2015, figure 2).
"""

import numpy as np

from ..backend import Noise
from ..data.examples import as_array, check_some
from ..errors import ConfigError, ShapeError
from ..latent import gaussian
from ..options import SEED, options
from .coverage import NEIGHBOURS, coverage_of_like, match
from .side_by_side import RUNS, check_runs

MOST = 10_000  # images whose codes are looked at


@options(runs=RUNS, seed=SEED)
def compare_codes(runs, x, labels=None, seed=0):
    """Figures and codes for [(label, model), ...] on examples x (N, ...), with their labels (N,) or None.

    Returns (figures, panels): figures a list of dicts, one a model:
      "codes"    "q(z|x)" where a draw of the posterior is each example's code, for together these are to be the prior;
                 "z(x)" where the encoder says the code itself
      "holes"    share of draws of the prior, one for each example, without a code near, and
      "outside"  share of codes without such a draw near (`coverage.match`); None where the model has no prior
    and panels a list of (label, codes (N, D), draws of the prior (N, D) or None). Raises the errors of `check`.
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
    """Raises ShapeError or ConfigError where runs and x do not go together, or a model's code is no point."""
    x = as_array(x)
    check_some(x, "a comparison of codes")
    if len(x) <= NEIGHBOURS:
        raise ShapeError(f"a comparison of codes needs more than {NEIGHBOURS} examples, got {len(x)}")
    for label, model in runs:
        if model.code.discrete or not model.code.encoded:
            what = "codes are integers" if model.code.discrete else "examples have no codes"
            raise ConfigError(f"{label}: its {what}, not points over a prior: leave it out")
    check_runs(runs, x)


def codes_of(model, x, labels, seed):
    """("q(z|x)" or "z(x)", codes (N, D)), a draw of the posterior where the model has one."""
    told = model.label_arguments(labels)
    if not model.code.gaussian:
        z = model.encode(x, **told)
        return "z(x)", z.reshape(len(z), -1)
    mu, logvar = model.posterior(x, **told)
    return "q(z|x)", gaussian.sample(mu, logvar, Noise(seed).normal("codes", mu.shape, mu.dtype))[0]


def draw_prior(model, n, seed):
    """(n, D), or None of a model without a prior. All whose prior is N(0, I) in as many dimensions have the same."""
    if model.prior.standard:
        return Noise(seed).normal("prior", (n, model.latent_dim))
    return model.draw_prior(n, seed) if model.prior.exists else None


def of_the_prior(n):
    """What the figures would be on average if n codes were draws of the prior themselves."""
    like = 1 - coverage_of_like(n, n)
    return {"run": "draws of the prior", "codes": "p(z)", "holes": like, "outside": like}


def chosen(part):
    """(x, labels or None) of MOST examples at most, spread evenly over a `Split`."""
    rows = np.linspace(0, len(part) - 1, min(len(part), MOST)).astype(int)
    return part.x[rows], None if part.labels is None else part.labels[rows]


def draw(path, figures, panels, labels=None, class_names=None):
    """The panels as a picture, the figures in their words."""
    from .. import plot

    worded = []
    for found, (label, z, drawn) in zip(figures, panels, strict=True):
        kind = "draws of q(z|x)" if found["codes"] == "q(z|x)" else "codes z(x)"
        if drawn is not None:
            kind += f": {found['holes']:.1%} holes, {found['outside']:.1%} outside"
        worded.append((f"{label}\n{kind}" + (", no prior" if drawn is None else ""), z, drawn))
    title = f"Codes of {len(panels[0][1]):,} examples over as many draws of each prior (grey)"
    return plot.codes_beside(path, worded, labels, class_names, title)
