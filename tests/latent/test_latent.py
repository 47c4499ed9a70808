"""The Gaussian latent: the sampler's law, and KLs against loops and against Monte Carlo."""

import math

import numpy as np
import oracles
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st

from tinyae.latent import gaussian

DTYPES = ("float32", "float64")
seeds = st.integers(0, 2**32)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 5))
KLS = {"kl_standard": 2, "kl_to_mean": 3, "kl_between": 4}  # the number of arrays each takes
each_kl = pytest.mark.parametrize("name", KLS)


def draw(seed, shape, count, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for _ in range(count)]


def normals(count, size):
    return np.random.default_rng(11).normal(size=(size, count))


@given(seeds, shapes)
def test_sample_is_the_loop(seed, shape):
    mu, logvar, noise = draw(seed, shape, 3)
    z, _ = gaussian.sample(mu, logvar, noise)
    np.testing.assert_allclose(z, oracles.sample(mu, logvar, noise), rtol=1e-13)


@pytest.mark.parametrize("logvar", (-2.0, 0.0, 1.5))
def test_sample_has_mean_mu_and_variance_exp_logvar(logvar):
    """A sampler that takes exp(logvar) for the standard deviation passes every gradient check, and fails here."""
    n = 200_000
    mu = np.array([[-3.0, 0.5]])
    z, _ = gaussian.sample(mu, np.full((1, 2), logvar), normals(2, n))
    sigma = math.exp(logvar / 2)
    np.testing.assert_allclose(z.mean(axis=0), mu[0], atol=5 * sigma / math.sqrt(n))
    np.testing.assert_allclose(z.var(axis=0), math.exp(logvar), rtol=5 * math.sqrt(2 / n))


def test_sample_without_noise_is_the_mean():
    mu, logvar = draw(0, (4, 3), 2)
    np.testing.assert_array_equal(gaussian.sample(mu, logvar, np.zeros((4, 3)))[0], mu)


def test_sample_backward_is_the_formula():
    mu, logvar, noise, dz = draw(1, (4, 3), 4)
    _, cache = gaussian.sample(mu, logvar, noise)
    dmu, dlogvar = gaussian.sample_backward(cache, dz)
    np.testing.assert_array_equal(dmu, dz)
    for place in np.ndindex(4, 3):
        sigma = math.sqrt(math.exp(logvar[place]))
        assert dlogvar[place] == pytest.approx(dz[place] * noise[place] * sigma / 2, rel=1e-13)


@each_kl
@given(seeds, shapes)
def test_kl_is_the_loop(name, seed, shape):
    arrays = draw(seed, shape, KLS[name])
    kl, *gradients = getattr(gaussian, name)(*arrays)
    assert kl == pytest.approx(getattr(oracles, name)(*arrays), rel=1e-12, abs=1e-14)
    assert [g.shape for g in gradients] == [shape] * KLS[name]


@given(seeds, shapes)
def test_kl_elements_add_up_to_the_kl(seed, shape):
    mu, logvar, prior_mu = draw(seed, shape, 3)
    each = gaussian.kl_elements(mu, logvar, prior_mu)
    assert each.shape == shape and (each >= 0).all()
    assert each.sum(axis=1).mean() == pytest.approx(gaussian.kl_to_mean(mu, logvar, prior_mu)[0], rel=1e-12, abs=1e-14)
    np.testing.assert_array_equal(gaussian.kl_elements(mu, logvar), gaussian.kl_elements(mu, logvar, 0 * mu))


@each_kl
@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_of_equals_is_zero_with_zero_gradients(name, dtype):
    mu, logvar = draw(3, (4, 3), 2, dtype)
    zeros = np.zeros_like(mu)
    equal = {"kl_standard": (zeros, zeros), "kl_to_mean": (mu, zeros, mu), "kl_between": (mu, logvar, mu, logvar)}
    for value in getattr(gaussian, name)(*equal[name]):
        np.testing.assert_array_equal(value, 0)


@each_kl
@given(seeds, shapes)
def test_kl_is_never_negative(name, seed, shape):
    assert getattr(gaussian, name)(*draw(seed, shape, KLS[name]))[0] >= 0


@each_kl
def test_kl_is_the_mean_log_ratio_of_densities(name):
    """KL(q || p) = E_q[log q(z) - log p(z)], by Monte Carlo within five standard errors."""
    arrays = [a * 0.7 for a in draw(5, (1, 3), KLS[name])]
    mu, logvar = arrays[:2]
    prior_mu = arrays[2] if len(arrays) > 2 else np.zeros((1, 3))
    prior_logvar = arrays[3] if len(arrays) > 3 else np.zeros((1, 3))
    z, _ = gaussian.sample(mu, logvar, normals(3, 100_000))
    ratio = gaussian.log_density(z, mu, logvar) - gaussian.log_density(z, prior_mu, prior_logvar)
    kl = getattr(gaussian, name)(*arrays)[0]
    assert kl > 0.1
    assert kl == pytest.approx(ratio.mean(), abs=5 * ratio.std() / math.sqrt(len(z)))


@pytest.mark.parametrize("logvar", (1e-3, -1e-3, 1e-6))
def test_kl_near_the_prior_keeps_its_digits_in_float32(logvar):
    """exp(x) - 1 - x, about x^2 / 2, is all rounding where exp(x) - 1 is computed as written."""
    _, _, dlogvar = gaussian.kl_standard(np.zeros((1, 1), "float32"), np.full((1, 1), logvar, "float32"))
    assert dlogvar.item() == pytest.approx(math.expm1(logvar) / 2, rel=1e-6)


@each_kl
@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_keeps_the_dtype(name, dtype):
    values = getattr(gaussian, name)(*draw(6, (4, 3), KLS[name], dtype))
    assert {v.dtype for v in values} == {np.dtype(dtype)}


@each_kl
@given(st.integers(1, 5), st.integers(1, 5))
def test_shards_sum_to_the_whole(name, first, second):
    n = first + second
    arrays = draw(7, (n, 3), KLS[name])
    whole = getattr(gaussian, name)(*arrays)
    parts = [getattr(gaussian, name)(*(a[r] for a in arrays), batch_size=n) for r in (slice(first), slice(first, None))]
    assert parts[0][0] + parts[1][0] == pytest.approx(whole[0], rel=1e-12)
    for expected, *shards in zip(whole[1:], *(p[1:] for p in parts), strict=True):
        np.testing.assert_allclose(np.concatenate(shards), expected, rtol=1e-13)


@given(seeds, shapes)
def test_log_density_is_the_loop(seed, shape):
    z, mu, logvar = draw(seed, shape, 3)
    np.testing.assert_allclose(
        gaussian.log_density(z, mu, logvar), oracles.normal_log_density(z, mu, logvar), rtol=1e-12, atol=1e-13
    )


def test_log_density_with_numbers_is_that_with_arrays_of_them():
    (z,) = draw(5, (4, 3), 1)
    expected = gaussian.log_density(z, np.full(z.shape, 0.3), np.full(z.shape, -1.2))
    np.testing.assert_allclose(gaussian.log_density(z, 0.3, -1.2), expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", (*KLS, "sample", "log_density"))
def test_backends_agree(name, dtype, gpu):
    arrays = draw(8, (4, 3), KLS.get(name, 3), dtype)
    function = getattr(gaussian, name)
    results = [gpu.host(function(*gpu.array(dict(enumerate(arrays))).values())), function(*arrays)]
    if name == "sample":
        results = [list(r) for r in results]
    assert_same(*results, 1e-6 if dtype == "float32" else 1e-14)
