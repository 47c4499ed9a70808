"""Importance-weighted bounds: against a model whose p(x) is known, their order, their noise, their errors."""

import math

import numpy as np
import pytest

import tinyae
from tinyae.backend import Noise
from tinyae.errors import ConfigError
from tinyae.evaluation.likelihood import active_units, importance_weighted, standard_error
from tinyae.models import NAMES

SIGMA = 0.7


def linear_gaussian(accuracy=1.0, dtype="float64"):
    """A VAE with z ~ N(0, I), x|z ~ N(z W + b, 0.7^2 I) and an affine encoder, and data (40, 5) drawn from it.

    The rows of W are orthogonal, so the true posterior has a diagonal covariance: with accuracy 1 the encoder is that
    posterior; otherwise its means are short by that factor, its variances wider.
    """
    rng = np.random.default_rng(0)
    model = tinyae.models.VAE((5,), 2, hidden=(), likelihood="gaussian", sigma=SIGMA, dtype=dtype)
    w = np.linalg.qr(rng.normal(size=(5, 2)))[0].T * [[1.5], [0.6]]
    b = rng.normal(size=5)
    precision = 1 + (w**2).sum(axis=1) / SIGMA**2
    to_mu = accuracy * (w / precision[:, None] / SIGMA**2).T
    parameters = model.named_parameters()
    parameters["decoder.0.weight"][...], parameters["decoder.0.bias"][...] = w, b
    parameters["encoder.1.weight"][...] = np.concatenate((to_mu, np.zeros((5, 2))), axis=1)
    parameters["encoder.1.bias"][...] = np.concatenate((-b @ to_mu, -np.log(precision) + (1 - accuracy)))
    x = rng.normal(size=(40, 2)) @ w + b + SIGMA * rng.normal(size=(40, 5))
    covariance = w.T @ w + SIGMA**2 * np.eye(5)
    offset = x - b
    squared = (offset @ np.linalg.inv(covariance) * offset).sum(axis=1)
    log_p = -0.5 * (5 * math.log(2 * math.pi) + np.linalg.slogdet(covariance)[1] + squared)
    return model, x, log_p


def test_with_the_true_posterior_one_draw_is_log_p():
    model, x, log_p = linear_gaussian()
    for samples in (1, 7):
        bound = importance_weighted(model, x, samples)
        np.testing.assert_allclose(bound.values, log_p, rtol=1e-11)
        np.testing.assert_allclose(bound.elbo, log_p, rtol=1e-11)
        np.testing.assert_allclose(bound.effective, samples, rtol=1e-9)
    assert bound.monte_carlo_error == pytest.approx(0, abs=1e-6)


def test_with_a_worse_posterior_it_converges_to_log_p():
    model, x, log_p = linear_gaussian(accuracy=0.6)
    bounds = [importance_weighted(model, x, samples) for samples in (1, 30, 1000, 10_000)]
    errors = [np.abs(bound.values - log_p).mean() for bound in bounds]
    assert errors[0] > 4 * errors[1] > 12 * errors[2] and errors[3] < 0.015
    assert abs(bounds[3].mean - log_p.mean()) < 5 * bounds[3].monte_carlo_error < 0.02


def test_bounds_are_in_order():
    """In expectation ELBO = L_1 <= L_5 <= L_50 <= log p(x), means over 40 images and 200 seeds."""
    model, x, log_p = linear_gaussian(accuracy=0.6)
    means = [
        np.mean([importance_weighted(model, x, k, seed=seed).mean for seed in range(200)]) for k in (1, 5, 50)
    ]  # fmt: skip
    assert means[0] + 0.1 < means[1] and means[1] + 0.02 < means[2] <= log_p.mean() + 0.002
    mu, logvar = model.posterior(x)
    # The gap of the ELBO is KL(q(z|x) || p(z|x)), here between two Gaussians with diagonal covariances.
    exact, _, _ = linear_gaussian()
    true_mu, true_logvar = exact.posterior(x)
    ratio = np.exp(logvar - true_logvar)
    gap = 0.5 * (ratio - 1 - np.log(ratio) + (mu - true_mu) ** 2 / np.exp(true_logvar)).sum(axis=1)
    elbo = importance_weighted(model, x, 3000).elbo.mean()
    assert elbo == pytest.approx(log_p.mean() - gap.mean(), abs=0.02)


