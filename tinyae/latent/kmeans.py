"""k-means (Lloyd 1982), with the operations of vector quantisation: a codebook's start."""

import numpy as np

from ..backend import array_module
from ..backend.operations import code_sums, nearest_code

ROUNDS = 10


def kmeans(x, count, noise, rounds=ROUNDS):
    """`count` centres (count, D) of vectors x (M, D), from vectors drawn without replacement, or all, if M is smaller.

    A round sets each centre to the mean of the vectors nearest to it; one without any moves to a drawn vector.
    """
    xp = array_module(x)
    order = np.resize(noise.permutation(len(x), "start"), count)
    centres = x[noise.xp.asarray(order)]
    for i in range(rounds):
        counts, sums = code_sums(x, nearest_code(x, centres), count)
        drawn = x[(noise.uniform(f"round.{i}", (count,), "float64") * len(x)).astype("int64")]
        empty = (counts == 0)[:, None]
        centres = xp.where(empty, drawn, sums / xp.maximum(counts, 1)[:, None])
    return centres
