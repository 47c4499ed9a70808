"""The importance-weighted bound in training: its definition, its limit, its order, its parts."""

import math

import numpy as np
import oracles
import pytest
from devices import assert_same
from steps import run

from tinyae import data, fit, models
from tinyae.errors import ConfigError
from tinyae.latent import gaussian
from tinyae.models.vae import log_mean_exp


def linear(k, seed=0, **options):
    """A VAE of linear maps with drawn weights: its p(x) is a Gaussian."""
    model = models.VAE(
        input_shape=(5,),
        latent_dim=2,
        hidden=(),
        likelihood="gaussian",
        sigma=0.7,
        samples=k,
        dtype="float64",
        **options,
    )
    model.store.flat[...] = 0.5 * np.random.default_rng(seed).normal(size=model.param_count)
    return model


def log_marginal(model, x):
    """log p(x) of a linear model: x ~ N(b, W^T W + sigma^2 I)."""
    weight, bias = (model.named_parameters()[f"decoder.0.{name}"] for name in ("weight", "bias"))
    covariance = weight.T @ weight + 0.7**2 * np.eye(5)
    offset = x - bias
    quadratic = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(covariance), offset)
    return -0.5 * (quadratic + np.linalg.slogdet(2 * math.pi * covariance)[1])


def make_exact(model):
    """Give the linear model the encoder that is its decoder's posterior."""
    p = model.named_parameters()
    weight, precision = p["decoder.0.weight"].copy(), 0.7**-2
    covariance = np.linalg.inv(np.eye(2) + precision * weight @ weight.T)
    lengths, turn = np.linalg.eigh(covariance)
    p["decoder.0.weight"][...] = turn.T @ weight  # the same p(x), and now the posterior's dimensions are independent
    gain = precision * (lengths[:, None] * (turn.T @ weight))
    p["encoder.1.weight"][...] = np.concatenate((gain.T, np.zeros((5, 2))), axis=1)
    p["encoder.1.bias"][...] = np.concatenate((-gain @ p["decoder.0.bias"], np.log(lengths)))
    return model


X = np.random.default_rng(1).normal(size=(6, 5))


@pytest.mark.parametrize("likelihood", ("bernoulli", "gaussian", "laplace", "learned-gaussian", "categorical"))
def test_the_loss_is_the_definition(likelihood, k=3):
    model = models.VAE(
        input_shape=(2, 2, 1), latent_dim=2, hidden=(4,), samples=k, likelihood=likelihood, sigma=0.5, dtype="float64"
    )
    rng = np.random.default_rng(0)
    x, noise = rng.random((3, 2, 2, 1)), rng.normal(size=(3, k, 2))
    total = 0.0
    for n in range(3):
        mu, logvar = (row[0] for row in model.posterior(x[n : n + 1]))
        weights = []
        for i in range(k):
            z = (mu + np.exp(logvar / 2) * noise[n, i])[None]
            out = model.apply("decoder", z)
            prior = oracles.normal_log_density(z, 0 * z, 0 * z)[0]
            posterior = oracles.normal_log_density(z, mu[None], logvar[None])[0]
            weights.append(math.exp(model.likelihood.log_prob(out, x[n : n + 1])[0] + prior - posterior))
        total -= math.log(sum(weights) / k) / 3
    assert model.loss({"x": x}, {"z": noise})["loss"] == pytest.approx(total, rel=1e-10)


def test_the_terms_add_up_and_are_those_of_the_elbo():
    model = linear(4)
    noise = np.random.default_rng(2).normal(size=(6, 4, 2))
    terms, _ = model.loss_and_grads({"x": X}, {"z": noise})
    assert tuple(terms) == model.terms == ("loss", "reconstruction", "kl", "gain")
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["kl"] + terms["gain"], rel=1e-13)
    each = [linear(1).loss({"x": X}, {"z": noise[:, i]}) for i in range(4)]
    assert terms["reconstruction"] == pytest.approx(np.mean([t["reconstruction"] for t in each]), rel=1e-12)
    assert terms["kl"] == pytest.approx(each[0]["kl"], rel=1e-12)
    assert terms["gain"] < 0


