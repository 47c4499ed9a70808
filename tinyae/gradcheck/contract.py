"""The promises of a layer and of a model's step that finite differences cannot see, each checked by a run of its own.

What a backward adds to is not zero at first, as in training where several backwards add up. A broken promise is a line
that says what is wrong and what is right.
"""

import traceback
from pathlib import Path

import numpy as np

from ..backend import Noise
from ..params import nest, walk

NOTHING_GIVEN = "it may change nothing that it is given"
KEEPS = "what is kept between calls belongs into the cache, and noise comes from rng"


class Broken(Exception):
    """A promise that is broken; its text is the line."""


def layer_faults(make, seed):
    """(lines, one for each promise that a layer breaks; whether its gradients can be measured at all).

    make(noise): a LayerCase.
    """
    case = make(Noise(seed).child("contract"))
    checks = _frozen, _adds, _add_grads, _another_forward, _read_only
    return _lines(case, _forward_and_backward, checks)


def phase_faults(make, seed):
    """As `layer_faults`, of a phase of a model. make(noise): a PhaseCase."""
    return _lines(make(Noise(seed).child("contract")), _step, (_step_adds, _size_of_the_batch))


def function_faults(make, seed):
    """As `layer_faults`, of a function. make(noise): a FunctionCase."""
    return _lines(make(Noise(seed).child("contract")), _loss_and_gradients, (_read_only_arguments,))


def _lines(case, first, checks):
    """The lines of `checks`, which are given what `first` returns; the line of `first` alone if that is broken."""
    try:
        outcome = first(case)
    except Broken as broken:
        return [str(broken)], False
    found = []
    for each in checks:
        try:
            each(case, outcome)
        except Broken as broken:
            found.append(str(broken))
    return found, True


# Layers


def _forward_and_backward(case):
    """(dx, gradients by name) of a first run, whose arrays' shapes and dtypes are as announced."""
    params = case.params(case.point)
    given = {**{name: case.point[name] for name in case.named_shapes}, "x": case.x, **_arrays(case.state, "state")}
    outcome = _changing_nothing("forward", given, lambda: case.forward(params, case.x))
    if not isinstance(outcome, tuple) or len(outcome) != 2:
        raise Broken(f"forward returns {type(outcome).__name__}, expected (y, cache)")
    y, cache = outcome
    _as_announced("forward gives y", y, case.output_shape)
    again, _ = _call("forward", lambda: case.forward(params, case.x))
    if not _same(again, y):
        raise Broken(f"forward gives another y for the same input: {KEEPS}")
    grads = case.zeros()
    given |= {"dy": case.cotangent, **_arrays(cache, "cache")}
    dx = _changing_nothing("backward", given, lambda: case.layer.backward(params, cache, case.cotangent, grads))
    if case.layer.integer_input is None:
        _as_announced("backward gives dx", dx, case.x.shape)
    return dx, _gradients(grads, case.named_shapes)


def _frozen(case, first):
    cache = case.forward(case.params(case.point), case.x)[1]
    call = "backward with grads=None"
    dx = _call(call, lambda: case.layer.backward(case.params(case.point), cache, case.cotangent), _FROZEN)
    if not _same(dx, first[0]):
        raise Broken(f"{call} gives another dx: {_FROZEN}")


_FROZEN = "it has to give dx alone, as where a layer is frozen"


def _adds(case, first):
    params = case.params(case.point)
    cache = case.forward(params, case.x)[1]
    adding = _Adding(case.named_shapes, first[1])
    tree = nest(case.shapes, adding.arrays)
    for _ in range(2):
        dx = _call("a further backward", lambda: case.layer.backward(params, cache, case.cotangent, tree))
        adding.check(tree)
        if not _same(dx, first[0]):
            raise Broken("a second backward from the same cache gives another dx")


def _add_grads(case, first):
    params = case.params(case.point)
    cache = case.forward(params, case.x)[1]
    grads = case.zeros()
    try:
        _call("add_grads", lambda: case.layer.add_grads(params, cache, case.cotangent, grads))
    except Broken:
        # A parent's add_grads may not take what a child's own backward takes. That is no wrong gradient but an error.
        if "add_grads" in vars(_definer(case.layer, "backward")):
            raise
        return
    for name, gradient in _gradients(grads, case.named_shapes).items():
        if not _same(gradient, first[1][name]):
            raise Broken(f"add_grads gives another gradient of {name} than backward")


def _definer(layer, name):
    """The class that the method comes from."""
    return next(cls for cls in type(layer).__mro__ if name in vars(cls))


