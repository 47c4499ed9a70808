"""Values in a few characters: the shape of an array, and what a tuple, a dict or an object holds."""

import numpy as np


def described(value, depth=2):
    """ "(3, 4)" of an array, "[(3, 4), (4,)]" of a tuple of arrays, the type's name of anything else."""
    if isinstance(value, np.ndarray) or hasattr(value, "__array_interface__") and hasattr(value, "shape"):
        kind = "" if value.dtype.kind == "f" else f" {value.dtype}"
        return f"{tuple(value.shape)}{kind}"
    if isinstance(value, (tuple, list)) and depth:
        parts = [described(part, depth - 1) for part in value]
        return "[" + ", ".join(map(str, parts)) + "]" if parts else "[]"
    if isinstance(value, dict) and depth:
        return "{" + ", ".join(f"{key}: {described(part, depth - 1)}" for key, part in value.items()) + "}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    return type(value).__name__


def flat(prefix, tree):
    """{dotted name: shape} of a nested dict of arrays."""
    if isinstance(tree, dict):
        return {name: shape for key, part in tree.items() for name, shape in flat(f"{prefix}.{key}", part).items()}
    return {prefix: described(tree)}
