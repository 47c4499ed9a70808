"""What tests of adversaries share: a phase by its name, and dense networks from their weights."""

import numpy as np


def phase_of(model, name):
    (phase,) = (phase for phase in model.phases if phase.name == name)
    return phase


def mlp(p, network, x):
    """Two dense layers with tanh between, of `named_parameters()` and nothing else."""
    first, last = sorted({int(name.split(".")[1]) for name in p if name.startswith(f"{network}.")})
    w, b, v, c = (p[f"{network}.{i}.{kind}"] for i in (first, last) for kind in ("weight", "bias"))
    return np.tanh(x.reshape(len(x), -1) @ w + b) @ v + c


def log_sigmoid(v):
    return -np.log1p(np.exp(-v))
