"""Normalisation of images, and residuals with a projection: against loops, PyTorch and their own definitions."""

import image_oracles
import numpy as np
import oracles
import pytest
from devices import assert_same
from image_cases import TOLERANCE, Case, assert_like_torch, ours

from tinyae import gradcheck
from tinyae.backend import Noise
from tinyae.layers import BatchNorm, Conv2D, Dropout, GroupNorm, LayerNorm, MaxPool2D, ReLU, Residual, Sequential
from tinyae.params import child, nest, walk

each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
IMAGES = [((1, 1, 6), 1), ((5, 3, 6), 1), ((1, 7, 12), 3), ((4, 4, 6), 4)]  # shape, number
each_image = pytest.mark.parametrize("shape, n", IMAGES)
# The gradient by one or two numbers with statistics of their own is zero but for epsilon, and what is left is rounding.
several_pixels = pytest.mark.parametrize("shape, n", IMAGES[1:])


# GroupNorm


@pytest.mark.parametrize("groups", (1, 2, 3, 6))
@each_image
def test_group_norm_like_loops(groups, shape, n):
    case = Case(GroupNorm(groups), shape, n)
    params, x, _ = case.arrays()
    y, _ = case.layer.forward(params, x)
    assert_same(y, image_oracles.group_norm(x, params["scale"], params["shift"], groups), 1e-12)


@pytest.mark.parametrize("groups", (1, 2, 3, 6))
@several_pixels
@each_dtype
def test_group_norm_like_torch(groups, shape, n, dtype):
    torch = pytest.importorskip("torch")

    def twin(layer, p, x):
        y = torch.nn.functional.group_norm(x.movedim(3, 1), groups, p["scale"], p["shift"], layer.epsilon)
        return y.movedim(1, 3)

    assert_like_torch(twin, Case(GroupNorm(groups), shape, n), dtype)


@pytest.mark.parametrize("groups", (1, 2, 6))
@pytest.mark.parametrize("seed", range(3))
def test_group_norm_gradient(groups, seed):
    report = gradcheck(GroupNorm(groups), (3, 2, 6), seed=seed)
    assert report.passed, report


def test_one_group_is_the_whole_example():
    params, x, _ = Case(GroupNorm(1), (3, 4, 6)).arrays()
    flat = LayerNorm().forward({"scale": np.ones(72), "shift": np.zeros(72)}, x.reshape(2, 72))[0].reshape(x.shape)
    assert_same(GroupNorm(1).forward(params, x)[0], params["scale"] * flat + params["shift"], 1e-13)


def test_a_group_for_each_channel_is_batch_norm_of_one_image():
    """Each channel of each image has its own mean and variance (instance normalisation)."""
    params, x, _ = Case(GroupNorm(6), (3, 4, 6), 3).arrays()
    alone = [BatchNorm().forward(params, x[n : n + 1], train=True)[0] for n in range(3)]
    assert_same(GroupNorm(6).forward(params, x)[0], np.concatenate(alone), 1e-13)


def test_without_pixels_groups_of_all_features_are_layer_norm():
    params, x, dy = Case(GroupNorm(1), (6,), 4).arrays()
    assert_same(ours(GroupNorm(1), params, x, dy), ours(LayerNorm(), params, x, dy), 1e-13)


def test_group_does_not_see_another():
    params, x, _ = Case(GroupNorm(3), (3, 4, 6)).arrays()
    changed = x.copy()
    changed[..., 2:4] += np.random.default_rng(0).normal(size=changed[..., 2:4].shape)
    before, after = (GroupNorm(3).forward(params, images)[0] for images in (x, changed))
    moved = (before != after).any(axis=(0, 1, 2))
    np.testing.assert_array_equal(moved, [False, False, True, True, False, False])


# BatchNorm and LayerNorm on images


@each_image
def test_batch_norm_like_loops(shape, n):
    case = Case(BatchNorm(), shape, n)
    params, x, _ = case.arrays()
    y, _ = case.layer.forward(params, x, train=True)
    assert_same(y, oracles.batch_norm(x, **params), 1e-12)


@several_pixels
@each_dtype
def test_batch_norm_like_torch(shape, n, dtype):
    torch = pytest.importorskip("torch")

    def twin(layer, p, x):
        y = torch.nn.functional.batch_norm(x.movedim(3, 1), None, None, p["scale"], p["shift"], True, 0, layer.epsilon)
        return y.movedim(1, 3)

    assert_like_torch(twin, Case(BatchNorm(), shape, n), dtype)


def test_batch_norm_state_counts_pixels_as_examples():
    torch = pytest.importorskip("torch")
    case = Case(BatchNorm(momentum=0.7), (3, 4, 6), 2)
    params, x, _ = case.arrays()
    state = case.layer.init_state(case.shape, np, "float64")
    case.layer.update_state(state, case.layer.forward(params, x, train=True, state=state)[1])
    theirs = torch.nn.BatchNorm2d(6, momentum=0.3, dtype=torch.float64)
    theirs(torch.tensor(x).movedim(3, 1))
    assert_same(state, {"mean": theirs.running_mean.numpy(), "var": theirs.running_var.numpy()}, 1e-13)


