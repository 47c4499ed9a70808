"""beta-VAE: the schedules, the forms of the KL, the published networks, and what training with them does."""

import math

import numpy as np
import pytest
from devices import assert_same

from tinyae import data, fit, models
from tinyae.errors import ConfigError, ShapeError
from tinyae.latent import gaussian, kl_forms

SMALL = dict(input_shape=(4, 3, 1), hidden=(6,), latent_dim=3, dtype="float64")
X = np.random.default_rng(0).random((5, 4, 3, 1))
NOISE = {"z": np.random.default_rng(1).normal(size=(5, 3))}


def terms_and_grads(step=0, **options):
    return models.BetaVAE(**SMALL, **options).loss_and_grads({"x": X}, NOISE, step=step)


# schedules


@pytest.mark.parametrize("step, share", ((0, 0), (1, 0.01), (50, 0.5), (99, 0.99), (100, 1), (10**6, 1)))
def test_linear_rise(step, share):
    assert kl_forms.rise("linear", step, 100) == pytest.approx(share)


@pytest.mark.parametrize(
    "step, share",
    ((0, 0), (5, 0.4), (12, 0.96), (13, 1), (24, 1), (25, 0), (30, 0.4), (75, 0), (99, 1), (100, 1), (101, 1)),
)
def test_cyclical_rise_in_four_cycles_of_25_steps(step, share):
    assert kl_forms.rise("cyclical", step, 100) == pytest.approx(share)


def test_the_weight_follows_the_step_in_training_and_is_the_final_one_in_evaluation():
    options = dict(beta=5.0, warmup="linear", warmup_steps=10)
    model = models.BetaVAE(**SMALL, **options)
    kl = gaussian.kl_standard(*model.posterior(X))[0]
    for step, weight in ((0, 0), (4, 2), (10, 5), (11, 5)):
        for train, expected in ((True, weight), (False, 5)):
            terms = model.loss({"x": X}, NOISE, step=step, train=train)
            assert terms["penalty"] == pytest.approx((expected - 1) * kl)
            assert terms["loss"] == pytest.approx(terms["reconstruction"] + expected * kl)


def test_the_capacity_follows_the_step_in_training_and_is_the_final_one_in_evaluation():
    model = models.BetaVAE(**SMALL, beta=7.0, capacity=8.0, capacity_steps=4)
    kl = gaussian.kl_standard(*model.posterior(X))[0]
    for step, capacity in ((0, 0), (1, 2), (4, 8), (9, 8)):
        for train, expected in ((True, capacity), (False, 8)):
            terms = model.loss({"x": X}, NOISE, step=step, train=train)
            assert terms["loss"] == pytest.approx(terms["reconstruction"] + 7 * abs(kl - expected))


# forms


def test_beta_of_one_is_the_vae():
    terms, grads = terms_and_grads(beta=1.0)
    expected, expected_grads = models.VAE(**SMALL).loss_and_grads({"x": X}, NOISE)
    assert terms["penalty"] == pytest.approx(0, abs=1e-14)
    assert {name: terms[name] for name in expected} == pytest.approx(expected, rel=1e-14)
    assert_same(grads, expected_grads, 1e-14)


def test_without_a_price_the_prior_does_not_matter():
    terms, _ = terms_and_grads(beta=0)
    assert terms["loss"] == terms["reconstruction"] and terms["penalty"] == -terms["kl"] < 0


@pytest.mark.parametrize("options", (dict(beta=4.0), dict(beta=9.0, capacity=3.0), dict(beta=2.0, free_bits=0.3)))
def test_the_terms_add_up(options):
    terms, _ = terms_and_grads(step=100, **options)
    assert tuple(terms) == models.BetaVAE.terms
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["kl"] + terms["penalty"], rel=1e-13)


def spread(*nats):
    """mu, logvar of two examples whose KL in each dimension is on average `nats`."""
    mu = np.sqrt(2 * np.array(nats)) * np.array([[1.2], [math.sqrt(2 - 1.44)]])
    return mu, np.zeros_like(mu)


def test_free_bits_have_no_gradient_below_the_floor_and_the_whole_one_above():
    mu, logvar = spread(0.1, 0.49, 0.51, 3.0)
    logvar = logvar + 1e-3
    price, dmu, dlogvar = kl_forms.kl_free_bits(mu, logvar, 0.5)
    each = gaussian.kl_elements(mu, logvar).mean(axis=0)
    assert (each < 0.5).tolist() == [True, True, False, False]
    assert price == pytest.approx(0.5 + 0.5 + each[2] + each[3])
    _, expected_dmu, expected_dlogvar = gaussian.kl_standard(mu, logvar)
    for got, expected in ((dmu, expected_dmu), (dlogvar, expected_dlogvar)):
        np.testing.assert_array_equal(got[:, :2], 0)
        np.testing.assert_array_equal(got[:, 2:], expected[:, 2:])
        assert (got[:, 2:] != 0).all()


