"""What one does with a code: walks between two, along a dimension or an attribute, over a plane.

    codes = model.encode(x)                                             # (N, D)
    between = explore.spherical(codes[0], codes[1], 10)                 # (10, D)
    images = model.decode(between)

Everything here is arithmetic on codes, NumPy arrays, which `model.encode` makes and `model.decode` shows. Neighbours
of a code are in `evaluation.neighbours`, the classes of a plane's regions in `evaluation.dense_probe`.
"""

from statistics import NormalDist

import numpy as np

from .data.examples import as_array, bounds
from .data.labels import as_labels, one_for_all
from .errors import ConfigError, DataError, ShapeError
from .options import MODEL, MOST, SHARE, Count, Having, Sequence, options

CHOSEN = Sequence(Count(-MOST), "dimensions of a code, integers counted from 0", fewest=1)
CODED = Having("a model of codes, such as tinyae.models.VAE()", "latent_dim", "decode")


def floats(codes):
    """Codes, given in any form that `as_array` takes, as an array of floats; of integers in float64."""
    codes = as_array(codes, "codes")
    bounds(codes, "the codes")
    return codes if codes.dtype.kind == "f" else codes.astype(np.float64)


@options(count=Count())
def linear(start, end, count):
    """(count, D): codes at equal steps on the straight line from start (D,) to end (D,), both included, exactly."""
    start, end = _ends(start, end)
    t = np.linspace(0, 1, count, dtype=start.dtype)[:, None]
    return (1 - t) * start + t * end


@options(count=Count())
def spherical(start, end, count):
    """(count, D): codes from start to end whose direction turns at an even rate in the plane of the two (slerp,
    Shoemake 1985) while the norm goes evenly from one to the other, so that equal norms stay:

        z(t) = r(t) (cos(t theta) u + sin(t theta) w),     r(t) = (1 - t) |start| + t |end|

    with u the direction of start, theta the angle between the two, and w the unit vector at right angles to u in their
    plane. Draws of N(0, I) have norms near sqrt(D): a straight line between two of them leaves that shell, this does
    not (White 2016). Opposite codes span no plane; the turn then goes through the axis that is furthest from them. A
    code at the origin has no direction, and one dimension no room to turn: there the line is straight.
    """
    start, end = _ends(start, end)
    a, b = start.astype(np.float64), end.astype(np.float64)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not all(lengths) or a.size == 1:
        return linear(start, end, count)
    u, v = a / lengths[0], b / lengths[1]
    # Kahan's angle: exact where arccos(u.v) has lost half its digits, near 0 and near pi.
    theta = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))
    across = v - (u @ v) * u
    if np.linalg.norm(across) < 1e-7:
        if theta < 1:
            return linear(start, end, count)  # the same direction
        axis = np.eye(a.size)[np.abs(u).argmin()]
        across = axis - (u @ axis) * u
    w = across / np.linalg.norm(across)
    t = np.linspace(0, 1, count)[:, None]
    path = ((1 - t) * lengths[0] + t * lengths[1]) * (np.cos(t * theta) * u + np.sin(t * theta) * w)
    path = path.astype(start.dtype)
    path[0], path[-1] = start, (end if count > 1 else start)
    return path


def _ends(start, end):
    start, end = floats(start), floats(end)
    if start.ndim != 1 or start.shape != end.shape:
        raise ShapeError(f"a walk leads from a code (D,) to a code (D,), got {start.shape} and {end.shape}")
    return start, end


class Dimensions:
    """The dimensions of a code, measured over examples.

    relevance (D,): how much a dimension says about x, in the unit `measure`: the mean KL from q(z|x) to the prior, in
    nats, where dimensions add up to it (0: the dimension is not used, "collapsed"), else the variance of the codes.
    centre, scale (D,): mean and standard deviation, of the prior where that is N(0, I), else of the codes. order: from
    most to least relevant.
    """

    def __init__(self, relevance, measure, centre, scale):
        self.relevance, self.measure, self.centre, self.scale = relevance, measure, centre, scale
        self.order = np.argsort(-relevance, kind="stable")


@options(model=MODEL)
def dimensions(model, x, labels=None):
    """The `Dimensions` of a model's code over examples x (N, ...); labels (N,) where the model uses them."""
    if model.prior.standard:
        centre, scale = np.zeros(model.latent_dim), np.ones(model.latent_dim)
    else:
        codes = model.encode(x, **model.label_arguments(labels)).astype(np.float64)
        centre, scale = codes.mean(axis=0), codes.std(axis=0)
    if "kl" in model.terms:
        return Dimensions(model.kl_per_dimension(x, labels), "KL", centre, scale)
    return Dimensions(scale**2, "variance", centre, scale)


def traverse(code, chosen, values):
    """(K, V, D): `code` (D,) with its dimension chosen[k] set to values[k, v], the others as they are.

    chosen: K dimensions, counted from 0. values: (K, V), or (V,) for all of them.
    """
    code, chosen, values = floats(code), as_array(chosen, "chosen"), floats(values)
    fits = code.ndim == chosen.ndim == 1 and (values.ndim == 1 or values.ndim == 2 and len(values) == len(chosen))
    if not fits or not values.shape[-1] or chosen.dtype.kind not in "iu":
        got = f"{code.shape}, {chosen.dtype} {chosen.shape} and {values.shape}"
        raise ShapeError(f"traverse: expected a code (D,), integers (K,) and values (V,) or (K, V), got {got}")
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(code):
        raise ConfigError(f"traverse: dimensions are 0 to {len(code) - 1}, got {chosen.min()} to {chosen.max()}")
    values = np.broadcast_to(values, (len(chosen), values.shape[-1]))
    codes = np.tile(code, (*values.shape, 1))
    codes[np.arange(len(chosen))[:, None], np.arange(values.shape[1]), chosen[:, None]] = values
    return codes


