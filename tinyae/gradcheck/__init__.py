"""The gradient checker: what is written by hand against what is measured.

`differences` measures gradients, `problems` says of what, `contract` checks what no difference shows (gradients that
are overwritten, a batch axis that is lost), `formulas` has losses and latent operations, and `operations` compares the
float32 arithmetic that users run with float64.
"""

import inspect

from ..errors import ConfigError, suggest
from ..layers import REGISTRY
from ..layers.base import Layer
from . import contract
from .differences import POINTS, TOLERANCE, check
from .formulas import functions
from .operations import OPERATIONS, check_operation
from .problems import LayerCase, PhaseCase, modes
from .report import Report

__all__ = [
    "OPERATIONS", "POINTS", "TOLERANCE", "Report", "check_by_name", "functions", "gradcheck", "gradcheck_function",
    "names",
]  # fmt: skip

OTHER_BATCH_SIZE = 7  # of a larger batch, for losses that are given a part of it


def gradcheck(subject, input_shape=None, *, seed=0, tolerance=TOLERANCE, directions=3, batch=3, train=None):
    """Check the gradients of a layer or a model -> Report.

    Each array's gradient against central differences in float64, at `batch` examples and at one; and the promises of
    the contract, such as that backward adds to the gradients and changes nothing that it is given.

    subject: a layer (then `input_shape`, without the batch axis, is needed) or a model, whose own input shape serves;
    one's own subclasses too. A float32 model is checked through a float64 copy, near its parameters. seed: of inputs,
    noise and directions. directions: points drawn. train: of a layer, whether in training mode; None for both, where
    they differ. Raises ConfigError for anything else.
    """
    report = Report(repr(subject), tolerance)
    if isinstance(subject, Layer):
        if input_shape is None:
            raise ConfigError(f"gradcheck of {subject!r} needs an input_shape")
        input_shape = tuple(input_shape)
        for mode in modes(subject, input_shape, batch, seed) if train is None else (train,):
            _check_layer(report, subject, input_shape, seed, directions, batch, mode)
    elif hasattr(subject, "loss_and_grads"):
        for phase in subject.phases:
            _check_phase(report, subject, phase.name, seed, directions, batch)
    else:
        raise ConfigError(f"gradcheck takes a layer or a model, got {type(subject).__name__}")
    return report


def _check_layer(report, layer, input_shape, seed, directions, batch, train):
    def make(size):
        def at(noise):
            case = LayerCase(layer, input_shape, size, train, noise)
            return case.point, case.evaluate

        return at

    faults = {size: contract.layer_faults(layer, input_shape, size, train, seed) for size in (batch, 1)}
    _check(report, faults, make, seed, directions)


def _check_phase(report, model, phase, seed, directions, batch):
    def make(size):
        def at(noise):
            case = PhaseCase(model, phase, size, noise)
            return case.point, case.evaluate

        return at

    faults = {size: contract.model_faults(model, phase, size, seed) for size in (batch, 1)}
    _check(report, faults, make, seed, directions)


def _check(report, faults, make, seed, directions):
    """faults: by the size of the batch, (lines, whether gradients can be measured). make(size): a problem."""
    problems = []
    for size, (lines, measurable) in faults.items():
        for line in lines:
            report.fault(line)
        if measurable:
            problems.append((make(size), directions if size > 1 or len(faults) == 1 else 1))
    check(report, problems, seed)


def gradcheck_function(name, function, arrays, *, seed=0, tolerance=TOLERANCE, directions=3):
    """Check a function of float arrays that returns (loss, gradient by the first array, by the second, ...) -> Report.

    arrays: a function of a Noise that draws the arguments as a dict. A function that takes `batch_size` is checked with
    one, too.
    """

    def make(**options):
        def at(noise):
            def evaluate(p, gradients):
                loss, *grads = function(**p, **options)
                return loss, dict(zip(p, grads, strict=True)) if gradients else None

            return arrays(noise), evaluate

        return at

    report, problems = Report(name, tolerance), [(make(), directions)]
    if "batch_size" in inspect.signature(function).parameters:
        problems.append((make(batch_size=OTHER_BATCH_SIZE), 1))
    lines, measurable = contract.function_faults(function, arrays, seed)
    for line in lines:
        report.fault(line)
    return check(report, problems if measurable else [], seed)


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
