"""The contract of every layer, on NumPy and on the strict stand-in for CuPy.

Layers are found through `REGISTRY` and run on their own `examples()`: a new one is covered without a new test.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from devices import assert_same, leaves

from tinyae.backend import Noise
from tinyae.errors import ShapeError
from tinyae.layers import REGISTRY
from tinyae.layers.base import Layer
from tinyae.params import ParamStore, nest, walk

DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 2e-5, "float64": 1e-13}  # rounding, of the largest value


def examples_of(cls):
    """A layer's examples; the contract cannot be dodged by having none, or another class's."""
    examples = cls.examples()
    assert any(type(layer) is cls for layer, _ in examples), f"{cls.__name__}.examples() has no {cls.__name__}"
    return examples


def collected():
    for cls in REGISTRY.values():
        try:
            yield from examples_of(cls)
        except (AssertionError, NotImplementedError):  # reported by test_layer_has_examples
            continue


EXAMPLES = list(collected())
each_example = pytest.mark.parametrize("layer, shape", EXAMPLES, ids=[f"{layer!r}{shape}" for layer, shape in EXAMPLES])
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_mode = pytest.mark.parametrize("train", (True, False), ids=("train", "eval"))


@dataclass
class Case:
    """A layer with drawn parameters, input and cotangent, all read-only; the same numbers on every device."""

    layer: Layer
    shape: tuple
    device: object
    dtype: str = "float64"
    train: bool = True
    n: int = 3

    def __post_init__(self):
        self.shapes = self.layer.param_shapes(self.shape)
        # Scales and variances are positive, and nothing is at its initial value, which might hide it.
        self.params = self.draw("params", self.shapes)
        self.state = self.draw("state", self.layer.state_shapes(self.shape))
        self.x, self.dy = self.input("x"), self.cotangent("dy")

    def rng(self, name):
        return np.random.default_rng([*name.encode()])

    def draw(self, name, shapes):
        values = {k: (0.2 + self.rng(name + k).random(s)).astype(self.dtype) for k, s in walk(shapes)}
        return self.device.array(nest(shapes, values))

    def input(self, name, n=None):
        shape = (self.n if n is None else n, *self.shape)
        if self.layer.integer_input is not None:
            return self.device.array(self.rng(name).integers(0, self.layer.integer_input, shape))
        return self.device.array(self.rng(name).normal(size=shape).astype(self.dtype))

    def cotangent(self, name, n=None):
        shape = (self.n if n is None else n, *self.layer.output_shape(self.shape))
        return self.device.array(self.rng(name).normal(size=shape).astype(self.dtype))

    def zeros(self):
        return nest(self.shapes, {k: self.device.xp.zeros(s, dtype=self.dtype) for k, s in walk(self.shapes)})

    def forward(self, x=None):
        noise = Noise(5, xp=self.device.xp).child("layer")
        return self.layer.forward(self.params, self.x if x is None else x, self.train, noise, self.state)

    def backward(self, cache, dy=None, grads=None):
        return self.layer.backward(self.params, cache, self.dy if dy is None else dy, grads)

    def run(self, x=None, dy=None):
        """y, dx and the gradients, on the host."""
        y, cache = self.forward(x)
        grads = self.zeros()
        dx = self.backward(cache, dy, grads)
        return self.device.host([y, [] if dx is None else dx, grads])


@pytest.fixture
def case(layer, shape, device, dtype, train):
    return Case(layer, shape, device, dtype, train)


@pytest.mark.parametrize("name", REGISTRY)
def test_layer_has_examples(name):
    examples_of(REGISTRY[name])


@pytest.mark.parametrize("bad", ("none", "empty", "inherited"))
def test_layer_without_examples_is_caught(bad):
    class _Dodger(Layer):
        pass

    if bad != "none":
        _Dodger.examples = classmethod(lambda cls: [] if bad == "empty" else EXAMPLES[:1])
    with pytest.raises((AssertionError, NotImplementedError), match="_Dodger"):
        examples_of(_Dodger)


@each_example
@each_mode
@each_dtype
def test_shapes_are_as_announced(case):
    y, cache = case.forward()
    grads = case.zeros()
    dx = case.backward(cache, grads=grads)
    assert y.shape == (case.n, *case.layer.output_shape(case.shape))
    assert (dx is None) if case.layer.integer_input is not None else (dx.shape == case.x.shape)
    assert {k: g.shape for k, g in walk(grads)} == dict(walk(case.shapes))


@each_example
@each_dtype
def test_init(layer, shape, device, dtype):
    init = [layer.init(shape, Noise(seed, xp=device.xp), dtype) for seed in (1, 1, 2)]
    first, again, other = (dict(walk(tree)) for tree in init)
    assert {k: w.shape for k, w in first.items()} == dict(walk(layer.param_shapes(shape)))
    assert {(type(w), w.dtype) for w in first.values()} <= {(device.xp.ndarray, np.dtype(dtype))}
    assert_same(device.host(first), device.host(again))
    drawn = [name for name, w in first.items() if len(np.unique(device.host(w))) > 1]
    assert all((device.host(first[name]) != device.host(other[name])).any() for name in drawn)


@each_example
@each_mode
@each_dtype
def test_dtype_is_kept(case):
    y, cache = case.forward()
    grads = case.zeros()
    dx = case.backward(cache, grads=grads)
    floats = [y, *dict(walk(grads)).values()] + ([] if dx is None else [dx])
    assert {(type(a), a.dtype) for a in floats} == {(case.device.xp.ndarray, np.dtype(case.dtype))}


@each_example
@each_mode
@each_dtype
def test_nothing_given_is_changed(case):
    def snapshot(cache=None):
        return case.device.host([case.x, case.dy, case.params, case.state, cache])

    before = snapshot()
    _, cache = case.forward()
    assert_same(snapshot(), before)
    cache = case.device.read_only(cache)
    before = snapshot(cache)
    case.backward(cache, grads=case.zeros())
    assert_same(snapshot(cache), before)


@each_example
@each_mode
@each_dtype
@pytest.mark.parametrize("order", ((0, 1), (1, 0)), ids=("first-first", "last-first"))
def test_two_forwards_then_their_backwards(case, order):
    inputs = [case.x, case.input("another x")], [case.dy, case.cotangent("another dy")]
    expected = [case.run(x, dy) for x, dy in zip(*inputs, strict=True)]
    outputs = [case.forward(x) for x in inputs[0]]
    for i in order:
        y, cache = outputs[i]
        grads = case.zeros()
        dx = case.backward(cache, inputs[1][i], grads)
        assert_same(case.device.host([y, [] if dx is None else dx, grads]), expected[i])


@each_example
@each_mode
@each_dtype
def test_backward_adds_to_the_gradients(case):
    _, _, once = case.run()
    _, cache = case.forward()
    grads = case.zeros()
    for times in (1, 2, 3):
        case.backward(cache, grads=grads)
        expected = nest(case.shapes, {k: times * g for k, g in walk(once)})
        assert_same(case.device.host(grads), expected, TOLERANCE[case.dtype])


@each_example
@each_mode
@each_dtype
def test_frozen_layer_passes_the_same_gradient(case):
    _, dx, _ = case.run()
    _, cache = case.forward()
    frozen = case.backward(cache)
    assert_same(case.device.host([] if frozen is None else frozen), dx)


@each_example
@each_mode
@each_dtype
def test_gradients_alone_are_those_of_backward(case):
    _, _, expected = case.run()
    _, cache = case.forward()
    grads = case.zeros()
    assert case.layer.add_grads(case.params, case.device.read_only(cache), case.dy, grads) is None
    assert_same(case.device.host(grads), expected)


@each_example
@each_mode
@each_dtype
def test_gradients_into_a_cleared_store(case):
    """A step's gradients start from memory that counts as zero without being zeroed."""
    _, _, expected = case.run()
    store = ParamStore(case.shapes, case.device.xp, case.dtype).like()
    store.flat.fill(np.nan)
    for _ in range(2):
        store.clear()
        case.backward(case.forward()[1], grads=store.tree)
        store.settle()
        assert_same(case.device.host(nest(case.shapes, store.named)), expected)


