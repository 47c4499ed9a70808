"""The gradient store: lazily zeroed, first products in place, and never a stale value."""

import numpy as np
import pytest
from steps import run

import tinyae
from tinyae.backend.operations import product_transposed
from tinyae.params import ParamStore, add_product

SHAPES = {"a": {"weight": (4, 3), "bias": (3,)}, "b": {"0": {"weight": (2, 2)}, "1": {}}}


@pytest.fixture
def grads():
    store = ParamStore(SHAPES).like()
    store.flat[...] = 7  # values from an earlier step
    store.clear()
    return store


def test_a_new_store_is_zero_and_plain():
    store = ParamStore(SHAPES).like()
    store.tree["a"]["bias"] += 1
    assert store.flat.sum() == 3


def test_adding_begins_at_zero(grads):
    grads.tree["a"]["bias"] += 1
    grads.tree["a"]["bias"] += 1
    np.testing.assert_array_equal(grads.named["a.bias"], 2)


def test_settle_zeroes_what_nothing_was_added_to(grads):
    grads.tree["a"]["bias"] += 1
    grads.settle()
    assert grads.flat.sum() == 3 and np.count_nonzero(grads.flat) == 3


def test_the_first_product_is_stored_and_the_second_added(grads):
    a, b = np.arange(8, dtype="f4").reshape(4, 2), np.ones((2, 3), "f4")
    node = grads.tree["a"]
    add_product(node, "weight", a.T, b)
    np.testing.assert_array_equal(grads.named["a.weight"], a @ b)
    add_product(node, "weight", a.T, b)
    np.testing.assert_array_equal(grads.named["a.weight"], 2 * (a @ b))
    grads.clear()
    node["weight"] += 1  # plain adding and products mix in any order
    add_product(node, "weight", a.T, b)
    np.testing.assert_array_equal(grads.named["a.weight"], 1 + a @ b)


def test_a_plain_dict_is_added_to():
    grads = {"weight": np.ones((4, 3))}
    add_product(grads, "weight", np.ones((2, 4)), np.ones((2, 3)))
    np.testing.assert_array_equal(grads["weight"], 3)


def test_two_steps_into_one_store_do_not_mix():
    model = tinyae.models.VAE(input_shape=(4,), latent_dim=2, hidden=(5,))
    x = np.random.default_rng(0).random((6, 4), dtype="f4")
    store = model.store.like()
    for step in (0, 1):
        store.clear()
        run(model, {"x": x}, model.backend.noise(0, step), store.tree)
        store.settle()
        expected = model.loss_and_grads({"x": x}, step=step)[1]
        for name, gradient in store.named.items():
            np.testing.assert_array_equal(gradient, expected[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (64, 40, 30)])
def test_product_transposed(dtype, shape):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.random((m, k)).astype(dtype), rng.random((n, k)).astype(dtype)
    product = product_transposed(a, b)
    assert product.dtype == dtype and product.flags.c_contiguous
    np.testing.assert_allclose(product, a.astype("f8") @ b.T.astype("f8"), rtol=1e-5)