def _another_forward(case, first):
    """Backward after a forward of another input, as in a network that uses a layer twice."""
    params = case.params(case.point)
    cache = case.forward(params, case.x)[1]
    other = case.input(case.rng.child("another"), len(case.x), case.x.shape[1:])
    _call("a second forward", lambda: case.forward(params, other))
    grads = case.zeros()
    dx = _call("backward", lambda: case.layer.backward(params, cache, case.cotangent, grads))
    found = {"dx": dx, **_gradients(grads, case.named_shapes)}
    for name, value in ({"dx": first[0]} | first[1]).items():
        if not _same(found[name], value):
            raise Broken(f"backward gives another {name} once forward has seen another input: {KEEPS}")


def _read_only(case, first):
    """A run on arrays that cannot be written to, as where a caller protects its own."""
    params = case.params(case.point)
    with _protected(case.point.values(), [case.x, case.cotangent], _arrays(case.state, "state").values()):
        _, cache = _call("forward", lambda: case.forward(params, case.x))
        grads = case.zeros()
        with _protected(_arrays(cache, "cache").values()):
            _call("backward", lambda: case.layer.backward(params, cache, case.cotangent, grads))


# Models


def _step(case):
    """(terms, gradients by name) of a first run."""
    grads, given = case.trained.like(), {**case.model.store.named, **_arrays(case.model.state.tree, "state")}
    given |= {f"batch[{name!r}]": value for name, value in case.batch.items()}
    try:
        terms = _changing_nothing("the step", given, lambda: case.step(grads.tree))
    except Broken as broken:
        if isinstance(broken.__cause__, KeyError):
            raise Broken(f"{broken}: example_batch gives {', '.join(case.batch)}, override it for more") from None
        raise
    objective = case.phase.objective
    if objective not in terms:
        raise Broken(f"the step's terms have no {objective!r}, only {', '.join(map(repr, terms))}")
    _as_a_number(f"the term {objective!r}", terms[objective])
    if not np.isfinite(terms[objective]):
        raise Broken(f"the term {objective!r} is {terms[objective]}, expected a finite number")
    again = _call("the step", lambda: case.step(case.trained.like().tree))[objective]
    if not _same(again, terms[objective]):
        raise Broken(f"the step gives another {objective!r} for the same batch: {KEEPS}")
    alone = _call("the step with grads=None", lambda: case.step(), "it has to give the terms alone")[objective]
    if not _same(alone, terms[objective]):
        raise Broken(f"the step with grads=None gives another {objective!r}")
    return terms, _gradients(grads.tree, {name: view.shape for name, view in case.trained.named.items()})


def _step_adds(case, first):
    grads = case.trained.like()
    adding = _Adding({name: view.shape for name, view in grads.named.items()}, first[1], grads.named)
    for _ in range(2):
        _call("a further step", lambda: case.step(grads.tree))
        adding.check(grads.tree)


def _size_of_the_batch(case, first):
    """The rows may be a part of a larger batch, by whose size the mean divides."""
    if not case.model.separable:
        return
    grads, half, objective = case.trained.like(), 2 * len(case.batch["x"]), case.phase.objective
    terms = _call(f"the step with batch_size={half}", lambda: case.step(grads.tree, half))
    found = {f"the term {objective!r}": (terms[objective], first[0][objective])}
    found |= {f"the gradient of {name}": (value, first[1][name]) for name, value in walk(grads.tree)}
    for what, (value, whole) in found.items():
        if not _same(2 * value, whole):
            raise Broken(
                f"{what} is not halved where batch_size is twice the number of examples: the mean divides by "
                "batch_size, since a batch may come in parts, unless the model says separable = False"
            )


# Functions


def _loss_and_gradients(case):
    outcome = _changing_nothing("the function", case.point, lambda: case.call(case.point))
    if not isinstance(outcome, tuple) or len(outcome) != 1 + len(case.point):
        expected = f"expected the loss and gradients by {', '.join(case.point)}"
        raise Broken(f"the function returns {_length(outcome)}, {expected}")
    _as_a_number("the loss", outcome[0])
    for (name, array), gradient in zip(case.point.items(), outcome[1:], strict=True):
        _as_announced(f"the gradient of {name} comes", gradient, array.shape)
    if not _same(_call("the function", lambda: case.call(case.point))[0], outcome[0]):
        raise Broken(f"the function gives another loss for the same arrays: {KEEPS}")


def _read_only_arguments(case, first):
    with _protected(case.point.values()):
        _call("the function", lambda: case.call(case.point))


def _length(outcome):
    return f"{len(outcome)} values" if isinstance(outcome, tuple) else type(outcome).__name__


