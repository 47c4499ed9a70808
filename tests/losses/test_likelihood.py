"""The decoder's likelihoods: values against distributions written out, gradients, bounds, and what they mean."""

import math

import numpy as np
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st

from tinyae import models
from tinyae.errors import ConfigError, DataError
from tinyae.gradcheck import gradcheck_function
from tinyae.losses.likelihood import LEVELS, LearnedGaussian, levels, likelihood
from tinyae.training import fit

NAMES = ("bernoulli", "gaussian", "learned-gaussian", "laplace", "categorical")
SHAPES = ((2, 3, 2), (5,))
each_name = pytest.mark.parametrize("name", NAMES)
each_shape = pytest.mark.parametrize("shape", SHAPES)
SIGMA = 0.4


def case(name, shape, n=4, dtype="float64", seed=0):
    """The likelihood, drawn decoder outputs for it, and x."""
    rng = np.random.default_rng(seed)
    p = likelihood(name, SIGMA)
    out_shape = (*shape[:-1], shape[-1] + 1) if name == "learned-gaussian" else p.output_shape(shape)
    out = rng.normal(size=(n, *out_shape)) - 0.5
    x = rng.random((n, *shape))
    return p, out.astype(dtype), x.astype(dtype)


def log_prob(name, out, x):
    """log p(x | out) of one example, value by value from the definitions."""
    shape, total = x.shape, 0.0
    if name == "categorical":
        out = out.reshape(*shape, LEVELS)
    for place in np.ndindex(shape):
        v = x[place]
        if name == "bernoulli":
            p = 1 / (1 + math.exp(-out[place]))
            total += v * math.log(p) + (1 - v) * math.log(1 - p)
        elif name == "laplace":
            total += math.log(math.exp(-abs(v - out[place]) / SIGMA) / (2 * SIGMA))
        elif name == "categorical":
            logits = out[place]
            total += math.log(math.exp(logits[round(255 * v)]) / sum(map(math.exp, logits)))
        else:
            s = out[(*place[:-1], -1)]
            variance = math.exp(-12 + math.log(1 + math.exp(s + 12))) if name == "learned-gaussian" else SIGMA**2
            density = math.exp(-((v - out[place]) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
            total += math.log(density)
    return total


@each_name
@each_shape
def test_log_prob_is_the_definition(name, shape):
    p, out, x = case(name, shape)
    expected = [log_prob(name, o, v) for o, v in zip(out, x, strict=True)]
    np.testing.assert_allclose(p.log_prob(out, x), expected, rtol=1e-12)


@each_name
@each_shape
def test_nll_is_minus_the_mean_of_log_prob(name, shape):
    p, out, x = case(name, shape)
    loss, dout = p.nll(out, x)
    assert loss == pytest.approx(-p.log_prob(out, x).mean(), rel=1e-12)
    assert dout.shape == out.shape
    parts = [p.nll(out[rows], x[rows], 4) for rows in (slice(1), slice(1, None))]
    assert parts[0][0] + parts[1][0] == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(np.concatenate([d for _, d in parts]), dout, rtol=1e-13)


@each_name
def test_gradient(name):
    p, out, x = case(name, (3, 2))
    report = gradcheck_function(
        name, lambda out: p.nll(out, x), lambda noise: {"out": noise.normal("o", out.shape, "float64")}
    )
    assert report.passed, report


@each_name
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_dtype_and_shape_are_kept(name, dtype):
    p, out, x = case(name, (3, 2), dtype=dtype)
    loss, dout = p.nll(out, x)
    assert {a.dtype for a in (loss, dout, p.log_prob(out, x), p.mean(out))} == {np.dtype(dtype)}
    assert p.mean(out).shape == x.shape and p.log_prob(out, x).shape == (4,) and loss.shape == ()


@each_name
def test_on_a_device_nothing_is_waited_for(name, strict_device):
    p, out, x = case(name, (3, 2), dtype="float32")
    before = strict_device.xp.host_syncs
    there = strict_device.array(out), strict_device.array(x)
    results = [p.nll(*there), p.log_prob(*there), p.mean(there[0])]
    assert strict_device.xp.host_syncs == before
    assert_same(strict_device.host(results), [list(p.nll(out, x)), p.log_prob(out, x), p.mean(out)], 1e-6)


@pytest.mark.parametrize("name", ("gaussian", "learned-gaussian", "laplace"))
def test_density_integrates_to_one(name):
    x, step = np.linspace(-20, 20, 20_001, retstep=True)
    out = np.array([[0.3, -0.7]]) if name == "learned-gaussian" else np.array([[0.3]])
    p = likelihood(name, SIGMA)
    assert np.exp(p.log_prob(np.repeat(out, len(x), axis=0), x[:, None])).sum() * step == pytest.approx(1, rel=1e-4)


def test_categorical_probabilities_add_up_and_their_mean_is_the_expectation():
    p, out, _ = case("categorical", (1,), n=1)
    values = np.arange(LEVELS) / 255
    probabilities = np.exp(p.log_prob(np.repeat(out, LEVELS, axis=0), values[:, None]))
    assert probabilities.sum() == pytest.approx(1, rel=1e-12)
    assert p.mean(out).item() == pytest.approx(probabilities @ values, rel=1e-12)


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_every_byte_is_its_own_level(dtype):
    x = models.VAE(input_shape=(256,), hidden=(2,), dtype=dtype).prepare({"x": np.arange(256, dtype="uint8")[None]})[
        "x"
    ]
    np.testing.assert_array_equal(levels(x)[0], np.arange(256))


def test_categorical_is_exact_at_large_logits():
    p = likelihood("categorical", 1.0)
    out = np.full((1, LEVELS), -1e4, "float32")
    out[0, 7] = 1e4
    x = np.array([[7 / 255]], "float32")
    assert p.log_prob(out, x).item() == 0 and p.mean(out).item() == pytest.approx(7 / 255)
    assert p.log_prob(out, x + 1 / 255).item() == pytest.approx(-2e4)


# bits per dimension


def test_bits_per_dimension_of_uniform_levels_are_eight():
    """256 equal logits, and the uniform density on [0, 1], both say nothing: 8 bits."""
    p = likelihood("categorical", 1.0)
    nats, _ = p.nll(np.zeros((2, 3 * LEVELS)), np.random.default_rng(0).random((2, 3)))
    assert p.bits_per_dimension(nats, 3) == pytest.approx(8)
    for name in ("gaussian", "learned-gaussian", "laplace"):
        assert likelihood(name, 1.0).bits_per_dimension(0.0, 3) == pytest.approx(8)


def test_bits_per_dimension_of_a_fair_coin_is_one():
    p = likelihood("bernoulli", 1.0)
    nats, _ = p.nll(np.zeros((4, 5)), np.eye(4, 5))
    assert p.bits_per_dimension(nats, 5) == pytest.approx(1)


def test_a_density_as_wide_as_a_level_gives_that_level_about_its_probability():
    """On data with uniform noise, bits by a narrow Gaussian are close to bits by the levels' true probabilities."""
    rng = np.random.default_rng(0)
    x = (np.rint(255 * np.clip(0.5 + 0.1 * rng.normal(size=(20_000, 1)), 0, 1)) + rng.random((20_000, 1))) / 256
    p = likelihood("gaussian", 0.1)
    nats, _ = p.nll(np.full_like(x, 0.5), x)
    entropy = math.log2(0.1 * math.sqrt(2 * math.pi * math.e) * 256)  # in bits, of N(0.5, 0.1^2) cut into levels
    assert p.bits_per_dimension(nats, 1) == pytest.approx(entropy, abs=0.02)


# the learned variance


@given(st.floats(-1e4, 1e4))
def test_learned_variance_stays_above_its_floor_for_any_output(s):
    p = LearnedGaussian()
    out = np.array([[0.5, s]])
    logvar = p.logvar(out[:, 1:])
    assert logvar.item() >= -12
    loss, dout = p.nll(out, np.array([[0.5]]))
    assert np.isfinite(loss) and np.isfinite(dout).all()


def test_learned_variance_becomes_the_mean_squared_error():
    """Where the decoder can only say the mean, sigma^2 has to become the variance of the data."""
    rng = np.random.default_rng(0)
    x = (0.5 + 0.05 * rng.normal(size=(512, 6))).clip(0, 1).astype("float32")
    model = models.VAE(input_shape=(6,), hidden=(), latent_dim=1, likelihood="learned-gaussian", sigma=0.3)
    channel = model.named_parameters()["decoder.2.channel"]
    assert channel.shape == () and channel == pytest.approx(2 * math.log(0.3), rel=1e-6)
    fit(model, x, epochs=400, batch_size=512, lr=0.06, schedule="cosine", progress=False, threads=1)
    mse = np.mean((model.reconstruct(x) - x) ** 2)
    learned = math.exp(float(model.likelihood.logvar(channel)))
    assert learned == pytest.approx(mse, rel=0.05) and mse == pytest.approx(0.05**2, rel=0.2)


# in models


@each_name
@pytest.mark.parametrize("make", (models.VAE, models.ConvVAE))
def test_models_take_every_likelihood(make, name):
    model = make(input_shape=(4, 4, 2), latent_dim=2, likelihood=name)
    x = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 2), dtype="uint8")
    terms, grads = model.loss_and_grads({"x": x})
    assert np.isfinite(terms["loss"]) and all(np.any(g) for g in grads.values())
    assert model.reconstruct(x).shape == x.shape and model.sample(2).shape == (2, 4, 4, 2)


@pytest.mark.parametrize("name", ("bernoulli", "categorical"))
def test_data_of_any_range_need_a_density(name):
    model = models.VAE(input_shape=(3,), hidden=(2,), likelihood=name)
    with pytest.raises(DataError, match=rf"likelihood={name} needs \[0, 1\]: use likelihood=gaussian"):
        fit(model, np.full((4, 3), 1.5, "float32"), epochs=1, progress=False)


def test_unknown_likelihood_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'categorical'"):
        likelihood("categoric", 1.0)
