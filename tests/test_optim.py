"""Optimisers against update loops, schedules, clipping, and state that resumes bit for bit."""

import numpy as np
import oracles
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st

from tinyae import optim
from tinyae.backend import operations
from tinyae.errors import CheckpointError, ConfigError
from tinyae.params import ParamStore

STEPS = 20
VARIANTS = {
    "sgd": (lambda lr: optim.SGD(lr), oracles.sgd),
    "momentum": (lambda lr: optim.SGD(lr, momentum=0.9), lambda *a: oracles.sgd(*a, momentum=0.9)),
    "nesterov": (
        lambda lr: optim.SGD(lr, momentum=0.8, nesterov=True),
        lambda *a: oracles.sgd(*a, momentum=0.8, nesterov=True),
    ),
    "sgd-decay": (lambda lr: optim.SGD(lr, weight_decay=0.3), lambda *a: oracles.sgd(*a, weight_decay=0.3)),
    "nesterov-decay": (
        lambda lr: optim.SGD(lr, 0.8, nesterov=True, weight_decay=0.3),
        lambda *a: oracles.sgd(*a, momentum=0.8, nesterov=True, weight_decay=0.3),
    ),
    "rmsprop": (lambda lr: optim.RMSprop(lr), oracles.rmsprop),
    "rmsprop-decay": (
        lambda lr: optim.RMSprop(lr, decay=0.5, epsilon=1e-4),
        lambda *a: oracles.rmsprop(*a, decay=0.5, epsilon=1e-4),
    ),
    "adam": (lambda lr: optim.Adam(lr), oracles.adam),
    "adam-betas": (
        lambda lr: optim.Adam(lr, beta1=0.5, beta2=0.9, epsilon=1e-5),
        lambda *a: oracles.adam(*a, beta1=0.5, beta2=0.9, epsilon=1e-5),
    ),
    "keras-adam": (lambda lr: optim.KerasAdam(lr), oracles.keras_adam),
    "keras-adam-epsilon": (
        lambda lr: optim.KerasAdam(lr, epsilon=1e-3),
        lambda *a: oracles.keras_adam(*a, epsilon=1e-3),
    ),
    "adamw": (lambda lr: optim.AdamW(lr, weight_decay=0.1), lambda *a: oracles.adam(*a, weight_decay=0.1)),
}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def store_of(flat):
    store = ParamStore({"w": np.shape(flat)}, dtype=flat.dtype)
    store.flat[...] = flat
    return store


def problem(seed=0, n=7, steps=STEPS, dtype="float64"):
    """Parameters, and gradients of very different sizes for each step."""
    rng = np.random.default_rng(seed)
    w, gradients = rng.normal(size=n), rng.normal(size=(steps, n)) * 10.0 ** rng.integers(-3, 3, (steps, n))
    return w.astype(dtype), gradients.astype(dtype)


def run(optimizer, store, gradients):
    for gradient in gradients:
        optimizer.step(store, store_of(gradient))
        yield store.flat.copy()