# What they share


class _Adding:
    """Gradients that are not zero at first, to see whether a backward adds to them.

    arrays: by name, filled with random numbers; given, or made of `shapes`. gradient: what has to be added each time.
    """

    def __init__(self, shapes, gradient, arrays=None):
        rng = np.random.default_rng(0)
        self.arrays = {name: np.zeros(shape) for name, shape in shapes.items()} if arrays is None else dict(arrays)
        for array in self.arrays.values():
            array[...] = rng.standard_normal(array.shape)
        self.start = {name: array.copy() for name, array in self.arrays.items()}
        self.gradient, self.times = gradient, 0

    def check(self, tree):
        self.times += 1
        for name, array in walk(tree):
            once, expected = self.gradient[name], self.start[name] + self.times * self.gradient[name]
            if array is not self.arrays[name]:
                raise Broken(
                    f"the gradient of {name} is replaced by another array, which no optimiser sees: add to the array "
                    "that is there (+=)"
                )
            if _same(array, expected):
                continue
            if _same(array, once):
                raise Broken(f"the gradient of {name} is overwritten: add to what is there (+=)")
            raise Broken(f"what is added to the gradient of {name} depends on what is there, or on earlier calls")


def _gradients(tree, shapes):
    """The gradients by name, of the shapes of their parameters."""
    found = dict(walk(tree))
    if found.keys() != shapes.keys():
        raise Broken(f"grads has {sorted(found.keys() ^ shapes.keys())} on one side only")
    for name, shape in shapes.items():
        _as_announced(f"the gradient of {name} comes", found[name], shape)
    return found


def _as_a_number(what, value):
    """Python's numbers are float64."""
    value = np.asarray(value)
    if value.ndim or value.dtype.kind != "f":
        raise Broken(f"{what} comes as {value.dtype} {value.shape}, expected a number")
    _as_announced(f"{what} comes", value, ())


def _as_announced(what, array, shape):
    if not isinstance(array, np.ndarray):
        raise Broken(f"{what} as {type(array).__name__}, expected an array {tuple(shape)}")
    if array.shape != tuple(shape):
        raise Broken(f"{what} of shape {array.shape}, expected {tuple(shape)}")
    if array.dtype != np.float64:
        raise Broken(f"{what} as {array.dtype} where all that went in is float64: keep the dtype of the input")


def _call(what, call, right=None):
    """call(), whose error becomes a line that says where."""
    try:
        return call()
    except Exception as error:
        if "read-only" in str(error):
            raise Broken(f"{what} writes into what it is given: {NOTHING_GIVEN}") from error
        at = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {' '.join(str(error).split())} ({Path(at.filename).name}, line {at.lineno})"
        raise Broken(f"{what} raises {text}{f': {right}' if right else ''}") from error


def _changing_nothing(what, given, call):
    """call(), which changes none of the arrays `given` by name."""
    before = {name: array.copy() for name, array in given.items()}
    outcome = _call(what, call)
    changed = [name for name, array in given.items() if not np.array_equal(array, before[name], equal_nan=True)]
    if changed:
        raise Broken(f"{what} changes {', '.join(changed)}: {NOTHING_GIVEN}")
    return outcome


class _protected:  # a context manager, in lower case as in contextlib
    """Meanwhile the arrays cannot be written to."""

    def __init__(self, *groups):
        self.arrays = [array for group in groups for array in group if array.flags.writeable]

    def __enter__(self):
        for array in self.arrays:
            array.flags.writeable = False

    def __exit__(self, *error):
        for array in self.arrays:
            array.flags.writeable = True


def _arrays(tree, name):
    """{place: array} of all arrays within dicts, sequences and objects."""
    found, seen, left = {}, set(), [(name, tree)]
    while left:
        place, node = left.pop(0)
        if isinstance(node, np.ndarray):
            found[place] = node
        elif id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, dict):
                left += [(f"{place}[{key!r}]", value) for key, value in node.items()]
            elif isinstance(node, (tuple, list)):
                left += [(f"{place}[{i}]", value) for i, value in enumerate(node)]
            else:
                left += [(f"{place}.{key}", value) for key, value in getattr(node, "__dict__", {}).items()]
    return found


def _same(found, expected):
    """Whether two arrays, or two numbers, agree but for rounding; None is no array."""
    if found is None or expected is None:
        return found is expected
    if np.shape(found) != np.shape(expected):
        return False
    largest = np.abs(expected).max(initial=0, where=np.isfinite(expected))
    return np.allclose(found, expected, rtol=1e-9, atol=1e-9 * largest, equal_nan=True)
