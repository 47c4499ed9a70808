"""Measures of disentanglement: does each dimension of a code depend on a single factor of an image?

They need examples with known factors, such as `tinyae.data.load("dsprites")`:

    disentanglement(model.encode, data.test.x, data.test.factors)      # {"higgins": ..., "mig": ..., "gaps": [...]}

Codes are (N, D), of any real dtype, and factors are integers (N, K) with a column for each factor. The code of a
variational model is the posterior's mean. Long arrays are processed in blocks.
"""

import numpy as np

from ..backend import Noise
from ..data.examples import as_array, check_some
from ..errors import DataError, ShapeError
from ..options import SEED, Count, Function, options
from .probe import LinearProbe

BINS = 20  # bins for each dimension of a code, as in Locatello et al. 2019
PAIRS = 64  # pairs of images that a vote is averaged over
VOTES = 5000  # votes to fit the classifier, and as many others to measure its accuracy
IMAGES, BLOCK = 1000, 2**22  # numbers of examples, and of values, in memory at a time


@options(encode=Function(), seed=SEED)
def disentanglement(encode, x, factors, seed=0):
    """Measure the disentanglement of an encoder by Higgins' metric and the mutual information gap.

    Parameters
    ----------
    encode : function
        Maps examples (n, ...) to codes (n, D). It is called with at most 1,000 examples.
    x : (N, ...) array
        Examples.
    factors : (N, K) array of int
        The factors of each example.
    seed : int, default 0
        Seed of the pairs of `higgins`.

    Returns
    -------
    figures : dict
        "higgins" (see `higgins`), "mig" (see `mig`) and "gaps", a list of K numbers (see `information_gaps`).
    """
    x = as_array(x)
    check_some(x, "disentanglement")
    starts = range(0, len(x), IMAGES)
    codes = np.concatenate([np.asarray(encode(x[first : first + IMAGES])) for first in starts])
    gaps = information_gaps(codes, factors)
    return {"higgins": higgins(codes, factors, seed=seed), "mig": float(gaps.mean()), "gaps": gaps.tolist()}


@options(seed=SEED, votes=Count(), pairs=Count())
def higgins(codes, factors, seed=0, votes=VOTES, pairs=PAIRS):
    """Higgins' metric: how often a linear classifier predicts which factor pairs of images have in common.

    For each vote a factor k is sampled, and then `pairs` pairs of examples with equal values of k. The classifier's
    input is

        mean over the pairs of |z1 - z2|     (D,), small in the dimensions that depend only on k

    It is a softmax regression (`LinearProbe`; Higgins et al. used Adagrad). The first example of a pair is any of the
    given ones, and the second is any with the same value of k.

    Parameters
    ----------
    codes : (N, D) array
        Codes of examples.
    factors : (N, K) array of int
        Their factors, two or more.
    seed : int, default 0
        Seed of the pairs.
    votes : int, default 5000
        Votes to fit the classifier, and as many others to measure its accuracy.
    pairs : int, default 64
        Pairs in a vote.

    Returns
    -------
    accuracy : float
        From 0 to 1.

    Raises
    ------
    ShapeError, DataError
        If codes or factors have other shapes or values.

    References
    ----------
    Higgins et al. 2017, beta-VAE, section 3.

    Example
    -------
    >>> factors = np.array([[a, b] for a in range(4) for b in range(4)])
    >>> higgins(factors.astype(float), factors, votes=100)
    1.0
    """
    codes, factors = _checked(codes, factors)
    noise, kinds = Noise(seed), factors.shape[1]
    if kinds < 2:
        raise ShapeError("higgins: a classifier of factors needs two or more, got one")
    seen = [_votes(codes, factors, votes, pairs, noise.child(part)) for part in ("fit", "judge")]
    return LinearProbe(kinds).fit(*seen[0]).score(*seen[1])


