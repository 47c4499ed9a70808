"""Explains a loss or a latent operation: formula, code, and the gradient by each argument."""

import functools
import inspect

from ..errors import ConfigError
from ..gradcheck import functions
from ..gradcheck.problems import FunctionCase
from ..latent import gaussian, kl_forms, mixture, quantize, sparsity
from ..losses import adversarial, image, pixel
from .gradients import compared
from .shapes import described
from .source import code, doc, operations_in

MODULES = pixel, image, adversarial, gaussian, kl_forms, mixture, quantize, sparsity


def home(name):
    """The function behind a name of `gradcheck.functions`, which may end in an option: cross_entropy_smoothed."""
    words = name.split("_")
    for end in range(len(words), 0, -1):
        prefix = "_".join(words[:end])
        for found, thing in (item for module in MODULES for item in vars(module).items()):
            longer = end < len(words) and found.startswith(f"{prefix}_")
            if inspect.isfunction(thing) and (found == prefix or longer):
                return thing
    raise LookupError(name)


def explain(name, kind, shape, settings):
    if shape is not None or settings:
        raise ConfigError(f"{name} is a {kind}: --shape and --set are for layers and models")
    function, arrays = functions()[name]
    rows, pairs, problem = compared(functools.partial(FunctionCase, function, arrays))
    thing = home(name)
    summary, formula = doc(thing)
    backward = vars(inspect.getmodule(thing)).get(f"{thing.__name__}_backward")
    texts = [code(each) for each in (thing, backward) if each is not None]
    loss, *gradients = problem.call(problem.point)
    shapes = {key: described(value) for key, value in problem.point.items()} | {"loss": described(loss)}
    shapes |= {f"d{key}": described(g) for key, g in zip(problem.point, gradients, strict=True)}
    return {
        "name": name, "kind": kind, "summary": summary, "formula": formula, "file": texts[0]["file"],
        "code": texts + operations_in(*(text["text"] for text in texts)), "shapes": shapes, "gradients": rows,
        "arrays": pairs,
    }  # fmt: skip
