"""Paths through the latent space: between two codes, along a dimension or an attribute, and over a plane.

    codes = model.encode(x)                                             # (N, D)
    between = explore.spherical(codes[0], codes[1], 10)                 # (10, D)
    images = model.decode(between)

All functions compute with codes as NumPy arrays. For nearest neighbours of codes see `evaluation.neighbours`, and for
the classes of regions `evaluation.dense_probe`.
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
    """Codes, in any form that `as_array` takes, as an array of floats; integers become float64."""
    codes = as_array(codes, "codes")
    bounds(codes, "the codes")
    return codes if codes.dtype.kind == "f" else codes.astype(np.float64)


@options(count=Count())
def linear(start, end, count):
    """Codes at equal steps on the straight line between two codes.

    Parameters
    ----------
    start, end : (D,) array
        The ends, which are included exactly.
    count : int
        The number of codes.

    Returns
    -------
    path : (count, D) array

    Raises
    ------
    ShapeError
        If the ends are not two codes of one size.

    Example
    -------
    >>> linear([0.0, 4.0], [2.0, 0.0], 3).tolist()
    [[0.0, 4.0], [1.0, 2.0], [2.0, 0.0]]
    """
    start, end = _ends(start, end)
    t = np.linspace(0, 1, count, dtype=start.dtype)[:, None]
    return (1 - t) * start + t * end


@options(count=Count())
def spherical(start, end, count):
    """Codes on the arc between two codes: direction and norm change at a constant rate (slerp).

        z(t) = r(t) (cos(t theta) u + sin(t theta) w),     r(t) = (1 - t) |start| + t |end|

    with u the direction of start, theta the angle between start and end, and w the unit vector orthogonal to u in their
    plane. Samples of N(0, I) have norms near sqrt(D); a straight line between two of them has shorter codes, and this
    path does not (White 2016). For opposite codes, the arc passes through the coordinate axis furthest from them. If a
    code is 0, or D is 1, the path is a straight line.

    Parameters
    ----------
    start, end : (D,) array
        The ends, which are included exactly.
    count : int
        The number of codes.

    Returns
    -------
    path : (count, D) array

    Raises
    ------
    ShapeError
        If the ends are not two codes of one size.

    References
    ----------
    Shoemake 1985, Animating Rotation with Quaternion Curves. White 2016, Sampling Generative Networks.

    Example
    -------
    >>> spherical([2.0, 0.0], [0.0, 2.0], 3).round(3).tolist()
    [[2.0, 0.0], [1.414, 1.414], [0.0, 2.0]]
    """
    start, end = _ends(start, end)
    a, b = start.astype(np.float64), end.astype(np.float64)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not all(lengths) or a.size == 1:
        return linear(start, end, count)
    u, v = a / lengths[0], b / lengths[1]
    # Kahan's formula for the angle is exact near 0 and pi, where arccos(u.v) has lost half of its digits.
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
        raise ShapeError(f"a path needs two codes (D,) of one size, got {start.shape} and {end.shape}")
    return start, end


class Dimensions:
    """Measurements of each dimension of a code, over examples. Arrays are (D,).

    measure        "KL" if the KL to the prior is a sum over dimensions, or else "variance"
    relevance      the information in a dimension: the mean KL of q(z|x) to the prior in nats (0 for a collapsed
                   dimension), or the variance of the codes
    centre, scale  mean and standard deviation, of the prior if it is N(0, I), or else of the codes
    order          the dimensions in order of decreasing relevance
    """

    def __init__(self, relevance, measure, centre, scale):
        self.relevance, self.measure, self.centre, self.scale = relevance, measure, centre, scale
        self.order = np.argsort(-relevance, kind="stable")


@options(model=MODEL)
def dimensions(model, x, labels=None):
    """Measure the `Dimensions` of a model's code on examples x (N, ...). labels: (N,), for a model that takes them."""
    if model.prior.standard:
        centre, scale = np.zeros(model.latent_dim), np.ones(model.latent_dim)
    else:
        codes = model.encode(x, **model.label_arguments(labels)).astype(np.float64)
        centre, scale = codes.mean(axis=0), codes.std(axis=0)
    if "kl" in model.terms:
        return Dimensions(model.kl_per_dimension(x, labels), "KL", centre, scale)
    return Dimensions(scale**2, "variance", centre, scale)