def test_for_every_image_the_elbo_of_the_same_draws_is_lower():
    model, x, _ = linear_gaussian(accuracy=0.5)
    bound = importance_weighted(model, x, 20)
    assert (bound.elbo < bound.values).all() and (bound.effective >= 1).all() and (bound.effective <= 20).all()
    assert (importance_weighted(model, x, 1).elbo == importance_weighted(model, x, 1).values).all()


def test_the_terms_of_each_image():
    """KL(q || N(0, I)) and E_q -log N(x | zW + b, s^2 I), of which the second is, image by image,
    (5 log 2 pi s^2 + |x - mu W - b|^2 / s^2 + sum_j var_j |W_j|^2 / s^2) / 2."""
    model, x, _ = linear_gaussian(accuracy=0.6)
    bound = importance_weighted(model, x, 4000)
    mu, logvar = model.posterior(x)
    w, b = (model.named_parameters()[f"decoder.0.{name}"] for name in ("weight", "bias"))
    error = ((x - mu @ w - b) ** 2).sum(axis=1) + np.exp(logvar) @ (w**2).sum(axis=1)
    reconstruction = 0.5 * (5 * math.log(2 * math.pi * SIGMA**2) + error / SIGMA**2)
    np.testing.assert_allclose(bound.reconstruction, reconstruction, atol=0.2)
    np.testing.assert_allclose(bound.kl, 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1), atol=0.15)
    assert bound.reconstruction.mean() == pytest.approx(reconstruction.mean(), abs=0.02)
    np.testing.assert_allclose(bound.elbo, -bound.reconstruction - bound.kl, rtol=1e-12)


def test_the_monte_carlo_error_is_the_spread_over_seeds():
    model, x, _ = linear_gaussian(accuracy=0.6)
    bounds = [importance_weighted(model, x, 100, seed=seed) for seed in range(100)]
    assert np.mean([bound.monte_carlo_error for bound in bounds]) == pytest.approx(
        np.std([bound.mean for bound in bounds], ddof=1), rel=0.2
    )
    assert importance_weighted(model, x, 1).monte_carlo_error is None


def test_standard_error():
    values = np.random.default_rng(0).normal(size=(4000, 25))
    estimates = [standard_error(row) for row in values]
    assert np.mean(estimates) == pytest.approx(np.std(values.mean(axis=1)), rel=0.05)
    assert standard_error(np.ones(1)) == 0


@pytest.fixture(scope="module")
def digits():
    data = tinyae.data.load("digits")
    model = tinyae.models.VAE(data.shape, latent_dim=3, hidden=(16,))
    tinyae.fit(model, data, epochs=5, progress=False)
    return model, data.test.x[:90]


@pytest.mark.parametrize("chunk", (7, 64, 1000))
def test_a_seed_gives_one_number_for_any_size_of_the_parts(chunk, digits, monkeypatch):
    model, x = digits
    whole = importance_weighted(model, x, 20, seed=3)
    monkeypatch.setattr(model, "chunk", chunk)
    parts = importance_weighted(model, x, 20, seed=3)
    np.testing.assert_allclose(parts.values, whole.values, rtol=1e-5)
    np.testing.assert_allclose(parts.effective, whole.effective, rtol=1e-3)
    assert np.abs(importance_weighted(model, x, 20, seed=4).values - whole.values).min() > 1e-4