def test_free_bits_look_at_the_mean_over_the_batch_not_at_an_example():
    """One example far above the floor and one at zero: their mean counts."""
    mu = np.array([[2.0], [0.0]])  # 2 and 0 nats
    assert kl_forms.kl_free_bits(mu, 0 * mu, 1.5)[0] == 1.5
    assert kl_forms.kl_free_bits(mu, 0 * mu, 0.5)[0] == 1.0


@pytest.mark.parametrize("capacity, sign", ((1.0, 1), (9.0, -1)))
def test_capacity_pulls_the_kl_from_both_sides(capacity, sign):
    mu, logvar = spread(1.0, 2.0)
    kl, dmu, _ = gaussian.kl_standard(mu, logvar)
    distance, got, _ = kl_forms.kl_to_capacity(mu, logvar, capacity)
    assert distance == pytest.approx(abs(kl - capacity))
    np.testing.assert_allclose(got, sign * dmu)


@pytest.mark.parametrize("form", (kl_forms.kl_free_bits, kl_forms.kl_to_capacity))
def test_rows_of_a_larger_batch_count_by_their_share(form):
    mu, logvar = spread(0.2, 4.0)
    whole, parts = form(mu, logvar, 0.5), form(mu, logvar, 0.5, batch_size=8)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(b, 0.25 * a, rtol=1e-14)


def test_a_form_that_couples_the_batch_is_not_cut_into_parts():
    assert models.BetaVAE(**SMALL, beta=4.0).separable
    assert not models.BetaVAE(**SMALL, capacity=4.0).separable
    assert not models.BetaVAE(**SMALL, free_bits=0.1).separable


@pytest.mark.parametrize("options", (dict(beta=7.0, capacity=0.4), dict(beta=3.0, free_bits=0.1), dict(beta=4.0)))
def test_evaluation_is_that_of_the_whole_data_however_it_is_cut(options):
    """One part has a mean KL above the capacity and another below it, so the parts' distances do not add up."""
    x = np.concatenate((np.zeros((20, 4, 3, 1)), np.ones((20, 4, 3, 1)))) * np.linspace(0.2, 1, 40)[:, None, None, None]
    model = models.BetaVAE(**SMALL, **options)
    whole = model.loss({"x": x}, {"z": np.zeros((40, 3))})
    noise = lambda index: model.backend.noise(0, 0, {"z": np.zeros((8, 3))})  # noqa: E731
    parts = model.evaluate([{"x": x[i : i + 8]} for i in range(0, 40, 8)], 40, noise)
    assert list(parts) == list(model.terms)
    assert parts == pytest.approx({name: float(value) for name, value in whole.items()}, rel=1e-12)


@pytest.mark.parametrize("options", (dict(capacity=3.0, beta=10.0), dict(free_bits=0.5), dict(beta=4.0)))
def test_training_gives_the_same_bits_on_any_number_of_threads(options):
    x, results = data.load("digits").train.x[:256], []
    for threads in (1, 2):
        model = models.BetaVAE(input_shape=(8, 8, 1), hidden=(16,), latent_dim=4, **options)
        fit(model, x, epochs=2, batch_size=128, progress=False, threads=threads)
        results.append(model.store.flat)
    np.testing.assert_array_equal(*results)


# effects on training


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").train.x[:512]


def trained(digits, **options):
    model = models.BetaVAE(input_shape=(8, 8, 1), hidden=(32,), latent_dim=6, **options)
    fit(model, digits, epochs=30, batch_size=64, lr=0.005, progress=False, threads=1)
    return model.kl_per_dimension(digits)


def test_a_large_beta_empties_dimensions_and_free_bits_keep_them(digits):
    cheap, dear = trained(digits, beta=1.0), trained(digits, beta=12.0)
    assert dear.sum() < 0.5 * cheap.sum() and (dear < 0.02).sum() >= 3
    free = trained(digits, beta=12.0, free_bits=0.5)
    assert free.min() > 0.2, "every dimension uses what it has for free"


def test_training_reaches_its_capacity(digits):
    assert trained(digits, beta=50.0, capacity=6.0, capacity_steps=100).sum() == pytest.approx(6, abs=0.5)