def traverse(code, chosen, values):
    """Change one dimension of a code at a time.

    Parameters
    ----------
    code : (D,) array
        The code to start from.
    chosen : (K,) array of int
        Dimensions to change, counted from 0.
    values : (K, V) or (V,) array
        The values of each dimension, or of all of them.

    Returns
    -------
    codes : (K, V, D) array
        In codes[k, v] the dimension chosen[k] has the value values[k, v].

    Raises
    ------
    ShapeError, ConfigError
        If the shapes do not fit together, or the code has no such dimension.

    Example
    -------
    >>> traverse([1.0, 1.0], [1], [-2.0, 2.0]).tolist()
    [[[1.0, -2.0], [1.0, 2.0]]]
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
    """The direction of an attribute: the mean code of examples that have it, minus the mean code of examples without.

    Parameters
    ----------
    codes : (N, D) array
        Codes of examples.
    having : (N,) array of bool
        Whether an example has the attribute.
    without : (N,) array of bool, optional
        Whether an example counts as one without it; by default, all others do.

    Returns
    -------
    direction : (D,) array

    Raises
    ------
    ShapeError, DataError
        If the shapes differ, or there are no examples with or without the attribute.

    References
    ----------
    Larsen et al. 2016, Autoencoding beyond pixels, section 4.2.

    Example
    -------
    >>> attribute([[0.0, 1.0], [2.0, 1.0], [4.0, 3.0]], [False, False, True]).tolist()
    [3.0, 2.0]
    """
    codes, having = floats(codes), np.asarray(as_array(having, "having"), bool)
    without = ~having if without is None else np.asarray(as_array(without, "without"), bool)
    if codes.ndim != 2 or not having.shape == without.shape == codes.shape[:1]:
        shapes = f"{codes.shape}, {having.shape} and {without.shape}"
        raise ShapeError(f"attribute: expected codes (N, D), having and without (N,), got {shapes}")
    for mask, kind in ((having, "with"), (without, "without")):
        if not mask.any():
            raise DataError(f"none of the {len(mask)} examples is {kind} the attribute: give others")
    return codes[having].mean(axis=0) - codes[without].mean(axis=0)


def add(codes, direction, strengths):
    """Add multiples of a direction (D,) to codes (N, D): an array (N, S, D) for strengths (S,)."""
    codes, direction, strengths = floats(codes), floats(direction), floats(strengths)
    if codes.ndim != 2 or direction.shape != codes.shape[1:] or strengths.ndim != 1 or not strengths.size:
        shapes = f"{codes.shape}, {direction.shape} and {strengths.shape}"
        raise ShapeError(f"add: expected codes (N, D), a direction (D,) and strengths (S,), got {shapes}")
    return codes[:, None] + strengths.astype(codes.dtype)[:, None] * direction.astype(codes.dtype)


@options(side=Count(), latent_dim=Count(), chosen=CHOSEN, low=SHARE, high=SHARE)
def plane(side, latent_dim, chosen=(0, 1), codes=None, low=0.05, high=0.95, centre=None):
    """A grid of codes in a plane of two dimensions, at quantiles of the prior.

    Parameters
    ----------
    side : int
        Codes along each side of the grid.
    latent_dim : int
        D, the size of a code.
    chosen : two ints, default (0, 1)
        The dimensions of the plane. The first increases along the columns, the second from the last row upwards.
    codes : (N, D) array, optional
        Codes whose quantiles and mean are used instead of the prior N(0, I).
    low, high : float
        The first and the last quantile.
    centre : (D,) array, optional
        The values of the other dimensions, by default their mean.

    Returns
    -------
    codes : (side, side, D) array
    values : (2, side) array
        The values of both dimensions.

    Raises
    ------
    ConfigError, ShapeError
        If the dimensions or the shapes do not fit the code.

    Example
    -------
    >>> codes, values = plane(2, 4)
    >>> codes.shape, values[0].round(2).tolist()
    ((2, 2, 4), [-1.64, 1.64])
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
    """Raise ConfigError unless `chosen` are two different dimensions of a model's code."""
    _check_pair(chosen, model.latent_dim, model.name)


def _check_pair(chosen, latent_dim, who):
    if latent_dim < 2:
        raise ConfigError(f"a plane needs a code of at least two dimensions, {who} has {latent_dim}")
    _check_within(chosen, latent_dim, who)
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise ConfigError(f"a plane needs two different dimensions, got {' and '.join(str(i + 1) for i in chosen)}")


@options(model=CODED, chosen=CHOSEN)
def check_dimensions(model, chosen):
    """Raise ConfigError unless `chosen` are dimensions, counted from 0, of a model's code."""
    _check_within(chosen, model.latent_dim, model.name)


def _check_within(chosen, latent_dim, who):
    for i in chosen:
        if not 0 <= i < latent_dim:
            raise ConfigError(f"dimension {i + 1}: {who} has dimensions 1 to {latent_dim}")


@options(model=CODED)
def decode(model, codes, labels=None):
    """Decode a grid of codes (rows, columns, D) into images (rows, columns, *input_shape).

    labels: (rows,) or a single label, for a model whose decoder takes labels.
    """
    codes = floats(codes)
    if codes.ndim != 3:
        raise ShapeError(f"expected codes (rows, columns, D), got {codes.shape}")
    rows, columns, dim = codes.shape
    told = {} if labels is None else model.label_arguments(as_labels(one_for_all(labels, rows), rows).repeat(columns))
    return model.decode(codes.reshape(-1, dim).astype(model.dtype), **told).reshape(rows, columns, *model.input_shape)


@options(model=MODEL)
def transfer(model, x, labels, targets):
    """Decode the style of each example with other labels.

    The style is what the code of a model with labels adds to the label (Kingma et al. 2014, section 4.3): the code
    itself, or its difference from the mean of its class.

    Parameters
    ----------
    model : Model
        A model with labels and styles, such as CVAE.
    x : (N, ...) array
        Examples.
    labels : (N,) array of int
        Their labels.
    targets : (T,) array of int
        Labels to decode with.

    Returns
    -------
    images : (N, T, *input_shape) array

    Raises
    ------
    ConfigError
        If the model takes no labels.
    """
    if not (model.labels and model.labels.styles):
        raise ConfigError(f"{model.name} takes no labels to decode a style with: train cvae or class-mean-vae")
    model.check_labels(targets)
    styles, targets = model.style(x, labels), as_labels(targets)
    n, moved = len(styles), styles.repeat(len(targets), axis=0)
    return model.styled(moved, np.tile(targets, n)).reshape(n, len(targets), *model.input_shape)