@each_example
@each_mode
@each_dtype
def test_nothing_is_moved_to_the_host(strict_device, layer, shape, dtype, train):
    case = Case(layer, shape, strict_device, dtype, train)
    before = strict_device.xp.host_syncs
    _, cache = case.forward()
    case.backward(cache, grads=case.zeros())
    assert strict_device.xp.host_syncs == before


@each_example
@each_dtype
def test_state_moves_in_training_alone(layer, shape, device, dtype):
    fresh = layer.init_state(shape, device.xp, dtype)
    assert {k: s.shape for k, s in walk(fresh)} == dict(walk(layer.state_shapes(shape)))
    for train in (True, False):
        case = Case(layer, shape, device, dtype, train)
        state = case.device.array(device.host(fresh), writeable=True)
        _, cache = layer.forward(case.params, case.x, train, Noise(5, xp=device.xp), device.read_only(state))
        before = device.host([case.x, case.params, cache])
        layer.update_state(state, device.read_only(cache))
        assert_same(device.host([case.x, case.params, cache]), before)
        start = dict(walk(device.host(fresh)))
        moved = {k for k, s in walk(device.host(state)) if (s != start[k]).any()}
        assert moved == (set(start) if train else set())


@each_example
@each_mode
@each_dtype
def test_batch_of_one(case):
    one = Case(case.layer, case.shape, case.device, case.dtype, case.train, n=1)
    y, dx, grads = one.run()
    assert y.shape == (1, *case.layer.output_shape(case.shape))
    assert all(np.isfinite(a).all() for _, a in leaves([y, dx, grads]))


