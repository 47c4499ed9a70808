"""Models and what belongs to them by pickle, copy, joblib and a spawned pool: equal bit for bit, on a device too."""

import copy
import io
import multiprocessing
import pickle

import joblib
import numpy as np
import pytest
from devices import assert_same

import tinyae
from tinyae import optim
from tinyae.backend import Noise
from tinyae.data import Dataset, Split, dsprites
from tinyae.layers.base import REGISTRY
from tinyae.models import NAMES
from tinyae.params import GradientStore, ParamStore


def by_joblib(value):
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


def by_pickle(value):
    return pickle.loads(pickle.dumps(value))


each_way = pytest.mark.parametrize("way", (by_pickle, copy.deepcopy, by_joblib))
X = np.random.default_rng(0).random((12, 4), dtype="float32")


def rows(seed=0, **options):
    return tinyae.models.VAE(input_shape=(4,), latent_dim=2, hidden=(5,), likelihood="gaussian", seed=seed, **options)


@each_way
@pytest.mark.parametrize("name", NAMES)
def test_a_model_comes_back_bit_for_bit_as_a_model_of_its_own(name, way):
    for model in NAMES[name].examples():
        twin, batch = way(model), model.example_batch(Noise(0), 3)
        assert_same(list(twin.loss_and_grads(batch, seed=3)), list(model.loss_and_grads(batch, seed=3)))
        assert (twin.config, twin.store.version) == (model.config, model.store.version)
        assert not np.shares_memory(twin.store.flat, model.store.flat)
        for view in twin.named_parameters().values():
            assert np.shares_memory(view, twin.store.flat)


@pytest.mark.parametrize("name", ("vae", "vq-vae", "gan", "semi-aae"))
def test_a_copied_model_is_trained_as_the_model_is(name):
    model = NAMES[name].examples()[0]
    twin = by_pickle(model)
    x = model.example_batch(Noise(0), 24)
    for each in (model, twin):
        tinyae.fit(each, x, epochs=2, batch_size=6, progress=False)
    np.testing.assert_array_equal(twin.store.flat, model.store.flat)
    np.testing.assert_array_equal(twin.state.flat, model.state.flat)


def test_a_standardised_model_keeps_its_columns(numpy_device):
    model = rows()
    tinyae.fit(model, 100 * X, epochs=1, standardize=True, progress=False)
    np.testing.assert_array_equal(by_pickle(model).encode(100 * X), model.encode(100 * X))


@pytest.mark.parametrize("way", (by_pickle, copy.deepcopy))
def test_on_a_device_a_model_goes_by_way_of_the_host_and_comes_back(way, strict_device):
    model = rows(backend="cupy")
    model.standardize(100 * X)
    twin = way(model)
    assert isinstance(twin.store.flat, strict_device.xp.ndarray) and twin.backend.name == "cupy"
    assert isinstance(twin.standardization.mean, strict_device.xp.ndarray)
    assert_same(strict_device.host(twin.store.flat), strict_device.host(model.store.flat))
    assert_same(twin.encode(100 * X), model.encode(100 * X))


def encode(model):
    return model.encode(X)


def test_a_spawned_pool_takes_a_model():
    model = rows()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (codes,) = pool.map(encode, [model])
    np.testing.assert_array_equal(codes, model.encode(X))


@each_way
def test_layers_come_back(way):
    for kind in REGISTRY.values():
        if kind.__module__.startswith("tinyae.layers."):
            for layer, shape in kind.examples():
                twin = way(layer)
                assert repr(twin) == repr(layer) and twin.param_shapes(shape) == layer.param_shapes(shape)


SCHEDULES = {
    "number": 0.1, "constant": optim.constant(0.1), "step": optim.step_decay(0.1, 2),
    "warm cosine": optim.warm_up(optim.cosine(0.1, 5), 2), "by name": optim.schedule("step", 0.1, 6, 1),
}  # fmt: skip


@each_way
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_optimiser_goes_on_where_it_was(way, schedule, device):
    host = np.linspace(-1, 1, 6).astype("float32")
    stores = [ParamStore({"w": (6,)}, device.xp) for _ in range(3)]
    for store in stores:
        store.flat[...] = device.array(host)
    optimizer = optim.Adam(SCHEDULES[schedule])
    optimizer.step(stores[0], stores[2])
    stores[1].flat[...] = stores[0].flat
    twin = way(optimizer)
    for _ in range(3):
        optimizer.step(stores[0], stores[2])
        twin.step(stores[1], stores[2])
    assert_same(device.host(stores[1].flat), device.host(stores[0].flat))


@each_way
def test_stores_and_noise_come_back(way, device):
    grads = ParamStore({"a": {"w": (2, 3)}, "b": (2,)}, device.xp).like()
    grads.clear()
    grads.tree["a"]["w"] += 1
    twin = way(grads)
    assert type(twin) is GradientStore
    assert device.host(twin.flat).tolist() == [1.0] * 6 + [0.0] * 2
    given = {"n.z": device.array(np.ones(2, "float32"))}
    noise = Noise(3, 7, xp=device.xp, given=given).child("n").rows(0, 2, 2)
    assert repr(way(noise)) == repr(noise)
    assert device.host(way(noise).normal("z", (2,))).tolist() == [1.0, 1.0]


@each_way
def test_histories_and_data_come_back(way):
    history = tinyae.fit(rows(), X, epochs=2, progress=False)
    assert vars(way(history)) == vars(history)
    data = way(Dataset("mine", Split(X, np.arange(12)), class_names=tuple("abcdefghijkl")))
    assert (data.name, data.class_names) == ("mine", tuple("abcdefghijkl"))
    np.testing.assert_array_equal(data.train.x, X)
    drawn = dsprites.images(np.arange(5))
    np.testing.assert_array_equal(way(drawn)[1:3], drawn[1:3])
