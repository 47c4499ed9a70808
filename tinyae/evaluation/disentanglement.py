"""Disentanglement: does each number of a code say one thing about how an image was made?

It takes examples whose factors are known, such as `tinyae.data.load("dsprites")`:

    disentanglement(model.encode, part.x, part.factors)      # {"higgins": ..., "mig": ..., "gaps": [...]}

Codes are (N, D), of any real dtype; factors are integers (N, K), one column a factor. Of a variational model the code
is the posterior's mean. Where memory would grow with N x D, the work is done in blocks.
"""

import numpy as np

from ..backend import Noise
from ..data.examples import as_array, check_some
from ..errors import DataError, ShapeError
from ..options import SEED, Count, Function, options
from .probe import LinearProbe

BINS = 20  # of a code's dimension, as in Locatello et al. 2019
PAIRS = 64  # of images, over which a vote is averaged
VOTES = 5000  # to fit the classifier, and as many to judge it
IMAGES, BLOCK = 1000, 2**22  # examples, and numbers, in memory at a time


@options(encode=Function(), seed=SEED)
def disentanglement(encode, x, factors, seed=0):
    """Both metrics of a function that encodes: a dict with "higgins", "mig" and "gaps" (`information_gaps`).

    encode: (n, ...) examples -> (n, D) codes; it is given 1,000 at a time. x: an array or what is indexed like one.
    """
    x = as_array(x)
    check_some(x, "disentanglement")
    starts = range(0, len(x), IMAGES)
    codes = np.concatenate([np.asarray(encode(x[first : first + IMAGES])) for first in starts])
    gaps = information_gaps(codes, factors)
    return {"higgins": higgins(codes, factors, seed=seed), "mig": float(gaps.mean()), "gaps": gaps.tolist()}


@options(seed=SEED, votes=Count(), pairs=Count())
def higgins(codes, factors, seed=0, votes=VOTES, pairs=PAIRS):
    """Higgins et al. 2017, section 3: how often a linear classifier tells which factor two images share. In [0, 1].

    For a vote a factor k is drawn, then `pairs` pairs of examples that agree in k, and else as chance will have it; the
    classifier sees     mean over the pairs of |z1 - z2|,     (D,), small in the dimensions that depend on k alone.
    It is a softmax regression (`LinearProbe`, where theirs was trained by Adagrad), fitted to `votes` votes and judged
    by as many others. Both of a pair come from the given examples: the first one is any of them, the second one any
    that has its value of k.
    """
    codes, factors = _checked(codes, factors)
    noise, kinds = Noise(seed), factors.shape[1]
    if kinds < 2:
        raise ShapeError("higgins: one factor alone cannot be told from others: give two or more")
    seen = [_votes(codes, factors, votes, pairs, noise.child(part)) for part in ("fit", "judge")]
    return LinearProbe(kinds).fit(*seen[0]).score(*seen[1])


def _votes(codes, factors, votes, pairs, noise):
    """(differences (votes, D) float32, the factors that were fixed (votes,))."""
    count, kinds = factors.shape
    fixed = (noise.uniform("factor", votes) * kinds).astype(np.int64)
    draws = noise.uniform("pairs", (votes, pairs, 2), "float64")
    first = (draws[..., 0] * count).astype(np.int64)
    second = np.empty_like(first)
    for k in range(kinds):
        order = np.argsort(factors[:, k], kind="stable")  # those of one value lie side by side
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
    """The mutual information gap (Chen et al. 2018, section 4): the mean of `information_gaps`, in [0, 1]."""
    return float(information_gaps(codes, factors, bins).mean())


def information_gaps(codes, factors, bins=BINS):
    """(K,): for each factor v, how much more the best dimension of the code knows of it than the second best,

        (I(z_first; v) - I(z_second; v)) / H(v)        between 0 and 1.

    The code is cut into bins, so that a factor of more values than bins cannot reach 1: the best possible is about
    log(bins) / H(v), 0.81 for 40 values in 20 bins.
    """
    codes, factors = _checked(codes, factors)
    entropies = np.array([entropy(np.unique(column, return_counts=True)[1]) for column in factors.T])
    if not entropies.all():
        raise DataError(f"factor {int(entropies.argmin())} never changes, so nothing can be known of it: leave it out")
    information = mutual_information(codes, factors, bins)
    *_, second, first = np.sort(np.pad(information, ((1, 0), (0, 0))), axis=0)  # 0 is second where D = 1
    return (first - second) / entropies


@options(bins=Count(2))
def mutual_information(codes, factors, bins=BINS):
    """(D, K) nats: I(z; v) = H(z) + H(v) - H(z, v), each dimension of the code cut into bins as wide as each other.

    It is never below 0; chance adds some (bins - 1) (values - 1) / 2 N.
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
    """(..., n) counts -> (...) nats: -sum p log p of their shares p. Raises `ShapeError`."""
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
        raise DataError(f"disentanglement: factors are integers, an index of each value, not {factors.dtype}")
    if codes.dtype.kind == "f" and not np.isfinite(codes).all():
        raise DataError("disentanglement: the codes have NaN or infinite values")
    return codes, factors