def test_more_samples_go_on_where_fewer_end(digits):
    """So the log weights can be told from the ELBOs of 1, 2, 3 draws, and L_k from the log weights."""
    model, x = digits
    bounds = [importance_weighted(model, x, k) for k in (1, 2, 3)]
    sums = np.array([np.zeros(len(x)), *(bound.samples * bound.elbo for bound in bounds)])
    log_w = np.diff(sums, axis=0)
    assert (np.abs(np.diff(log_w, axis=0)) > 1e-4).all()
    for k, bound in enumerate(bounds, start=1):
        np.testing.assert_allclose(bound.values, np.logaddexp.reduce(log_w[:k]) - math.log(k), rtol=1e-9)
        w = np.exp(log_w[:k] - log_w[:k].max(axis=0))
        np.testing.assert_allclose(bound.effective, w.sum(axis=0) ** 2 / (w**2).sum(axis=0), rtol=1e-6)


def test_images_do_not_depend_on_each_other(digits):
    model, x = digits
    np.testing.assert_allclose(
        importance_weighted(model, x[:10], 5).values, importance_weighted(model, x, 5).values[:10]
    )


def test_memory_is_that_of_a_part(digits, monkeypatch):
    model, x = digits
    monkeypatch.setattr(model, "chunk", 32)
    seen = []
    apply = model.apply
    monkeypatch.setattr(model, "apply", lambda name, x: seen.append(len(x)) or apply(name, x))
    importance_weighted(model, x, 50)
    assert max(seen) == 32 and len(seen) > 2 * 50


def test_on_a_device(digits, gpu):
    model, x = digits
    on_device = tinyae.models.VAE(**model.config, backend="cupy")
    on_device.store.flat[...] = gpu.array(model.store.flat)
    ours, theirs = importance_weighted(model, x, 6), importance_weighted(on_device, x, 6)
    np.testing.assert_allclose(theirs.values, ours.values, rtol=1e-5)


VARIATIONAL = [name for name, model in NAMES.items() if hasattr(model, "log_likelihood")]


@pytest.mark.parametrize("name", VARIATIONAL)
def test_every_variational_model_has_the_joint_that_it_trains(name):
    """The ELBO from log p(x|z), log p(z) and q(z|x) agrees with the model's own loss terms, over many samples of z."""
    model = next(model for model in NAMES[name].examples() if model.samples == 1)
    batch = model.example_batch(Noise(5), 4)
    many = {key: np.concatenate([array] * 3000) for key, array in batch.items()}
    terms = model.loss(many, seed=1)
    own = -sum(float(value) for key, value in terms.items() if key.startswith(("reconstruction", "kl")))
    bound = importance_weighted(model, batch["x"], 3000, batch.get("labels"))
    assert (bound.elbo < bound.values).all()
    if name == "mixture-vae":  # its q(y|z) is not p(y|z): what it trains is below the ELBO over z alone
        assert own - 0.05 < bound.elbo.mean() < own + 0.5
    else:
        assert bound.elbo.mean() == pytest.approx(own, abs=0.05)


def test_active_units(digits):
    model, x = digits
    active, variance = active_units(model, x)
    assert active.all() and np.allclose(variance, model.posterior(x)[0].var(axis=0), rtol=1e-4)
    collapsed = tinyae.models.VAE(**model.config)
    collapsed.store.flat[...] = model.store.flat
    *_, weight, bias = (a for name, a in collapsed.named_parameters().items() if name.startswith("encoder"))
    weight[:, 1], bias[1] = 0, 0.3
    assert active_units(collapsed, x)[0].tolist() == [True, False, True]


def test_models_without_a_likelihood_are_refused(digits):
    _, x = digits
    autoencoder = NAMES["ae"]((8, 8, 1))
    for function in (lambda: importance_weighted(autoencoder, x, 1), lambda: active_units(autoencoder, x)):
        with pytest.raises(ConfigError, match="ae has no likelihood .* such as 'vae'"):
            function()


@pytest.mark.parametrize("samples", (0, -1, 2.5))
def test_a_number_of_samples_that_is_none_is_refused(samples, digits):
    with pytest.raises(ConfigError, match="at least 1"):
        importance_weighted(*digits, samples)
