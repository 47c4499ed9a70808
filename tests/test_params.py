"""The flat buffer and its views."""

import numpy as np
import pytest

from tinyae import models
from tinyae.errors import ShapeError, StaleParamsError
from tinyae.models.context import Network
from tinyae.optim import SGD
from tinyae.params import ParamStore, add_product, child, nest, walk

SHAPES = {"encoder": {"0": {"weight": (3, 2), "bias": (2,)}, "1": {}}, "scale": ()}
NAMES = ["encoder.0.weight", "encoder.0.bias", "scale"]


@pytest.fixture(params=["float32", "float64"])
def store(request):
    return ParamStore(SHAPES, dtype=request.param)


def values(dtype="float64"):
    return {"encoder": {"0": {"weight": np.ones((3, 2), dtype), "bias": np.full(2, 2, dtype)}, "1": {}},
            "scale": np.array(3, dtype)}  # fmt: skip


def test_views_are_named_in_the_order_of_the_buffer(store):
    assert list(store.named) == NAMES
    store.flat[...] = np.arange(9)
    np.testing.assert_array_equal(np.concatenate([v.reshape(-1) for v in store.named.values()]), np.arange(9))


@pytest.mark.parametrize("name", NAMES)
def test_view_shares_memory_with_the_buffer(store, name):
    view = store.named[name]
    assert np.shares_memory(view, store.flat)
    view += 5
    assert (store.flat == 5).sum() == view.size
    store.flat[...] = 7
    assert (view == 7).all()


def test_tree_holds_the_named_views(store):
    assert {name: id(view) for name, view in walk(store.tree)} == {name: id(v) for name, v in store.named.items()}
    assert store.tree["encoder"]["1"] == {}


def test_buffer_is_filled_by_its_views_alone(store):
    assert store.flat.shape == (9,)
    assert store.flat.flags.c_contiguous
    assert {view.dtype for view in store.named.values()} == {store.dtype}


def test_like_is_zeros_of_the_same_layout(store):
    store.flat += 1
    other = store.like()
    assert other.flat.dtype == store.dtype and not other.flat.any()
    assert not np.shares_memory(other.flat, store.flat)
    for (name, view), (other_name, other_view) in zip(store.named.items(), other.named.items(), strict=True):
        assert name == other_name and view.shape == other_view.shape
        start, other_start = (a.__array_interface__["data"][0] for a in (view, other_view))
        base, other_base = (s.flat.__array_interface__["data"][0] for s in (store, other))
        assert start - base == other_start - other_base


@pytest.fixture
def stale(store):
    """Gradients with a step behind them, cleared for the next."""
    grads = store.like()
    grads.flat.fill(np.nan)
    grads.clear()
    return grads


def test_cleared_gradients_start_from_zero(stale):
    stale.tree["scale"] += 2
    stale.tree["scale"] += 3
    assert stale.named["scale"] == 5


def test_settled_gradients_are_zero_where_nothing_was_added(stale):
    stale.tree["encoder"]["0"]["bias"] += 1
    stale.settle()
    np.testing.assert_array_equal(stale.flat, [0] * 6 + [1] * 2 + [0])


def test_products_are_added_to_cleared_gradients(stale):
    a, b = np.arange(12.0).reshape(3, 4), np.arange(8.0).reshape(4, 2)
    for times in (1, 2):
        add_product(stale.tree["encoder"]["0"], "weight", a.T.astype(stale.dtype), b.astype(stale.dtype))
        np.testing.assert_array_equal(stale.named["encoder.0.weight"], times * (a @ b))


def test_settling_twice_keeps_what_was_added(stale):
    stale.tree["scale"] += 2
    stale.settle()
    stale.settle()
    assert stale.named["scale"] == 2


def test_fill_copies(store):
    tree = values(store.dtype)
    store.fill(tree)
    tree["scale"][...] = 99
    np.testing.assert_array_equal(store.flat, [1] * 6 + [2] * 2 + [3])


def test_fill_refuses_other_names(store):
    tree = values()
    tree["offset"] = tree.pop("scale")
    with pytest.raises(ShapeError, match="offset, scale"):
        store.fill(tree)


def test_fill_refuses_other_shapes(store):
    tree = values()
    tree["encoder"]["0"]["bias"] = np.zeros(3)
    with pytest.raises(ShapeError, match=r"encoder\.0\.bias: expected \(2,\), got \(3,\)"):
        store.fill(tree)


def test_fill_does_not_broadcast(store):
    tree = values()
    tree["encoder"]["0"]["bias"] = np.zeros(1)
    with pytest.raises(ShapeError):
        store.fill(tree)


def test_refused_fill_changes_nothing(store):
    store.fill(values())
    before = store.flat.copy()
    tree = values()
    tree["encoder"]["0"]["weight"] = np.zeros((3, 2))
    tree["scale"] = np.zeros(2)
    with pytest.raises(ShapeError):
        store.fill(tree)
    np.testing.assert_array_equal(store.flat, before)


def test_empty_store():
    assert ParamStore({"encoder": {}}).flat.shape == (0,)


def test_version_moves_with_the_parameters(store):
    seen = [store.version]
    store.fill(values())
    seen.append(store.version)
    SGD().step(store, store.like())
    seen.append(store.version)
    assert len(set(seen)) == 3


def test_check_passes_at_the_version_of_the_forward(store):
    store.check_version(store.version)


def test_check_refuses_another_version(store):
    version = store.version
    SGD().step(store, store.like())
    with pytest.raises(StaleParamsError, match="run the forward pass again"):
        store.check_version(version)


@pytest.mark.parametrize("name", models.NAMES)
def test_model_refuses_backward_through_changed_parameters(name, monkeypatch):
    """An optimiser step between forward and backward, as a careless training loop of two losses does."""
    model = models.NAMES[name].examples()[0]
    forward, optimizer = Network.forward, SGD(1e-3)

    def forward_then_step(*arguments):
        result = forward(*arguments)
        optimizer.step(model.store, model.store.like())
        return result

    batch = model.example_batch(model.backend.noise(0), 2)
    model.loss_and_grads(batch)
    monkeypatch.setattr(Network, "forward", forward_then_step)
    with pytest.raises(StaleParamsError):
        model.loss_and_grads(batch)


def test_walk_and_nest_are_inverse():
    tree = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert list(walk(tree)) == [("a.b", 1), ("a.c.d", 2), ("e", 3)]
    assert nest(tree, dict(walk(tree))) == tree


def test_child_of_nothing_is_nothing():
    assert child(None, "weight") is None
    assert child({"weight": 1}, "weight") == 1