@each_variant
@given(seed=st.integers(0, 2**32), n=st.integers(1, 5), lr=st.floats(1e-4, 1.0))
def test_steps_are_the_loop(variant, seed, n, lr):
    make, oracle = VARIANTS[variant]
    w, gradients = problem(seed, n, steps=6)
    for got, expected in zip(run(make(lr), store_of(w), gradients), oracle(w, gradients, lr), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


@each_variant
def test_twenty_steps_are_the_loop(variant):
    make, oracle = VARIANTS[variant]
    w, gradients = problem()
    *_, got = run(make(0.01), store_of(w), gradients)
    *_, expected = oracle(w, gradients, 0.01)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


@each_variant
def test_float32_steps_are_the_loop_to_rounding(variant):
    make, oracle = VARIANTS[variant]
    w, gradients = problem(dtype="float32")
    *_, got = run(make(0.01), store_of(w), gradients)
    *_, expected = oracle(w, gradients, 0.01)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@each_variant
def test_step_leaves_the_gradient(variant):
    w, gradients = problem(steps=1)
    store, grads = store_of(w), store_of(gradients[0])
    grads.flat.setflags(write=False)
    VARIANTS[variant][0](0.01).step(store, grads)
    np.testing.assert_array_equal(grads.flat, gradients[0])


@each_variant
def test_step_bumps_version_and_count(variant):
    optimizer, (w, gradients) = VARIANTS[variant][0](0.01), problem(steps=1)
    store = store_of(w)
    version = store.version
    list(run(optimizer, store, gradients))
    assert (store.version, optimizer.steps) == (version + 1, 1)


@each_variant
def test_step_refuses_other_gradients(variant):
    store = store_of(np.zeros(3))
    with pytest.raises(ConfigError, match=r"\(2,\) do not fit parameters \(3,\)"):
        VARIANTS[variant][0](0.01).step(store, store_of(np.zeros(2)))


@each_variant
def test_resumed_run_is_the_uninterrupted_one_bit_for_bit(variant):
    make, (w, gradients) = VARIANTS[variant][0], problem(dtype="float32")
    *_, expected = run(make(0.01), store_of(w), gradients)
    first, second = make(0.01), make(0.01)
    *_, half = run(first, store_of(w), gradients[:9])
    second.load_state(first.state(), np)
    *_, got = run(second, store_of(half), gradients[9:])
    np.testing.assert_array_equal(got, expected)


@each_variant
def test_loaded_state_is_a_copy(variant):
    make, (w, gradients) = VARIANTS[variant][0], problem(steps=4)
    first, second = make(0.01), make(0.01)
    *_, half = run(first, store_of(w), gradients[:2])
    before = {name: np.copy(value) for name, value in first.state().items()}
    second.load_state(first.state(), np)
    list(run(second, store_of(half), gradients[2:]))
    for name, value in first.state().items():
        np.testing.assert_array_equal(value, before[name])


@each_variant
def test_state_before_the_first_step_is_taken_up(variant):
    make, (w, gradients) = VARIANTS[variant][0], problem(steps=3)
    loaded = make(0.01)
    loaded.load_state(make(0.01).state(), np)
    *_, got = run(loaded, store_of(w), gradients)
    *_, expected = run(make(0.01), store_of(w), gradients)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("saved, loaded", [("adam", "rmsprop"), ("momentum", "adam"), ("adam", "sgd"), ("sgd", "adam")])
def test_moments_of_another_optimiser_are_refused(saved, loaded):
    first = VARIANTS[saved][0](0.01)
    list(run(first, store_of(np.zeros(2)), np.ones((3, 2))))
    with pytest.raises(CheckpointError, match="resume with the optimiser it was trained with"):
        VARIANTS[loaded][0](0.01).load_state(first.state(), np)


def test_nesterov_needs_momentum():
    with pytest.raises(ConfigError, match="nesterov"):
        optim.SGD(0.1, nesterov=True)


def test_optimisers_by_name():
    assert {name: cls.__name__ for name, cls in optim.OPTIMIZERS.items()} == {
        "sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW", "keras-adam": "KerasAdam",
    }  # fmt: skip


def test_rate_follows_the_schedule():
    optimizer, store = optim.SGD(lambda step: 1.0 / (step + 1)), store_of(np.zeros(1))
    list(run(optimizer, store, np.ones((3, 1))))
    assert store.flat[0] == pytest.approx(-(1 + 1 / 2 + 1 / 3))


# Over slices of the buffer, and on a device


@each_variant
def test_slices_in_any_order_are_one_update_bit_for_bit(variant, monkeypatch):
    w, gradients = problem(n=23, steps=3, dtype="float32")
    make, whole = VARIANTS[variant][0], store_of(w)
    list(run(make(0.01), whole, gradients))
    monkeypatch.setattr(optim.optimizers, "SLICE", 5)
    parts, optimizer = store_of(w), make(0.01)
    for gradient in gradients:
        optimizer.step(parts, store_of(gradient), each=lambda update, slices: map(update, reversed(slices)))
    np.testing.assert_array_equal(parts.flat, whole.flat)


@each_variant
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_backends_agree(variant, dtype, gpu):
    w, gradients = problem(dtype=dtype)
    *_, expected = run(VARIANTS[variant][0](0.01), store_of(w), gradients)
    optimizer, store = VARIANTS[variant][0](0.01), ParamStore({"w": (7,)}, gpu.xp, dtype)
    store.flat[...] = gpu.array(w)
    grads = store.like()
    for gradient in gradients:
        grads.flat[...] = gpu.array(gradient)
        optimizer.step(store, grads)
    assert_same(gpu.host(store.flat), expected, 1e-6 if dtype == "float32" else 1e-14)


def test_optimisers_wait_for_no_device(strict_device):
    store = ParamStore({"w": (7,)}, strict_device.xp)
    for variant in VARIANTS.values():
        optimizer, grads = variant[0](0.01), store.like()
        optim.clip_by_global_norm(grads.flat, 1.0)
        optimizer.step(store, grads)
    assert strict_device.xp.host_syncs == 0


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@given(st.integers(0, 2**32), st.sampled_from((1, 9, 3000)), st.integers(1, 3), st.sampled_from((1.0, 0.9)))
def test_adam_primitive_is_its_formula(dtype, seed, n, parts, shrink):
    w, m, v, *gradients = np.random.default_rng(seed).random((3 + parts, n)).astype(dtype)
    g = sum(gradients)
    em, ev = 0.9 * m + g, 0.99 * v + g**2
    ew = shrink * w - 0.01 * em / (ev**0.5 + 1e-3)
    operations.adam(w, gradients, m, v, 0.9, 0.99, 0.01, 1e-3, shrink)
    tolerance = {"rtol": 1e-12} if dtype == "float64" else {"rtol": 3e-6, "atol": 1e-7}
    for got, expected in ((w, ew), (m, em), (v, ev)):
        np.testing.assert_allclose(got, expected, **tolerance)


# Schedules


@given(st.integers(0, 60), st.integers(1, 20))
def test_step_decay(step, every):
    assert optim.step_decay(0.3, every, 0.5)(step) == pytest.approx(oracles.step_decay(0.3, every, 0.5, step))


@given(st.integers(0, 60), st.integers(1, 40), st.floats(0, 0.1))
def test_cosine(step, total, floor):
    assert optim.cosine(0.3, total, floor)(step) == pytest.approx(oracles.cosine(0.3, total, floor, step))


@given(st.integers(0, 60), st.integers(0, 40))
def test_warm_up(step, steps):
    assert optim.warm_up(0.3, steps)(step) == pytest.approx(oracles.warm_up(0.3, steps, step))


def test_warm_up_multiplies_the_schedule():
    schedule = optim.warm_up(optim.cosine(1.0, 10), 4)
    assert [schedule(s) for s in (0, 3, 7)] == pytest.approx(
        [oracles.cosine(1, 10, 0, s) * share for s, share in ((0, 0.25), (3, 1), (7, 1))]
    )


@pytest.mark.parametrize(
    "name, rates",
    [("constant", [1, 1, 1, 1]), ("step", [1, 0.1, 0.01, 0.001]), ("cosine", [1, 0.75, 0.25, 0])],
)
def test_schedule_by_name(name, rates):
    schedule = optim.schedule(name, 1.0, total=9)
    assert [schedule(step) for step in (0, 3, 6, 9)] == pytest.approx(rates)


def test_constant():
    assert optim.constant(0.3)(0) == optim.constant(0.3)(1000) == 0.3


def test_unknown_schedule_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        optim.schedule("cosin", 1.0, 10)


# Clipping


@given(st.integers(0, 2**32), st.integers(1, 6), st.floats(0.01, 10))
def test_clipping_is_the_loop(seed, n, max_norm):
    gradient = np.random.default_rng(seed).normal(size=n)
    expected, norm = oracles.clip(gradient, max_norm)
    assert float(optim.clip_by_global_norm(gradient, max_norm)) == pytest.approx(norm)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_clipped_gradient_has_the_largest_norm_allowed():
    gradient = np.full(16, 100, np.float32)
    optim.clip_by_global_norm(gradient, 2.0)
    assert np.linalg.norm(gradient) == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("gradient", ([0.3, -0.4], [0.0, 0.0]))
def test_small_gradient_is_left_bit_for_bit(gradient):
    clipped = np.array(gradient, np.float32)
    optim.clip_by_global_norm(clipped, 1.0)
    np.testing.assert_array_equal(clipped, np.array(gradient, np.float32))


def test_clipping_keeps_nan():
    gradient = np.array([1.0, np.nan])
    assert np.isnan(optim.clip_by_global_norm(gradient, 1.0))
    assert np.isnan(gradient).any()


def test_clipping_happens_before_the_step():
    """What the norm bounds is the gradient: with SGD, the step's length is lr max_norm."""
    store, grads = store_of(np.zeros(4)), store_of(np.full(4, 30.0))
    optim.clip_by_global_norm(grads.flat, 1.0)
    optim.SGD(0.1).step(store, grads)
    assert np.linalg.norm(store.flat) == pytest.approx(0.1)