def test_the_best_epoch_is_one_judged_by_the_final_price(digits):
    """From a network that learned without a price, the first epochs of a warm-up have the lowest training loss."""
    small, options = dict(input_shape=(8, 8, 1), hidden=(16,), latent_dim=4), dict(progress=False, threads=1)
    free, model = models.BetaVAE(**small, beta=0), models.BetaVAE(**small, beta=8.0, warmup="linear", warmup_steps=20)
    fit(free, digits, epochs=10, batch_size=64, lr=0.01, **options)
    model.store.flat[...] = free.store.flat
    history = fit(model, digits, epochs=6, batch_size=64, **options)  # each epoch has 8 steps
    losses = [record["train"]["loss"] for record in history.records]
    assert losses[0] < min(losses[3:]), "otherwise this shows nothing"
    assert history.best["epoch"] == 4 + np.argmin(losses[3:]) and history.best["loss"] == min(losses[3:])


def test_validation_always_has_the_final_price(digits):
    model = models.BetaVAE(input_shape=(8, 8, 1), hidden=(16,), latent_dim=4, warmup="linear", warmup_steps=10_000)
    history = fit(model, digits, epochs=4, batch_size=64, progress=False, threads=1, validation=0.2)
    best = min(history.records, key=lambda record: record["validation"]["loss"])
    assert history.best["epoch"] == best["epoch"]


@pytest.mark.parametrize(
    "options, steps",
    [
        (dict(beta=4.0), 0),
        (dict(warmup="cyclical", warmup_steps=70), 70),
        (dict(capacity=5.0, capacity_steps=90), 90),
        (dict(capacity=5.0, capacity_steps=90, warmup="linear", warmup_steps=100), 100),
        (dict(free_bits=0.5), 0),
    ],
)
def test_when_the_loss_means_the_same(options, steps):
    assert models.BetaVAE(**SMALL, **options).selection.after == steps


# networks


def conv(kernel, a, b):
    return kernel * kernel * a * b + b


def dense(a, b):
    return a * b + b


def test_published_networks_have_their_parameters():
    at_64 = dict(input_shape=(64, 64, 1), latent_dim=10)
    levels = conv(4, 1, 32) + 3 * conv(4, 32, 32)
    middle = dense(512, 256) + dense(256, 256) + dense(256, 20)
    back = dense(10, 256) + dense(256, 256) + dense(256, 512) + 3 * conv(4, 32, 32) + conv(4, 32, 1)
    assert models.BetaVAE(**at_64, network="burgess").param_count == levels + middle + back == 502_005
    levels = conv(4, 1, 32) + conv(4, 32, 32) + conv(2, 32, 64) + conv(2, 64, 64)
    back = dense(10, 256) + dense(256, 1024) + conv(4, 64, 64) + conv(4, 64, 32) + conv(4, 32, 32) + conv(4, 32, 1)
    expected = levels + dense(1024, 256) + dense(256, 20) + back
    assert models.BetaVAE(**at_64, network="locatello").param_count == expected == 690_517


def test_conv_is_the_network_of_conv_vae():
    shapes = [{n: w.shape for n, w in model.named_parameters().items()} for model in (
        models.BetaVAE(network="conv", latent_dim=20), models.ConvVAE(latent_dim=20)
    )]  # fmt: skip
    assert shapes[0] == shapes[1]
    assert models.BetaVAE(hidden=(256,)).param_count == models.VAE(latent_dim=10).param_count


@pytest.mark.parametrize("network", ("conv", "burgess", "locatello"))
@pytest.mark.parametrize("shape", ((28, 28, 1), (25, 30, 3), (3, 2, 1)))
def test_networks_take_images_of_any_size(network, shape):
    model = models.BetaVAE(input_shape=shape, latent_dim=2, network=network)
    x = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype="uint8")
    assert model.reconstruct(x).shape == x.shape
    terms, grads = model.loss_and_grads({"x": x})
    assert np.isfinite(terms["loss"]) and all(np.any(g) for g in grads.values())


# errors


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(beta=-1.0), "beta: expected a number of at least 0, got -1.0"),
        (dict(beta=float("nan")), "beta: expected"),
        (dict(beta="4"), "beta: expected"),
        (dict(capacity=float("inf")), "capacity: expected"),
        (dict(free_bits=-0.5), "free_bits: expected"),
        (dict(capacity=5.0, free_bits=0.5), "two forms of the KL: give one"),
        (dict(warmup="liner"), "unknown warmup 'liner': did you mean 'linear'?"),
        (dict(warmup_steps=0), "warmup_steps: expected"),
        (dict(capacity_steps=2.5), "capacity_steps: expected"),
        (dict(network="burges"), "unknown network 'burges': did you mean 'burgess'?"),
        (dict(input_shape=(7,), network="conv"), "takes images (H, W, C)"),
    ],
)
def test_bad_option_is_one_line(options, message):
    with pytest.raises((ConfigError, ShapeError)) as caught:
        models.BetaVAE(**options)
    assert message in str(caught.value) and "\n" not in str(caught.value)
