"""k-means (Lloyd 1982), with the primitives of vector quantisation: a codebook's start."""

from ..backend import array_module
from ..backend.codes import code_sums, nearest_code

ROUNDS = 10


def kmeans(x, count, noise, rounds=ROUNDS):
    """`count` centres (count, D) of vectors x (M, D), from vectors drawn without replacement (with, if M is smaller).

    A round sets each centre to the mean of the vectors nearest to it; one without any moves to a drawn vector.
    """
    xp = array_module(x)
    order = noise.permutation(len(x), "start")
    centres = x[noise.xp.asarray(order[:count] if len(x) >= count else order.repeat(-(-count // len(x)))[:count])]
    for i in range(rounds):
        counts, sums = code_sums(x, nearest_code(x, centres), count)
        drawn = x[(noise.uniform(f"round.{i}", (count,), "float64") * len(x)).astype("int64")]
        empty = (counts == 0)[:, None]
        centres = xp.where(empty, drawn, sums / xp.maximum(counts, 1)[:, None])
    return centres