@each_example
@each_dtype
def test_examples_of_a_batch_do_not_mix_in_evaluation(layer, shape, device, dtype):
    case = Case(layer, shape, device, dtype, train=False)
    y, dx, _ = case.run()
    alone = [case.run(case.x[n : n + 1], case.dy[n : n + 1]) for n in range(case.n)]
    assert_same(np.concatenate([a[0] for a in alone]), y, TOLERANCE[dtype])
    if layer.integer_input is None:
        assert_same(np.concatenate([a[1] for a in alone]), dx, TOLERANCE[dtype])


@each_example
@each_mode
@each_dtype
def test_empty_batch_is_taken_or_refused_in_one_line(case):
    """Numbers of no examples; only statistics over a batch have no value there."""
    case.n = 0
    case.x, case.dy = case.input("x"), case.cotangent("dy")
    normalised = case.train and "BatchNorm" in names_within(case.layer)
    if normalised:
        with pytest.raises(ShapeError, match=r"^BatchNorm.*empty batch has no mean") as caught:
            case.forward()
        assert "\n" not in str(caught.value)
        return
    y, dx, grads = case.run()
    assert y.shape == (0, *case.layer.output_shape(case.shape))
    assert case.layer.integer_input is not None or dx.shape == (0, *case.shape)
    assert not any(g.any() for _, g in leaves(grads))


@each_example
@each_mode
def test_gradient_of_another_shape_is_refused(layer, shape, train, device):
    """Numbers that would broadcast are refused too."""
    case = Case(layer, shape, device, train=train)
    _, cache = case.forward()
    grads = case.zeros()
    for dy in (case.dy[:1], case.dy[None], case.dy.repeat(2, axis=-1)):
        for into in (None, grads):
            with pytest.raises(ShapeError, match=r"expected dy of the output's shape \(.*\), got \(.*\)$") as caught:
                case.backward(cache, dy, into)
            assert any(str(caught.value).startswith(name) for name in names_within(layer))
    assert not any(g.any() for _, g in leaves(case.device.host(grads)))


@each_example
def test_parameters_of_another_shape_are_refused(layer, shape, device):
    """Each parameter in turn, with one more row, with one more axis, and missing."""
    case = Case(layer, shape, device)
    named = dict(walk(case.params))
    for name, array in named.items():
        changes = [array[None], *([array.repeat(2, axis=0)] if array.ndim else [])]
        for changed in (*changes, None):
            case.params = nest(case.shapes, named | {name: changed})
            if changed is None:
                case.params = _without_none(case.params)
            with pytest.raises(ShapeError, match="goes with the parameters") as caught:
                case.forward()
            assert any(str(caught.value).startswith(inner) for inner in names_within(layer))


def _without_none(tree):
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in tree.items() if v is not None}


def strided(array, device):
    """The same numbers, spread over a larger array."""
    spread = device.xp.zeros(tuple(2 * length for length in array.shape), dtype=array.dtype)
    view = spread[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    assert not view.flags.c_contiguous
    return device.read_only(view)


@each_example
@each_mode
@each_dtype
def test_arrays_need_not_be_contiguous(case):
    x, dy = strided(case.x, case.device), strided(case.dy, case.device)
    assert_same(case.run(x, dy), case.run(), TOLERANCE[case.dtype])


@each_example
@each_mode
@each_dtype
def test_backends_agree(layer, shape, gpu, numpy_device, dtype, train):
    on_host, on_device = (Case(layer, shape, device, dtype, train) for device in (numpy_device, gpu))
    assert_same(on_device.run(), on_host.run(), TOLERANCE[dtype])


@each_example
@pytest.mark.parametrize("change", ("wider", "deeper", "flatter"))
def test_other_input_shape_is_refused_by_name_or_right(layer, shape, change, device):
    case = Case(layer, shape, device)
    other = {"wider": (*shape[:-1], *(s + 1 for s in shape[-1:])), "deeper": (*shape, 2), "flatter": shape[:-1]}[change]
    kind = "int64" if layer.integer_input is not None else "float64"
    x = device.xp.zeros((case.n, *other), dtype=kind)
    try:
        fits = dict(walk(layer.param_shapes(other))) == dict(walk(case.shapes))
        expected = layer.output_shape(other)
    except ShapeError as error:
        fits, errors = False, [error]
    else:
        errors = []
    if fits:
        assert case.forward(x)[0].shape == (case.n, *expected)
        return
    with pytest.raises(ShapeError) as caught:
        case.forward(x)
    for error in (*errors, caught.value):
        assert "\n" not in str(error)
        assert any(name in str(error) for name in names_within(layer)), error


def names_within(layer):
    yield type(layer).__name__
    for inner in (*getattr(layer, "layers", ()), *([layer.projection] if hasattr(layer, "projection") else [])):
        yield from names_within(inner)