@each_image
@each_dtype
def test_layer_norm_like_torch(shape, n, dtype):
    torch = pytest.importorskip("torch")

    def twin(layer, p, x):
        return torch.nn.functional.layer_norm(x, shape[-1:], p["scale"], p["shift"], layer.epsilon)

    assert_like_torch(twin, Case(LayerNorm(), shape, n), dtype)


# Residual with a projection

PROJECTED = [
    Residual(Conv2D(4, 3), ReLU(), BatchNorm(), projection=Conv2D(4, 1)),
    Residual(ReLU(), Conv2D(4, 3, stride=2), projection=Sequential(Conv2D(4, 1, stride=2), BatchNorm())),
    Residual(Conv2D(4, 3, stride=2), GroupNorm(2), projection=Sequential(MaxPool2D(2), Conv2D(4, 1))),
    Residual(Residual(Conv2D(3, 3), projection=Conv2D(3, 1)), projection=Dropout(0.3)),
]
each_block = pytest.mark.parametrize("block", PROJECTED, ids=repr)


def branches(block):
    """f and p."""
    return Sequential(*block.layers), block.projection


@each_block
def test_block_is_the_sum_of_its_branches(block):
    """In evaluation, forward and all gradients."""
    case = Case(block, (4, 6, 3))
    params, x, dy = case.arrays()
    parts = [branch.forward(p, x) for branch, p in zip(branches(block), (params, params["projection"]), strict=True)]
    y, cache = block.forward(params, x)
    assert_same(y, parts[0][0] + parts[1][0], 1e-14)
    inner, outer = branches(block)
    back = inner.backward(params, parts[0][1], dy) + outer.backward(params["projection"], parts[1][1], dy)
    assert_same(block.backward(params, cache, dy), back, 1e-14)


@each_block
@pytest.mark.parametrize("seed", range(3))
def test_block_gradient(block, seed):
    report = gradcheck(block, (4, 6, 3), seed=seed, directions=1)
    assert report.passed, report


@each_block
def test_gradients_alone_are_those_of_backward(block):
    case = Case(block, (4, 6, 3))
    params, x, dy = case.arrays()
    _, cache = block.forward(params, x, True, Noise(0))
    trees = [nest(params, {name: np.zeros_like(w) for name, w in walk(params)}) for _ in range(2)]
    block.backward(params, cache, dy, trees[0])
    block.add_grads(params, cache, dy, trees[1])
    assert_same(trees[1], trees[0])


@pytest.mark.parametrize("where", ("f", "projection"))
def test_both_branches_update_their_state(where):
    norm, plain = Sequential(Conv2D(3, 1), BatchNorm(0.5)), Sequential(Conv2D(3, 1))
    block = Residual(norm, projection=plain) if where == "f" else Residual(plain, projection=norm)
    place = "0" if where == "f" else "projection"
    params, x, _ = Case(block, (3, 3, 2), 4).arrays()
    state = block.init_state((3, 3, 2), np, "float64")
    expected = norm.init_state((3, 3, 2), np, "float64")
    block.update_state(state, block.forward(params, x, True, state=state)[1])
    norm.update_state(expected, norm.forward(params[place], x, True, state=expected)[1])
    assert expected["1"]["mean"].any()
    assert_same(child(state, place), expected)


def test_state_of_both_branches_at_once_is_used_in_evaluation():
    block = Residual(BatchNorm(), projection=BatchNorm())
    params, x, _ = Case(block, (2, 2, 3)).arrays()
    numbers = {"0": (2.0, 4.0), "projection": (-1.0, 0.5)}
    state = {name: {"mean": np.full(3, mean), "var": np.full(3, var)} for name, (mean, var) in numbers.items()}
    y, _ = block.forward(params, x, state=state)
    expected = [BatchNorm().forward(params[name], x, state=state[name])[0] for name in ("0", "projection")]
    assert_same(y, sum(expected), 1e-14)


# Planted


class _NoProjectionGradient(Residual):
    def backward(self, params, cache, dy, grads=None):
        dx = super().backward(params, cache, dy)
        if grads is not None:
            Sequential.backward(self, params, cache[0], dy, grads)
        return dx


class _ProjectionForgotten(Residual):
    """The skip's gradient as it is without a projection."""

    def backward(self, params, cache, dy, grads=None):
        super().backward(params, cache, dy, grads)
        return dy + Sequential.backward(self, params, cache[0], dy)


class _StatisticsAreConstant(GroupNorm):
    def backward(self, params, cache, dy, grads=None):
        super().backward(params, cache, dy, grads)
        return (self._grouped(dy * params["scale"]) * cache[1]).reshape(dy.shape)


@pytest.mark.parametrize(
    "wrong",
    [
        _NoProjectionGradient(Conv2D(3, 3), projection=Conv2D(3, 1)),
        _ProjectionForgotten(Conv2D(3, 3), projection=Conv2D(3, 1)),
        _StatisticsAreConstant(3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_planted_gradient_is_caught(wrong):
    assert not gradcheck(wrong, (3, 3, 3)).passed
