"""What is wrong with a gradient: where it is worst, and whether the error has a simple pattern."""

import itertools
import math
from typing import NamedTuple

import numpy as np

STEP = 1e-5
CLOSE = 1e-4  # two gradients of a pattern may differ by this share of the largest value
MOST = 4096  # coordinates of an array that are measured one by one


class Diagnosis(NamedTuple):
    """The worst coordinate of an array's gradient, and what the error looks like over all coordinates."""

    array: str
    shape: tuple
    index: tuple
    analytic: float
    numeric: float
    pattern: str

    def lines(self):
        at = f"[{', '.join(map(str, self.index))}]"
        worst = f"worst at {at}: analytic {self.analytic:.6g}, numeric {self.numeric:.6g}"
        return [f"{self.array} {self.shape}: {worst}", f"{self.array}: {self.pattern}"]


def diagnose(problem, key):
    """The Diagnosis of one array of a problem (see `problems`), or None if it has more than MOST coordinates."""
    value = problem.point[key]
    if value.size > MOST:
        return None
    analytic = np.array(problem.evaluate(problem.point, True)[1][key], "float64")
    numeric = numeric_gradient(problem, key)
    index = worst(analytic, numeric)
    found = _turned(problem, key, analytic) or pattern(analytic, numeric, _by_example(problem, key))
    return Diagnosis(key, value.shape, index, float(analytic[index]), float(numeric[index]), found)


def worst(analytic, numeric):
    """The index of the largest error; NaN counts as larger than all others."""
    error = np.abs(analytic - numeric)
    return tuple(map(int, np.unravel_index(int(error.argmax()), error.shape)))


def numeric_gradient(problem, key, others=None):
    """Central differences along each coordinate of the array `key`, an array of its shape. others: arrays in place of
    the point's own."""
    point = problem.point | (others or {})
    value = point[key]
    gradient = np.empty(value.shape)
    for index in np.ndindex(*value.shape):
        losses = []
        for step in (STEP, -STEP):
            moved = np.array(value)
            moved[index] += step
            losses.append(float(problem.evaluate(point | {key: moved}, False)[0]))
        gradient[index] = (losses[0] - losses[1]) / (2 * STEP)
    return gradient


def _turned(problem, key, analytic):
    """In words, if the gradient is right for another parameter, a square matrix, turned into its transpose."""
    for name, value in problem.point.items():
        if name != key and value.ndim == 2 and value.shape[0] == value.shape[1] > 1:
            numeric = numeric_gradient(problem, key, {name: value.T})
            if _close(analytic, numeric) and not _close(analytic, numeric_gradient(problem, key)):
                return f"it is right with {name} transposed: {name}.T stands in place of {name}, or the other way round"
    return None


def _by_example(problem, key):
    """The numeric gradients of a layer's parameter from the first and from the last example alone."""
    whole = getattr(problem, "cotangent", None)
    if whole is None or key == "x" or len(whole) < 2:
        return {}
    found = {}
    try:
        for name, row in (("first", 0), ("last", -1)):
            problem.cotangent = np.zeros_like(whole)
            problem.cotangent[row] = whole[row]
            found[name] = numeric_gradient(problem, key)
    finally:
        problem.cotangent = whole
    return found


def pattern(analytic, numeric, by_example):
    """In words, how an analytic gradient differs from the numeric one of the same shape.

    by_example: {name: the numeric gradient from one example of the batch alone}.
    """
    a, n = analytic, numeric
    if not np.isfinite(a).all():
        return f"{np.count_nonzero(~np.isfinite(a))} of {a.size} coordinates are NaN or infinite"
    if not a.any():
        return "it is 0 everywhere: the gradient is never added, or multiplied by 0"
    if (factor := _factor(a, n)) is not None:
        return _of_factor(factor)
    for name, one in by_example.items():
        if _close(a, one):
            return f"it is the gradient of the {name} example alone: the sum over the batch is missing"
    for axes in list(itertools.permutations(range(a.ndim)))[1:]:
        if _close(a.ravel(), n.transpose(axes).ravel()):
            return f"it is transposed: it equals the numeric gradient with its axes in the order {axes}"
    for axes in (axes for k in range(1, a.ndim + 1) for axes in itertools.combinations(range(a.ndim), k)):
        if _close(a, np.flip(n, axes)):
            return f"it is flipped along {_axes(axes)}"
    for axis in range(a.ndim):
        if a.shape[axis] > 1 and _close(a, np.broadcast_to(n.mean(axis, keepdims=True), a.shape)):
            return f"it is the mean over {_axes((axis,))} of the numeric gradient: a sum or mean too many"
        if a.shape[axis] > 1 and _close(a - n, np.broadcast_to((a - n).mean(axis, keepdims=True), a.shape), n):
            return f"it differs by a term that is constant along {_axes((axis,))}: a sum over that axis is missing"
    return _some(a, n)


def _factor(a, n):
    """c if a = c n, or None."""
    square = float((n * n).sum())
    factor = float((a * n).sum()) / square if square else 0.0
    return factor if factor and _close(a, factor * n) else None


def _of_factor(factor):
    if math.isclose(factor, -1, rel_tol=CLOSE):
        return "it has the wrong sign"
    if math.isclose(factor, 1, rel_tol=CLOSE):
        return "it agrees to four digits: the error is smaller than a wrong formula makes, such as one of rounding"
    sign, size = " and has the wrong sign" if factor < 0 else "", abs(factor)
    reason = "a factor is missing or too many"
    if size < 1 and math.isclose(1 / size, round(1 / size), rel_tol=CLOSE):
        reason += f", such as a mean over {round(1 / size)} values in place of a sum"
    return f"it is {size:.6g} times the numeric gradient everywhere{sign}: {reason}"


def _close(a, b, like=None):
    largest = max(float(np.abs(x).max(initial=0.0)) for x in ((a, b) if like is None else (a, b, like)))
    return a.shape == b.shape and bool((np.abs(a - b) <= CLOSE * largest).all())


def _some(a, n):
    """No pattern over all coordinates: which of them are wrong."""
    wrong = np.abs(a - n) > CLOSE * max(np.abs(a).max(), np.abs(n).max())
    count = f"{np.count_nonzero(wrong)} of {a.size} coordinates are wrong"
    for axis, length in enumerate(a.shape):
        others = tuple(i for i in range(a.ndim) if i != axis)
        bad = np.flatnonzero(wrong.any(axis=others))
        if 0 < len(bad) < length:
            listed = ", ".join(map(str, bad[:8])) + (", ..." if len(bad) > 8 else "")
            return f"{count}, only at {listed} along axis {axis}"
    return f"{count}, without a simple pattern"


def _axes(axes):
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
