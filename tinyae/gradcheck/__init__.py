"""The gradient checker: what is written by hand against what is measured.

`differences` measures gradients, `problems` says of what, `contract` checks what no difference shows (gradients that
are overwritten, a batch axis that is lost), `formulas` has losses and latent operations, and `operations` compares the
float32 arithmetic that users run with float64.
"""

import functools
import inspect

from ..errors import ConfigError, suggest
from ..layers import REGISTRY
from ..layers.base import Layer
from ..options import RATE, SEED, Count, Counts, Flag, Optional, options
from . import contract
from .differences import POINTS, TOLERANCE, check_problems
from .formulas import functions
from .operations import OPERATIONS, check_operation
from .problems import FunctionCase, LayerCase, PhaseCase, modes
from .report import Report

__all__ = [
    "OPERATIONS", "POINTS", "TOLERANCE", "Report", "check_by_name", "functions", "gradcheck", "gradcheck_function",
    "names",
]  # fmt: skip

OTHER_BATCH_SIZE = 7  # the size of a larger batch, for losses that are given a part of it


CHECKED = dict(seed=SEED, tolerance=RATE, directions=Count())


@options(input_shape=Optional(Counts()), batch=Count(), train=Optional(Flag()), **CHECKED)
def gradcheck(subject, input_shape=None, *, seed=0, tolerance=TOLERANCE, directions=3, batch=3, train=None):
    """Check the gradients of a layer or a model -> Report.

    Each array's gradient against central differences in float64, at `batch` examples and at one; and the promises of
    the contract, such as that backward adds to the gradients and changes nothing that it is given.

    subject: a layer (then `input_shape`, without the batch axis, is needed) or a model, whose own input shape serves;
    one's own subclasses too. A float32 model is checked through a float64 copy, near its parameters. seed: of inputs,
    noise and directions. directions: points drawn. train: of a layer, whether in training mode; None for both, where
    they differ. Raises ConfigError for anything else.
    """
    from ..models.model import Model

    report = Report(repr(subject), tolerance)
    if isinstance(subject, Layer):
        if input_shape is None:
            raise ConfigError(f"gradcheck of {subject!r} needs an input_shape")
        for mode in modes(subject, input_shape, batch, seed) if train is None else (train,):
            _check(report, LayerCase, contract.layer_faults, (subject, input_shape, mode), batch, seed, directions)
    elif isinstance(subject, Model):
        for phase in subject.phases:
            _check(report, PhaseCase, contract.phase_faults, (subject, phase.name), batch, seed, directions)
    else:
        raise ConfigError(f"gradcheck takes a layer or a model, got {type(subject).__name__}")
    return report


def _check(report, case, faults, what, batch, seed, directions):
    """Check `what` at `batch` examples, and once at a single one."""
    problems = []
    for size in dict.fromkeys((batch, 1)):
        make = functools.partial(case, *what, size)
        lines, measurable = faults(make, seed)
        for line in lines:
            report.fault(line if size == batch or line in report.faults else f"at a batch of 1, {line}")
        if measurable:
            problems.append((make, directions if size == batch else 1))
    check_problems(report, problems, seed)


@options(**CHECKED)
def gradcheck_function(name, function, arrays, *, seed=0, tolerance=TOLERANCE, directions=3):
    """Check a function of float arrays that returns (loss, gradient by the first array, by the second, ...) -> Report.

    arrays: a function of a Noise that draws the arguments as a dict. A function that takes `batch_size` is checked with
    one, too.
    """

    report, make = Report(name, tolerance), functools.partial(FunctionCase, function, arrays)
    lines, measurable = contract.function_faults(make, seed)
    for line in lines:
        report.fault(line)
    problems = [(make, directions)]
    if "batch_size" in inspect.signature(function).parameters:
        problems.append((functools.partial(make, batch_size=OTHER_BATCH_SIZE), 1))
    return check_problems(report, problems if measurable else [], seed)


def names():
    """{name: kind} of all that can be checked."""
    from ..models import NAMES

    kinds = {"layer": sorted(REGISTRY), "function": functions(), "model": NAMES, "float32": OPERATIONS}
    return {name: kind for kind, group in kinds.items() for name in group}


def check_by_name(name, seed=0, tolerance=TOLERANCE):
    """One Report per example of a layer, or one of a loss, a latent operation, a model or a float32 operation."""
    kind = names().get(name)
    if kind == "layer":
        for layer, shape in REGISTRY[name].examples():
            for train in (True, False):
                yield gradcheck(layer, shape, seed=seed, tolerance=tolerance, train=train)
    elif kind == "function":
        yield gradcheck_function(name, *functions()[name], seed=seed, tolerance=tolerance)
    elif kind == "model":
        from ..models import NAMES

        for model in NAMES[name].examples():
            yield gradcheck(model, seed=seed, tolerance=tolerance)
    elif kind == "float32":
        yield from check_operation(name, seed)
    else:
        raise suggest("layer, function or model", name, names())
