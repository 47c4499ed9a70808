"""Explains a model: its training step, line by line with the shapes of a run, and its terms."""

import math

from ..backend import Noise
from ..params import walk
from .source import code, doc
from .trace import traced

BATCH = 5


def explain(name, cls, shape, settings):
    own = {"input_shape": shape} if shape is not None else {}
    model = cls(**own | settings) if own or settings else cls.examples()[0]
    batch = model.example_batch(Noise(0).child("batch"), BATCH)
    steps, norms, terms = [], [], {}
    for phase in model.phases:
        grads = model.store.subset(phase.trains).like()

        def run(phase=phase, grads=grads):
            terms.update(model.phase_terms(phase, batch, None, 0, 0, grads=grads.tree))

        method = getattr(phase.step, "__func__", phase.step)
        lines = traced(method, run)
        place = code(method)
        steps.append({
            "phase": phase.name, "trains": list(phase.trains), "minimises": phase.objective, "file": place["file"],
            "line": place["line"], "name": place["name"], "lines": lines,
        })  # fmt: skip
        norms += [
            {"phase": phase.name, "array": key, "norm": math.sqrt(float((g * g).sum()))} for key, g in walk(grads.tree)
        ]
    summary, rest = doc(cls)
    return {
        "name": name, "kind": "model", "summary": summary, "formula": rest.partition("\nParameters\n")[0],
        "file": steps[0]["file"], "example": repr(model), "batch": BATCH, "steps": steps,
        "terms": [{"term": key, "value": float(terms[key]), "unit": model.unit} for key in model.terms if key in terms],
        "norms": norms,
    }  # fmt: skip