def _votes(codes, factors, votes, pairs, noise):
    """(mean differences (votes, D) float32, the factor that was equal in the pairs of each vote (votes,))."""
    count, kinds = factors.shape
    fixed = (noise.uniform("factor", votes) * kinds).astype(np.int64)
    draws = noise.uniform("pairs", (votes, pairs, 2), "float64")
    first = (draws[..., 0] * count).astype(np.int64)
    second = np.empty_like(first)
    for k in range(kinds):
        order = np.argsort(factors[:, k], kind="stable")  # examples of equal value are consecutive
        grouped, wanted = factors[order, k], factors[first[fixed == k], k]
        start, stop = np.searchsorted(grouped, wanted), np.searchsorted(grouped, wanted, side="right")
        second[fixed == k] = order[start + (draws[fixed == k, :, 1] * (stop - start)).astype(np.int64)]
    differences = np.empty((votes, codes.shape[1]), np.float32)
    block = max(1, BLOCK // (pairs * codes.shape[1]))
    for start in range(0, votes, block):
        rows = slice(start, start + block)
        one, other = (codes[which[rows]].astype(np.float32, copy=False) for which in (first, second))
        differences[rows] = abs(one - other).mean(axis=1)
    return differences, fixed


def mig(codes, factors, bins=BINS):
    """The mutual information gap (Chen et al. 2018, section 4): the mean of `information_gaps`, from 0 to 1."""
    return float(information_gaps(codes, factors, bins).mean())


def information_gaps(codes, factors, bins=BINS):
    """For each factor the gap between the two dimensions of the code with the most information about it.

        (I(z_first; v) - I(z_second; v)) / H(v)        for each factor v, between 0 and 1

    The values of the code are counted in bins, so a factor with more values than bins cannot reach 1: its largest value
    is about log(bins) / H(v), which is 0.81 for 40 values and 20 bins.

    Parameters
    ----------
    codes : (N, D) array
        Codes of examples.
    factors : (N, K) array of int
        Their factors.
    bins : int, default 20
        Bins of equal width for each dimension of the code.

    Returns
    -------
    gaps : (K,) array
        From 0 to 1.

    Raises
    ------
    DataError
        If a factor never changes.

    References
    ----------
    Chen et al. 2018, Isolating Sources of Disentanglement in VAEs, section 4.

    Example
    -------
    >>> factors = np.array([[a, b] for a in range(4) for b in range(4)])
    >>> information_gaps(factors.astype(float), factors).round(6).tolist()
    [1.0, 1.0]
    """
    codes, factors = _checked(codes, factors)
    entropies = np.array([entropy(np.unique(column, return_counts=True)[1]) for column in factors.T])
    if not entropies.all():
        raise DataError(f"factor {int(entropies.argmin())} has the same value in all examples: leave it out")
    information = mutual_information(codes, factors, bins)
    *_, second, first = np.sort(np.pad(information, ((1, 0), (0, 0))), axis=0)  # for D = 1 the second is 0
    return (first - second) / entropies


@options(bins=Count(2))
def mutual_information(codes, factors, bins=BINS):
    """The mutual information of each dimension of the code and each factor, (D, K) in nats.

        I(z; v) = H(z) + H(v) - H(z, v)        with each dimension z counted in bins of equal width

    It is at least 0. For independent z and v it is about (bins - 1) (values - 1) / 2N instead of 0.
    """
    codes, factors = _checked(codes, factors)
    low, high = codes.min(axis=0).astype(np.float64), codes.max(axis=0).astype(np.float64)
    per_unit = bins / np.where(high > low, high - low, 1)
    information = np.empty((codes.shape[1], factors.shape[1]))
    block = max(1, BLOCK // len(codes))
    for start in range(0, codes.shape[1], block):
        part = slice(start, start + block)
        binned = np.minimum(((codes[:, part] - low[part]) * per_unit[part]).astype(np.int64), bins - 1)
        binned += np.arange(binned.shape[1]) * bins
        for k, column in enumerate(factors.T):
            values, value = np.unique(column, return_inverse=True)
            size = binned.shape[1], bins, len(values)
            joint = np.bincount((binned * len(values) + value[:, None]).ravel(), minlength=np.prod(size)).reshape(size)
            together = entropy(joint.reshape(len(joint), -1))
            information[part, k] = entropy(joint.sum(axis=2)) + entropy(joint.sum(axis=1)) - together
    return np.maximum(information, 0)


def entropy(counts):
    """The entropy -sum p log p of the shares p of counts: (..., n) integers -> (...) nats. Raises `ShapeError`."""
    counts = as_array(counts, "counts")
    if counts.dtype.kind not in "iu" or not counts.ndim or not counts.size or counts.min() < 0:
        raise ShapeError(f"entropy: expected integer counts (..., n) from 0 on, got {counts.dtype} {counts.shape}")
    total = counts.sum(axis=-1)
    return np.log(total) - (counts * np.log(np.maximum(counts, 1))).sum(axis=-1) / total


def _checked(codes, factors):
    codes, factors = as_array(codes, "codes"), as_array(factors, "factors")
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or not codes.size or not factors.size:
        raise ShapeError(f"disentanglement: expected codes (N, D), factors (N, K), got {codes.shape}, {factors.shape}")
    if factors.dtype.kind not in "iu":
        raise DataError(f"disentanglement: factors must be integers, the index of each value, not {factors.dtype}")
    if codes.dtype.kind == "f" and not np.isfinite(codes).all():
        raise DataError("disentanglement: the codes have NaN or infinite values")
    return codes, factors
