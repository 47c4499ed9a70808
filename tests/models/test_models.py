"""Every model: its contract on NumPy and on the strict stand-in for CuPy; then what `ae` and `vae` promise."""

import math
import re

import numpy as np
import pytest
from devices import assert_same
from steps import run

from tinyae import models
from tinyae.backend import Noise
from tinyae.errors import ConfigError, ShapeError
from tinyae.models import NAMES, Model

DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-4, "float64": 1e-12}  # rounding, of the largest value
MODELS = [(name, i) for name, cls in NAMES.items() for i in range(len(cls.examples()))]
each_model = pytest.mark.parametrize("name, number", MODELS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def model_on(device, name, number, dtype):
    """An example of a model, with drawn parameters, and a batch, read-only; the same numbers on every device."""
    cls = NAMES[name]
    model = cls(**cls.examples()[number].config, backend=device.backend, dtype=dtype)
    flat = model.store.flat
    flat[...] = device.array(np.random.default_rng(1).normal(size=flat.size).astype(dtype) * 0.5)
    host = cls(**cls.examples()[number].config, dtype=dtype)
    return model, device.array(host.example_batch(Noise(3), 4))


@pytest.mark.parametrize("name", NAMES)
def test_model_has_examples(name):
    assert NAMES[name].name == name
    assert any(type(model) is NAMES[name] for model in NAMES[name].examples())


@each_model
@each_dtype
def test_model_gradients_are_named_as_its_parameters(name, number, dtype, device):
    model, batch = model_on(device, name, number, dtype)
    _, grads = model.loss_and_grads(batch, seed=2)
    phases = list(grads.values()) if isinstance(next(iter(grads.values())), dict) else [grads]
    got = {k: (g.shape, g.dtype) for phase in phases for k, g in phase.items()}
    assert got == {k: (p.shape, p.dtype) for k, p in model.named_parameters().items()}
    assert sum(math.prod(shape) for shape, _ in got.values()) == model.param_count


@each_model
@each_dtype
def test_model_terms(name, number, dtype, device):
    model, batch = model_on(device, name, number, dtype)
    terms, _ = model.loss_and_grads(batch, seed=2)
    assert tuple(terms) == model.terms
    assert {term.shape for term in terms.values()} == {()}
    host = device.host(terms)
    assert all(np.isfinite(term) for term in host.values())
    if name in ("ae", "vae"):
        parts = sum(float(value) for key, value in host.items() if key != "loss")
        assert float(host["loss"]) == pytest.approx(parts, rel=TOLERANCE[dtype])


@each_model
@each_dtype
def test_model_step_is_pure(name, number, dtype, device):
    """A pure function of parameters, batch, seed and step: twice the same, and nothing given is changed."""
    model, batch = model_on(device, name, number, dtype)
    before = device.host([batch, model.store.flat, model.state.flat])
    results = [device.host(list(model.loss_and_grads(batch, seed=2, step=7))) for _ in range(2)]
    assert_same(results[1], results[0])
    assert_same(device.host([batch, model.store.flat, model.state.flat]), before)


@each_model
@each_dtype
def test_model_moves_nothing_to_the_host(name, number, dtype, strict_device):
    model, batch = model_on(strict_device, name, number, dtype)
    before = strict_device.xp.host_syncs
    model.loss_and_grads(batch, seed=2)
    assert strict_device.xp.host_syncs == before


@each_model
@each_dtype
def test_model_agrees_on_backends(name, number, dtype, gpu, numpy_device):
    results = []
    for device in (gpu, numpy_device):
        model, batch = model_on(device, name, number, dtype)
        results.append(device.host(list(model.loss_and_grads(batch, seed=2))))
    assert_same(*results, TOLERANCE[dtype])


@pytest.mark.parametrize("name", NAMES)
def test_model_refuses_other_images_in_one_line(name):
    model = NAMES[name].examples()[0]
    batch = {**model.example_batch(Noise(0), 2), "x": np.zeros((2, 5, 7), "float32")}
    with pytest.raises(ShapeError, match=rf"^{name}: expected x of shape .* got \(2, 5, 7\)$"):
        model.loss_and_grads(batch)


# ae and vae


SMALL = dict(input_shape=(4, 3, 1), hidden=(6,), latent_dim=2)
both = pytest.mark.parametrize("make", (models.AE, models.VAE))


def images(n, shape=(4, 3, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def count_dense(*sizes):
    return sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))


def test_default_vae_has_404244_parameters():
    assert models.VAE().param_count == 404_244


@pytest.mark.parametrize(
    "model, sizes",
    [
        (models.AE(), ((784, 256, 32), (32, 256, 784))),
        (models.VAE(hidden=(500, 400), latent_dim=20), ((784, 500, 400, 40), (20, 400, 500, 784))),
        (models.AE(**{**SMALL, "hidden": ()}), ((12, 2), (2, 12))),
    ],
)
def test_param_count_is_that_of_the_dense_layers(model, sizes):
    assert model.param_count == sum(count_dense(*s) for s in sizes)
    assert sum(p.size for p in model.named_parameters().values()) == model.param_count


@both
def test_named_parameters_are_views(make):
    model = make(**SMALL)
    for name, view in model.named_parameters().items():
        assert np.shares_memory(view, model.store.flat), name
    assert model.named_parameters()["encoder.1.weight"].shape == (12, 6)


@both
@each_dtype
def test_shapes_and_dtypes(make, dtype):
    model = make(**SMALL, dtype=dtype)
    z = model.encode(images(5))
    assert (z.shape, z.dtype) == ((5, 2), dtype)
    for x in (model.decode(z), model.reconstruct(images(5))):
        assert (x.shape, x.dtype) == ((5, 4, 3, 1), dtype)
        assert 0 <= x.min() and x.max() <= 1


@both
def test_reconstruct_is_decode_of_encode(make):
    model, x = make(**SMALL), images(5)
    np.testing.assert_array_equal(model.reconstruct(x), model.decode(model.encode(x)))


@both
def test_more_examples_than_a_chunk(make):
    model, x = make(**SMALL), images(models.model.CHUNK + 3)
    whole = model.encode(x)
    assert whole.shape == (len(x), 2)
    np.testing.assert_allclose(whole[-3:], model.encode(x[-3:]), rtol=1e-5, atol=1e-6)


@both
def test_uint8_is_float_divided_by_255(make):
    model, x = make(**SMALL), images(4)
    of_bytes, of_floats = (model.loss_and_grads({"x": v}) for v in (x, x.astype("float32") / 255))
    assert_same(list(of_bytes), list(of_floats), 1e-6)
    np.testing.assert_allclose(model.encode(x), model.encode(x / 255), rtol=1e-5)


@both
@pytest.mark.parametrize("shape", ((12,), (4, 3)))
def test_images_may_come_flat_or_without_channels(make, shape):
    model, x = make(**SMALL), images(4)
    assert_same(
        list(model.loss_and_grads({"x": x.reshape(4, *shape)})), list(model.loss_and_grads({"x": x}))
    )
    np.testing.assert_array_equal(model.encode(x.reshape(4, *shape)), model.encode(x))


@both
@pytest.mark.parametrize("shape", ((2, 11), (2, 4, 3, 3), (2,), ()))
def test_encode_refuses_other_images(make, shape):
    with pytest.raises(ShapeError, match=rf"^{make.name}: .*\(N, 4, 3, 1\)"):
        make(**SMALL).encode(np.zeros(shape, "float32"))


@both
@pytest.mark.parametrize("z", (np.zeros((2, 3)), np.zeros(2), [0.0, 0.0]), ids=("wide", "1d", "list"))
def test_decode_refuses_other_codes(make, z):
    with pytest.raises(ShapeError, match=rf"^{make.name}: expected codes of shape \(N, 2\)"):
        make(**SMALL).decode(z)


@both
def test_no_images_are_refused(make):
    with pytest.raises(ShapeError, match=f"^{make.name}: no examples"):
        make(**SMALL).encode(images(0))


@both
def test_decode_takes_lists(make):
    model = make(**SMALL)
    np.testing.assert_array_equal(model.decode([[0.5, 1]]), model.decode(np.array([[0.5, 1]], "float32")))


@both
def test_same_seed_same_parameters(make):
    first, second, other = (make(**SMALL, seed=seed).store.flat for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@both
def test_float64_model_starts_as_its_float32_twin(make):
    single, double = (make(**SMALL, dtype=dtype).store.flat for dtype in DTYPES)
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=1e-7)


@both
@pytest.mark.parametrize(
    "options, message",
    [
        (dict(activation="rellu"), "unknown activation 'rellu': did you mean 'relu'"),
        (dict(latent_dim=0), "latent_dim: expected an integer from 1 to 16777216, got 0"),
        (dict(latent_dim=True), "latent_dim"),
        (dict(latent_dim=2.5), "latent_dim"),
        (dict(latent_dim=(2, 3)), "latent_dim"),
        (dict(hidden=(5, -1)), "hidden: expected up to 64 integers from 1 to 16777216"),
        (dict(hidden="256"), "hidden"),
        (dict(input_shape=(4, 0)), "input_shape"),
        (dict(dtype="float16"), "dtype: expected float32 or float64"),
        (dict(dtype="flaot32"), "dtype: expected float32 or float64"),
    ],
)
def test_bad_option_is_one_line(make, options, message):
    with pytest.raises(ConfigError) as caught:
        make(**{**SMALL, **options})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_loss_and_likelihood_are_suggested():
    with pytest.raises(ConfigError, match="unknown loss 'bcee': did you mean 'bce'"):
        models.AE(loss="bcee")
    with pytest.raises(ConfigError, match="unknown likelihood 'gausian': did you mean 'gaussian'"):
        models.VAE(likelihood="gausian")


@pytest.mark.parametrize("sigma", (0, -1, float("nan"), 1e-300, float("inf"), "1"))
def test_sigma_must_be_positive(sigma):
    with pytest.raises(ConfigError, match="^sigma: expected a number of at least 1e-06 and at most 1e\\+06, got "):
        models.VAE(likelihood="gaussian", sigma=sigma)


def test_vae_samples_by_seed():
    model = models.VAE(**SMALL)
    x = model.sample(5, seed=1)
    assert (x.shape, x.dtype) == ((5, 4, 3, 1), np.float32)
    np.testing.assert_array_equal(x, model.sample(5, seed=1))
    np.testing.assert_allclose(x[:3], model.sample(3, seed=1), rtol=1e-6)
    assert (x != model.sample(5, seed=2)).any()


def test_sample_of_none_is_refused():
    with pytest.raises((ConfigError, ShapeError)):
        models.VAE(**SMALL).sample(0)


def test_ae_has_no_prior_to_sample_from():
    with pytest.raises(ConfigError, match="^ae has no prior"):
        models.AE(**SMALL).sample(3)


def test_vae_encodes_to_the_mean():
    model, x = models.VAE(**SMALL), images(5)
    mu, logvar = model.posterior(x)
    assert mu.shape == logvar.shape == (5, 2)
    np.testing.assert_array_equal(model.encode(x), mu)


def test_vae_draws_anew_at_each_step_and_takes_noise():
    model, batch = models.VAE(**SMALL), {"x": images(5)}
    loss = {(seed, step): float(model.loss(batch, seed=seed, step=step)["loss"]) for seed in (0, 1) for step in (0, 1)}
    assert len(set(loss.values())) == 4
    noise = {"z": np.zeros((5, 2))}
    assert model.loss(batch, noise, seed=0)["loss"] == model.loss(batch, noise, seed=1)["loss"]


@both
def test_noise_of_an_unknown_name_is_refused(make):
    with pytest.raises(ConfigError, match=f"unknown noise of {make.name} 'zz'"):
        make(**SMALL).loss({"x": images(5)}, {"zz": np.zeros((5, 2))})


@both
def test_shards_sum_to_the_whole(make):
    model, x = make(**SMALL, dtype="float64"), images(7)
    noise = np.random.default_rng(0).normal(size=(7, 2))
    whole, expected = model.loss_and_grads({"x": x}, {"z": noise} if make.prior.exists else None)
    grads, losses = model.store.like(), []
    for rows in (slice(3), slice(3, None)):
        rng = model.backend.noise(0, 0, {"z": noise[rows]})
        terms, _ = run(model, model.prepare({"x": x[rows]}), rng, grads.tree, batch_size=7)
        losses.append(terms["loss"])
    assert sum(losses) == pytest.approx(whole["loss"], rel=1e-13)
    assert_same(grads.named, expected, 1e-13)


@both
def test_loss_is_finite_for_an_untrained_model_far_from_the_data(make):
    model = make(**SMALL)
    for name, w in model.named_parameters().items():
        w *= 1000 if name.startswith("decoder") else 1
    terms, grads = model.loss_and_grads({"x": images(4)})
    assert terms["reconstruction"] > 1e4
    assert all(np.isfinite(value).all() for value in (*terms.values(), *grads.values()))


@pytest.mark.parametrize("loss", ("mse", "bce"))
def test_linear_ae_trains_to_the_rank_of_its_code(loss):
    """Two directions of data through two numbers: plain gradient descent brings a linear autoencoder's error down."""
    rng = np.random.default_rng(0)
    x = 0.5 + 0.09 * rng.normal(size=(30, 2)) @ rng.normal(size=(2, 6))
    model = models.AE(input_shape=(6,), hidden=(), latent_dim=2, loss=loss, dtype="float64")
    before = model.loss({"x": x})["loss"]
    for _ in range(200):
        _, grads = model.loss_and_grads({"x": x})
        for name, w in model.named_parameters().items():
            w -= 0.02 * grads[name]
    assert model.loss({"x": x})["loss"] < (0.1 * before if loss == "mse" else before)


def test_what_a_model_declares_is_described():
    """Every public attribute of the class stands in the docstring of Model."""
    described = set(re.findall(r"^ +(\w+) {2,}", Model.__doc__, re.MULTILINE) + re.findall(r"`(\w+)`", Model.__doc__))
    declared = {name for name, value in vars(Model).items() if not name.startswith("_") and is_data(value)}
    assert len(declared) > 10 and declared <= described


def is_data(value):
    return not callable(value) and not isinstance(value, (property, classmethod, staticmethod))
