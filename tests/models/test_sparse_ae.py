"""Sparse codes: the penalties against loops, the batch that one of them couples, and what `sparse-ae` promises."""

import math

import numpy as np
import oracles
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st

import tinyae
from tinyae import models, optim
from tinyae.backend import Backend
from tinyae.errors import ConfigError
from tinyae.latent import sparsity
from tinyae.params import nest
from tinyae.training import loop
from tinyae.training.feed import Feed
from tinyae.training.step import Step
from tinyae.training.workers import Workers

SMALL = dict(input_shape=(4, 3, 1), hidden=(6,), latent_dim=5)
each_penalty = pytest.mark.parametrize("penalty", ("l1", "kl"))


def images(n, shape=(4, 3, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


# latent/sparsity.py


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 5), st.floats(0.01, 0.99))
def test_penalties_are_the_loops(seed, n, d, rate):
    h = 2 * np.random.default_rng(seed).normal(size=(n, d))
    assert sparsity.l1_of_code(h)[0] == pytest.approx(oracles.l1_of_code(h), rel=1e-13)
    assert sparsity.kl_to_rate(h, rate)[0] == pytest.approx(oracles.kl_to_rate(h, rate), rel=1e-10, abs=1e-13)


def test_kl_vanishes_at_the_rate_with_its_gradient():
    h = np.full((3, 4), math.log(0.2 / 0.8))
    kl, dh = sparsity.kl_to_rate(h, 0.2)
    assert kl == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(dh, 0, atol=1e-15)


@pytest.mark.parametrize("h", (-80.0, -20.0, 20.0, 80.0))
def test_kl_of_units_always_on_or_off_keeps_its_digits_in_float32(h):
    """1 - sigmoid(20) is 0 in float32; the penalty there is 18 nats, and it must lead away."""
    kl, dh = sparsity.kl_to_rate(np.full((2, 1), h, "float32"), 0.05)
    rare = 0.05 if h < 0 else 0.95  # the probability of what never happens
    expected = rare * (math.log(rare) + abs(h)) + (1 - rare) * math.log(1 - rare)
    assert float(kl) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(dh, math.copysign(rare, h) / 2, rtol=1e-5)


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_backends_agree_and_keep_the_dtype(dtype, gpu):
    h = np.random.default_rng(0).normal(size=(4, 3)).astype(dtype)
    for function in (sparsity.l1_of_code, lambda h: sparsity.kl_to_rate(h, 0.1)):
        expected = list(function(h))
        assert {value.dtype for value in expected} == {np.dtype(dtype)}
        assert_same(gpu.host(list(function(gpu.array(h)))), expected, 1e-6 if dtype == "float32" else 1e-14)


# sparse-ae


@each_penalty
def test_terms_add_up_to_the_loss(penalty):
    model = models.SparseAE(**SMALL, penalty=penalty, weight=0.3, dtype="float64")
    terms = {name: float(value) for name, value in model.loss({"x": images(7)}).items()}
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["sparsity"], rel=1e-14)
    z = model.encode(images(7))
    h = z if penalty == "l1" else np.log(z / (1 - z))
    penalties = {"l1": lambda: oracles.l1_of_code(h), "kl": lambda: oracles.kl_to_rate(h, 0.05)}
    assert terms["sparsity"] == pytest.approx(0.3 * penalties[penalty](), rel=1e-10)


def test_codes_have_zeros_or_lie_between_zero_and_one():
    assert (models.SparseAE(**SMALL).encode(images(50)) == 0).any()
    z = models.SparseAE(**SMALL, penalty="kl").encode(images(50))
    assert (z > 0).all() and (z < 1).all()


@each_penalty
def test_training_is_that_of_the_whole_batch_on_any_number_of_threads(penalty, n=256):
    """A mean activation over half the batch is another loss: with "kl" the step must not run in parts."""
    model, x = models.SparseAE(**SMALL, penalty=penalty, dtype="float64"), images(n)
    expected, gradients = model.loss_and_grads({"x": x})
    team = Workers(2)
    step = Step(model, optim.SGD(1.0), team=team)
    terms = step.gradients({"x": x}, model.backend.noise(0))
    team.close()
    assert len(step.grads) == (1 if penalty == "kl" else 4)
    assert terms == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(sum(part.named[name] for part in step.grads), gradient, rtol=0, atol=1e-12)


