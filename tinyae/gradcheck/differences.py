"""Gradients against central differences, in float64.

For a point p and a unit direction d the derivative of a scalar L is measured as

    n = (L(p + h d) - L(p - h d)) / 2h        (error O(h^2), rounding O(1e-16 |L| / h))

and compared with a = <gradient, d>. Directions are drawn over all inputs and parameters together, and within each
array alone, so that a failure says where. The relative error is |n - a| / max(|n|, |a|, |gradient| / sqrt(size)): the
last keeps a direction that happens to be orthogonal to the gradient from dividing by rounding.

A kink (ReLU at 0) within h of the point would spoil n, not the gradient. It shows: n at h and at h/2 then disagree,
which they cannot for a smooth L. Such a point is drawn again; the tolerance is never loosened. If L is computed in
float32 somewhere, it is a staircase: n is the gradient at a larger h and is not at h = 1e-10.
"""

import math

from ..backend import Noise
from .diagnosis import STEP, diagnose
from .report import TOGETHER

TOLERANCE = 1e-6
POINTS = 20  # as many times a point with a kink nearby is replaced by another
FINEST, LARGE = 1e-10, 0.03  # finer than float32, and well coarser than float64; coarser than float16


def check_problems(report, problems, seed):
    """Add to `report` what is found for each problem.

    problems: (make, directions) pairs. make(noise) gives a problem with `point`, a dict of float64 arrays, and
    evaluate(point, gradients) -> (loss, dict of gradients or None). directions: how many points are drawn.
    """
    step = 0
    for make, directions in problems:
        for _ in range(directions):
            _check_one(report, make, seed, step)
            step += POINTS
    return report


def _check_one(report, make, seed, step):
    """Check at the first point without a kink; `step` seeds the first point's noise."""
    spoiled = []
    for attempt in range(POINTS):
        noise = Noise(seed, step + attempt)
        problem = make(noise.child("point"))
        errors, reason = _check_point(problem, noise.child("direction"), report.tolerance)
        if reason is None:
            for error, where in errors:
                report.add(error, where)
                if not error <= report.tolerance and where != TOGETHER and where not in report.diagnoses:
                    report.diagnoses[where] = diagnose(problem, where)
            return
        spoiled.append(reason)
    rounded = [name for name in spoiled if name]
    line = f"no point without a kink in {POINTS} draws"
    if 2 * len(rounded) > POINTS:
        line = (
            f"computes in less than float64: the loss is a staircase along {max(rounded, key=rounded.count)}, so that "
            "central differences cannot check it; keep the dtype of the input"
        )
    report.fault(line, measured=False)


def _check_point(problem, noise, tolerance):
    """([(relative error, where)], None) over the directions at a point. ([], reason) where none can be measured: "" for
    a kink nearby, or the arrays along which the loss is a staircase."""
    point, evaluate = problem.point, problem.evaluate
    loss, gradient = evaluate(point, True)
    errors = []
    subsets = [(key,) for key in point if point[key].size] + ([tuple(point)] if len(point) > 1 else [])
    for keys in subsets:
        direction = {key: noise.normal("+".join(keys) + "/" + key, point[key].shape, "float64") for key in keys}
        length = _norm(direction.values())
        direction = {key: d / length for key, d in direction.items()}
        analytic = sum(float((gradient[key] * d).sum()) for key, d in direction.items())
        size = sum(d.size for d in direction.values())
        typical = _norm([gradient[key] for key in keys]) / math.sqrt(size)

        coarse, fine = (_central_difference(point, evaluate, direction, h) for h in (STEP, STEP / 2))
        rounding = 1e-15 * max(abs(float(loss)), 1) / STEP
        scale = max(abs(coarse), abs(analytic), typical)
        spoiled = abs(coarse - fine) > 1e-7 * max(abs(coarse), typical) + 8 * rounding
        # Floor the denominator at the rounding error of the losses.
        error = abs(coarse - analytic) / max(scale, 2 * rounding / tolerance)
        if spoiled or error > tolerance:
            slopes = {h: _central_difference(point, evaluate, direction, h) for h in (FINEST, LARGE)} | {STEP: coarse}
            near = {h: abs(n - analytic) <= 0.1 * scale + rounding * STEP / h for h, n in slopes.items()}
            staircase = not near[FINEST] and (near[STEP] or near[LARGE])
            if spoiled or staircase:
                return [], ", ".join(keys) if staircase else ""
        errors.append((error, keys[0] if len(keys) == 1 else TOGETHER))
    return errors, None


def _central_difference(point, evaluate, direction, h):
    def shifted(step):
        return evaluate({k: v + step * direction[k] if k in direction else v for k, v in point.items()}, False)[0]

    return float(shifted(h) - shifted(-h)) / (2 * h)


def _norm(arrays):
    return math.sqrt(sum(float((a * a).sum()) for a in arrays))
