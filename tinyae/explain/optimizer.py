"""Explains an optimiser: formula, code, and its first steps on a parabola."""

import inspect

import numpy as np

from ..errors import ConfigError
from ..params import ParamStore
from .source import code, doc, operations_in

STEPS = 5
START = (1.0, -0.1)  # two parameters whose gradients differ by a factor of ten: L = |w|^2 / 2, so g = w


def explain(name, cls, shape, settings):
    if shape is not None:
        raise ConfigError(f"{name} is an optimiser: --shape is for layers and models")
    optimizer = cls(**({"lr": 0.1} if "lr" in inspect.signature(cls).parameters else {}) | settings)
    store = ParamStore({"w": (len(START),)}, np, "float64")
    store.flat[...] = START
    table = []
    for step in range(STEPS):
        gradient = store.like()
        gradient.flat[...] = store.flat
        row = {"step": step, "w": store.flat.tolist(), "g": gradient.flat.tolist()}
        optimizer.step(store, gradient)
        state = {key: value.tolist() for key, value in optimizer.state().items() if key != "steps"}
        table.append(row | state | {"new w": store.flat.tolist()})
    summary, formula = doc(cls)
    methods = [cls.__init__] if "__init__" in vars(cls) else []
    methods += [vars(cls)[key] for key in ("update", "step") if key in vars(cls)] or [cls.update]
    texts = [code(method) for method in methods]
    return {
        "name": name, "kind": "optimiser", "summary": summary, "formula": formula, "file": texts[0]["file"],
        "code": texts + operations_in(*(text["text"] for text in texts)), "steps": table,
    }  # fmt: skip