@each_penalty
def test_evaluation_is_of_the_whole_whatever_the_chunk(penalty):
    model, x = models.SparseAE(**SMALL, penalty=penalty, dtype="float64"), images(50)
    expected = {name: float(value) for name, value in model.loss({"x": x}).items()}
    for chunk in (50, 7):
        model.chunk = chunk
        assert loop.evaluate(model, Feed(x, None, Backend(), 20, 0), 0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("penalty, weight", (("l1", 3.0), ("kl", 30.0)))
def test_a_penalty_makes_codes_sparse(penalty, weight):
    x = tinyae.data.load("digits").train.x[:400]
    activity = []
    for w in (0.0, weight):
        model = models.SparseAE(input_shape=(8, 8, 1), latent_dim=40, penalty=penalty, weight=w)
        tinyae.fit(model, x, epochs=40, batch_size=100, lr=3e-3, progress=False)
        activity.append(model.activity(x))
    assert activity[1].shape == (40,)
    assert activity[1].mean() < 0.5 * activity[0].mean()
    if penalty == "kl":
        np.testing.assert_allclose(activity[1], 0.05, atol=0.03)


def test_features_are_the_decoders_weights():
    model = models.SparseAE(**SMALL | {"hidden": ()})
    model.named_parameters()["decoder.0.bias"][...] = 3
    expected = model.named_parameters()["decoder.0.weight"].reshape(5, 4, 3, 1)
    np.testing.assert_allclose(model.features(), expected, atol=1e-6)
    assert models.SparseAE(**SMALL).features().shape == (5, 4, 3, 1)


def test_the_picture_of_features_begins_with_the_most_active(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    from tinyae.plot import feature_sheet

    shown = {}
    monkeypatch.setattr(feature_sheet, "grid", lambda path, images, **words: shown.update(words, images=images))
    model, x = models.SparseAE(**SMALL | {"hidden": ()}), images(40)
    feature_sheet.features(tmp_path / "f.png", model, x, most=3)
    order = np.argsort(-model.activity(x), kind="stable")[:3]
    weights = model.features()[order]
    expected = 0.5 + weights / (2 * np.abs(weights).max(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(shown["images"], expected, rtol=1e-5)
    assert shown["captions"] == [f"{100 * share:.3g} %" for share in model.activity(x)[order]]
    assert shown["title"] == "Features of the most active 3 of 5 code units"


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(penalty="l2"), "unknown penalty 'l2': known: l1, kl"),
        (dict(weight=-1), "weight: expected a number of at least 0, got -1"),
        (dict(weight=float("nan")), "weight: expected"),
        (dict(rate=0.0), "rate: expected a number above 0 and below 1, got 0.0"),
        (dict(rate=1), "rate: expected"),
    ],
)
def test_bad_options_are_one_line(options, message):
    with pytest.raises(ConfigError) as caught:
        models.SparseAE(**SMALL, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


# Beside PyTorch


def theirs(torch, params, x, penalty):
    F = torch.nn.functional

    def dense(name, value):
        return F.linear(value, params[f"{name}.weight"].T, params[f"{name}.bias"])

    h = dense("encoder.3", F.relu(dense("encoder.1", x)))
    z = F.relu(h) if penalty == "l1" else torch.sigmoid(h)
    logits = dense("decoder.2", F.relu(dense("decoder.0", z)))
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    if penalty == "l1":
        sparse = z.abs().sum() / len(x)
    else:
        rates = torch.full_like(z[0], 0.05), z.mean(dim=0)
        sparse = torch.distributions.kl_divergence(*map(torch.distributions.Bernoulli, rates)).sum()
    return {"loss": rec + 0.3 * sparse, "reconstruction": rec, "sparsity": 0.3 * sparse}


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    before = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(before)


@each_penalty
def test_ten_steps_of_training_are_pytorchs(penalty, torch, batch=16):
    images = tinyae.data.load("fashion-mini").train.x[:200].reshape(200, -1) / 255
    model = models.SparseAE(hidden=(40,), latent_dim=30, penalty=penalty, weight=0.3, dtype="float64")
    params = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
    optimizer, their_optimizer = optim.Adam(1e-3), torch.optim.Adam(params.values(), lr=1e-3)
    grads, rng = model.store.like(), np.random.default_rng(0)
    for step in range(10):
        x = images[rng.integers(0, len(images), batch)]
        terms, named = model.loss_and_grads({"x": x})
        expected = theirs(torch, params, torch.tensor(x), penalty)
        assert tuple(terms) == tuple(expected)
        for name, term in terms.items():
            assert float(term) == pytest.approx(expected[name].item(), rel=1e-10), f"{name} at step {step}"
        their_optimizer.zero_grad()
        expected["loss"].backward()
        for name, parameter in params.items():
            gradient = parameter.grad.numpy()
            np.testing.assert_allclose(named[name], gradient, rtol=0, atol=1e-10 * np.abs(gradient).max())
        grads.fill(nest(grads.shapes, named))
        optimizer.step(model.store, grads)
        their_optimizer.step()
