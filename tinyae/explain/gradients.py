"""The gradients of a problem (see `gradcheck.problems`) compared with central differences, coordinate by coordinate."""

import numpy as np

from ..backend import Noise
from ..gradcheck import POINTS, TOLERANCE
from ..gradcheck.diagnosis import MOST, numeric_gradient, worst


def compared(make):
    """(rows, {name: (analytic, numeric)}) of the first point without a kink nearby. make(noise) gives a problem.

    A row has "array", "shape", "error" (relative to the largest value), and the "index", "analytic" and "numeric" value
    of the worst coordinate. Arrays of more than MOST coordinates are left out.
    """
    best = None
    for seed in range(POINTS):
        problem = make(Noise(seed).child("point"))
        gradients = problem.evaluate(problem.point, True)[1]
        arrays = {
            name: (np.asarray(gradients[name], "float64"), numeric_gradient(problem, name))
            for name, value in problem.point.items() if 0 < value.size <= MOST
        }  # fmt: skip
        rows = [_row(name, *pair) for name, pair in arrays.items()]
        largest = max((row["error"] for row in rows), default=0.0)
        if best is None or largest < best[0]:
            best = largest, rows, arrays, problem
        if largest < TOLERANCE:
            break
    return best[1:]


def _row(name, analytic, numeric):
    index = worst(analytic, numeric)
    a, n = float(analytic[index]), float(numeric[index])
    largest = max(float(np.abs(numeric).max()), float(np.abs(analytic).max()), 1e-300)
    return {
        "array": name, "shape": list(analytic.shape), "error": abs(a - n) / largest, "index": list(index),
        "analytic": a, "numeric": n,
    }  # fmt: skip