def attribute(codes, having, without=None):
    """(D,): the direction of an attribute, the mean code of the examples that have it minus the mean of those without
    (Larsen et al. 2016, section 4.2).

    having, without: (N,) booleans; all others are without by default. Raises `DataError` if there are none of a kind.
    """
    codes, having = floats(codes), np.asarray(as_array(having, "having"), bool)
    without = ~having if without is None else np.asarray(as_array(without, "without"), bool)
    if codes.ndim != 2 or not having.shape == without.shape == codes.shape[:1]:
        shapes = f"{codes.shape}, {having.shape} and {without.shape}"
        raise ShapeError(f"attribute: expected codes (N, D), having and without (N,), got {shapes}")
    for mask, kind in ((having, "with"), (without, "without")):
        if not mask.any():
            raise DataError(f"there are no examples {kind} the attribute among {len(mask)}")
    return codes[having].mean(axis=0) - codes[without].mean(axis=0)


def add(codes, direction, strengths):
    """(N, S, D): codes (N, D) moved by each of S strengths times a direction (D,)."""
    codes, direction, strengths = floats(codes), floats(direction), floats(strengths)
    if codes.ndim != 2 or direction.shape != codes.shape[1:] or strengths.ndim != 1 or not strengths.size:
        shapes = f"{codes.shape}, {direction.shape} and {strengths.shape}"
        raise ShapeError(f"add: expected codes (N, D), a direction (D,) and strengths (S,), got {shapes}")
    return codes[:, None] + strengths.astype(codes.dtype)[:, None] * direction.astype(codes.dtype)


@options(side=Count(), latent_dim=Count(), chosen=CHOSEN, low=SHARE, high=SHARE)
def plane(side, latent_dim, chosen=(0, 1), codes=None, low=0.05, high=0.95, centre=None):
    """Codes at equal steps of probability over two dimensions, the others at `centre` (D,) or their mean:
    (side, side, D), and the values (2, side) of the two.

    The first of `chosen` grows along the columns, the second from the last row up. The probability is that of the prior
    N(0, I); `codes` (N, D) stand in for a prior where a model has none, with their own quantiles and mean.
    Raises `ConfigError` and `ShapeError`.
    """
    _check_pair(chosen, latent_dim, "this code")
    steps = np.linspace(low, high, side)
    if codes is None:
        centre = np.zeros(latent_dim) if centre is None else floats(centre)
        values = np.tile([NormalDist().inv_cdf(q) for q in steps], (2, 1))
    else:
        codes = floats(codes)
        if codes.ndim != 2 or not len(codes) or codes.shape[1] != latent_dim:
            raise ShapeError(f"a plane of codes: expected shape (N, {latent_dim}), got {codes.shape}")
        centre = codes.mean(axis=0, dtype=np.float64) if centre is None else floats(centre)
        values = np.stack([np.quantile(codes[:, i], steps) for i in chosen])
    if centre.shape != (latent_dim,):
        raise ShapeError(f"the centre of a plane: expected shape ({latent_dim},), got {centre.shape}")
    grid = np.tile(centre, (side, side, 1))
    grid[..., chosen[0]], grid[..., chosen[1]] = values[0], values[1, ::-1, None]
    return grid, values


@options(model=CODED, chosen=CHOSEN)
def check_plane(model, chosen):
    """Refuse what is no pair of dimensions of a model's code."""
    _check_pair(chosen, model.latent_dim, model.name)


def _check_pair(chosen, latent_dim, who):
    if latent_dim < 2:
        raise ConfigError(f"a plane needs a code of two dimensions or more, {who} has {latent_dim}")
    _check_within(chosen, latent_dim, who)
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise ConfigError(f"a plane needs two different dimensions, got {' and '.join(str(i + 1) for i in chosen)}")


@options(model=CODED, chosen=CHOSEN)
def check_dimensions(model, chosen):
    """Refuse what is no dimension, from 0, of a model's code."""
    _check_within(chosen, model.latent_dim, model.name)


def _check_within(chosen, latent_dim, who):
    for i in chosen:
        if not 0 <= i < latent_dim:
            raise ConfigError(f"dimension {i + 1}: {who} has dimensions 1 to {latent_dim}")


@options(model=CODED)
def decode(model, codes, labels=None):
    """Images (rows, columns, *input_shape) of codes (rows, columns, D).

    labels: (rows,), or one for all, where the model is told them.
    """
    codes = floats(codes)
    if codes.ndim != 3:
        raise ShapeError(f"expected codes (rows, columns, D), got {codes.shape}")
    rows, columns, dim = codes.shape
    told = {} if labels is None else model.label_arguments(as_labels(one_for_all(labels, rows), rows).repeat(columns))
    return model.decode(codes.reshape(-1, dim).astype(model.dtype), **told).reshape(rows, columns, *model.input_shape)


@options(model=MODEL)
def transfer(model, x, labels, targets):
    """(N, T, *input_shape): each example x (N, ...) of labels (N,) in its own style under each of T labels.

    The style is what a model that knows the label finds in x beside it (Kingma et al. 2014, section 4.3): the code, or
    how far the code is from the mean of its class. Raises `ConfigError` for a model without labels.
    """
    if not (model.labels and model.labels.styles):
        raise ConfigError(f"{model.name} knows no labels to move a style to: train cvae or class-mean-vae")
    model.check_labels(targets)
    styles, targets = model.style(x, labels), as_labels(targets)
    n, moved = len(styles), styles.repeat(len(targets), axis=0)
    return model.styled(moved, np.tile(targets, n)).reshape(n, len(targets), *model.input_shape)
