"""Explains a layer: formula, the forward and backward that run, the shapes of an example, and its gradients."""

import functools
import inspect
import re

import numpy as np

from ..gradcheck.problems import LayerCase
from ..layers import Layer
from .gradients import compared
from .shapes import described, flat
from .source import code, doc, operations_in

BATCH = 2
SHARED = {name for name in vars(Layer) if name != "add_grads"}  # checks and shape arithmetic


def explain(name, cls, shape, settings):
    layer, example_shape = cls.examples()[0]
    layer, example_shape = cls(**settings) if settings else layer, shape or example_shape
    layer.output_shape(example_shape)
    rows, arrays, problem = compared(functools.partial(LayerCase, layer, example_shape, True, BATCH))
    params = problem.params(problem.point)
    y, cache = problem.forward(params, problem.point.get("x", problem.x))
    grads = problem.zeros()
    dx = layer.backward(params, cache, np.array(problem.cotangent), grads)
    summary, formula = doc(cls)
    texts = _methods(cls)
    shapes = {"x": described(problem.x), **flat("params", params), "y": described(y), "cache": described(cache, 3)}
    shapes |= {"dy": described(problem.cotangent), **flat("grads", grads), "dx": described(dx)}
    return {
        "name": name, "kind": "layer", "summary": summary, "formula": formula, "file": texts[0]["file"],
        "code": texts + operations_in(*(text["text"] for text in texts)), "example": repr(layer), "shapes": shapes,
        "gradients": rows, "arrays": arrays,
    }  # fmt: skip


def _methods(cls):
    """The code of forward and backward as they run, and of the methods of the layer that they call."""
    names, texts = ["forward", "backward"], []
    for name in names:
        texts.append(code(getattr(cls, name)))
        for called in re.findall(r"\bself\.(\w+)\(", texts[-1]["text"]):
            if inspect.isfunction(getattr(cls, called, None)) and called not in names and called not in SHARED:
                names.append(called)
    return texts
