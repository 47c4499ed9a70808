"""The array-module switch: what it makes, and one clear line where there is no GPU."""

import sys

import numpy as np
import oracles
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st
from strict_cupy import installed

from tinyae import models
from tinyae.backend import BACKENDS, Backend, Noise, array_module, operations
from tinyae.errors import BackendError, TinyaeError
from tinyae.params import add_product


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_makes_arrays_of_its_module(name):
    with installed() as cupy:
        xp = cupy if name == "cupy" else np
        backend = Backend(name)
        assert backend.xp is xp
        for array in (backend.zeros((2, 3)), backend.asarray(np.ones(3)), backend.noise(0).uniform("u", (2,))):
            assert type(array) is xp.ndarray
            assert array_module(array) is xp
        assert backend.zeros((2, 3)).dtype == np.float32
        assert backend.asarray(np.ones(3), "float32").dtype == np.float32
        assert type(backend.to_host(backend.zeros(3))) is np.ndarray
        backend.synchronize()


def test_array_module_of_a_numpy_scalar():
    assert array_module(np.float32(1)) is np


def test_backend_reads_as_written():
    assert repr(Backend("numpy")) == "Backend('numpy')"


def test_to_host_leaves_a_numpy_array():
    x = np.ones(3)
    assert Backend("numpy").to_host(x) is x


def test_noise_of_a_backend_takes_given_arrays():
    given = {"z": np.ones((2, 2), "float32")}
    np.testing.assert_array_equal(Backend("numpy").noise(0, 1, given).normal("z", (2, 2)), given["z"])


def test_unknown_backend_is_suggested():
    with pytest.raises(TinyaeError, match="unknown backend 'cuppy': did you mean 'cupy'"):
        Backend("cuppy")


def refusal():
    with pytest.raises(BackendError) as caught:
        Backend("cupy")
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return str(caught.value)


def test_without_cupy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    said = refusal()
    assert "pip install '.[cuda13]'" in said and "pip install 'tinyae[cuda13]'" in said


def test_without_a_device():
    with installed() as cupy:
        cupy.cuda.runtime.getDeviceCount = lambda: 0
        assert refusal() == "backend 'cupy' finds no GPU: use backend='numpy'"


@pytest.mark.parametrize(
    "text, told",
    [
        ("cudaErrorInsufficientDriver: too old\nand more", "cudaErrorInsufficientDriver: too old"),
        ("", "RuntimeError"),
    ],
)
def test_without_a_driver_the_reason_is_told(text, told):
    def fail():
        raise RuntimeError(text)

    with installed() as cupy:
        cupy.cuda.runtime.getDeviceCount = fail
        assert told in refusal()


@pytest.mark.parametrize("make", (models.AE, models.VAE))
def test_model_on_a_device_talks_numpy(make, gpu):
    """Arrays come and go as NumPy's; the model itself lives on the device; both backends start from the same bits."""
    options = dict(input_shape=(4, 3, 1), hidden=(6,), latent_dim=2, seed=3)
    on_device, on_host = make(**options, backend="cupy"), make(**options)
    assert type(on_device.store.flat) is gpu.xp.ndarray
    assert_same(gpu.host(on_device.store.flat), on_host.store.flat, 1e-6)
    x = np.random.default_rng(0).random((5, 4, 3, 1), "float32")
    for method, argument in (("encode", x), ("reconstruct", x), ("decode", np.ones((2, 2), "float32"))):
        assert_same(getattr(on_device, method)(argument), getattr(on_host, method)(argument), 1e-5)
    if make.prior.exists:
        assert_same(on_device.sample(3, seed=1), on_host.sample(3, seed=1), 1e-5)
    noise = {"z": np.ones((5, 2))} if make.prior.exists else None
    terms, grads = (gpu.host(result) for result in on_device.loss_and_grads({"x": x}, noise))
    assert_same([terms, grads], list(on_host.loss_and_grads({"x": x}, noise)), 1e-5)


def test_model_reads_a_batch_once(strict_device):
    """Encoding copies its result to the host, once for each chunk and not at every layer."""
    model = models.VAE(input_shape=(4, 3, 1), hidden=(6, 5), latent_dim=2, backend="cupy")
    before = strict_device.xp.host_syncs
    model.encode(np.zeros((7, 4, 3, 1), "float32"))
    assert strict_device.xp.host_syncs == before + 1


def test_dropout_draws_the_same_mask_on_both(gpu):
    masks = [gpu.host(Noise(4, xp=xp).bernoulli("keep", (50, 3), 0.4)) for xp in (np, gpu.xp)]
    assert_same(*masks)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.sampled_from(("float32", "float64")))
def test_products_are_their_formulas(m, k, n, dtype):
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=s).astype(dtype) for s in ((m, k), (k, n), (n, k)))
    rtol = 1e-5 if dtype == "float32" else 1e-12
    grads, start = {"w": np.ones((m, n), dtype)}, np.ones((m, n))
    add_product(grads, "w", a.T.copy(), b)
    np.testing.assert_allclose(grads["w"], start + oracles.dense(a, b), rtol=rtol, atol=rtol)
    product = operations.product_transposed(a, c)
    assert product.dtype == dtype
    np.testing.assert_allclose(product, oracles.dense(a, c.T), rtol=rtol, atol=rtol)