def test_bounds_grow_with_k_to_the_likelihood():
    """ELBO <= L_5 <= L_50 <= log p(x) (their theorem 1), each gap well above the error of its estimate."""
    x, many = X[:1], 4000
    rows, bounds, errors = {"x": x.repeat(many, axis=0)}, [], []
    for k in (1, 5, 50):
        model = linear(k)
        # By parts, for the spread of their means.
        parts = [-model.loss(rows, seed=seed)["loss"] for seed in range(4)]
        bounds.append(np.mean(parts))
        errors.append(np.std(parts) + 1e-3)
    exact = log_marginal(linear(1), x).item()
    steps = np.diff([*bounds, exact])
    assert (steps > 4 * np.array(errors)).all(), (bounds, exact)
    assert exact - bounds[2] < 0.1 * (exact - bounds[0])


@pytest.mark.parametrize("k", (2, 7))
def test_with_the_exact_posterior_every_draw_gives_the_likelihood(k):
    """w = p(x) for any z: the bound has neither a gap nor a spread."""
    model = make_exact(linear(k))
    for seed in range(3):
        assert -model.loss({"x": X}, seed=seed)["loss"] == pytest.approx(log_marginal(model, X).mean(), rel=1e-12)


def test_parts_sum_to_the_whole():
    model, noise = linear(3), np.random.default_rng(0).normal(size=(6, 3, 2))
    whole, expected = model.loss_and_grads({"x": X}, {"z": noise})
    grads, sums = model.store.like(), dict.fromkeys(whole, 0.0)
    for rows in (slice(2), slice(2, None)):
        rng = model.backend.noise(0, 0, {"z": noise[rows]})
        terms, _ = run(model, model.prepare({"x": X[rows]}), rng, grads.tree, batch_size=6)
        sums = {name: sums[name] + terms[name] for name in sums}
    assert sums == pytest.approx(whole, rel=1e-12)
    assert_same(grads.named, expected, 1e-12)


def test_log_mean_exp_at_any_size():
    a = np.array([[-1e4, -1e4 + 1], [1e4, -1e4], [3.0, 3.0]])
    value, weights = log_mean_exp(a)
    expected = [-1e4 + math.log((1 + math.e) / 2), 1e4 - math.log(2), 3]
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(weights, [[1 / (1 + math.e), math.e / (1 + math.e)], [1, 0], [0.5, 0.5]], rtol=1e-12)


def test_training_on_digits_with_more_draws_gives_a_tighter_bound():
    x, bounds = data.load("digits").train.x[:512], {}
    for k in (1, 8):
        model = models.VAE(input_shape=(8, 8, 1), latent_dim=4, hidden=(32,), samples=k)
        history = fit(model, x, epochs=15, batch_size=64, lr=0.01, progress=False, threads=1)
        assert list(history.records[-1]["train"]) == list(model.terms)
        bounds[k] = history.records[-1]["train"]["loss"]
    assert bounds[8] < bounds[1] - 0.2


def test_one_draw_is_the_elbo_with_its_own_terms():
    model = models.VAE(samples=1)
    assert model.terms == ("loss", "reconstruction", "kl") and model.param_count == 404_244
    assert models.VAE(samples=50).param_count == 404_244


def test_memory_of_an_evaluation_does_not_grow_with_the_draws():
    assert models.VAE(samples=50).chunk == models.VAE().chunk // 50


@pytest.mark.parametrize("samples", (0, -1, 2.5, True, (2, 3)))
def test_the_number_of_draws_is_a_whole_number(samples):
    with pytest.raises(ConfigError, match="^samples: expected"):
        models.VAE(samples=samples)


def test_the_posterior_is_that_of_the_elbo():
    mu, logvar = linear(5).posterior(X)
    np.testing.assert_array_equal(linear(1).posterior(X), (mu, logvar))
    assert gaussian.kl_elements(mu, logvar).mean(axis=0) == pytest.approx(linear(5).kl_per_dimension(X))
