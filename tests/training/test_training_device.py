"""The whole training loop on the strict stand-in for CuPy."""

import numpy as np
import pytest
import strict_cupy

import tinyae


def encode_and_reconstruct(model, x, *labels):
    return model.encode(x, *labels), model.reconstruct(x, *labels)


# What a model without codes of images is asked in their place.
ANSWERS = {"pixelcnn": lambda model, x: [model.log_prob(x)], "gan": lambda model, x: [model.sample(3)]}


@pytest.mark.parametrize("name", tinyae.models.NAMES)
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_training_on_the_stand_in_is_training_on_numpy(name, optimizer, tmp_path):
    """In float64, since an optimiser may make steps of a gradient that is rounding alone; and with fewer codes than
    examples, since k-means of more makes equal codes, between which rounding chooses after a step."""
    rng = np.random.default_rng(0)
    x, labels = rng.integers(0, 256, (50, 4, 4, 1), dtype="uint8"), rng.integers(0, 10, 50)
    needed = (labels,) if name == "cvae" else ()  # by its encoder
    few = {"semi-aae": {"labelled": 10}, "vq-vae": {"codes": 8}}.get(name, {})  # fewer than the 40 training examples
    options = dict(epochs=2, batch_size=20, optimizer=optimizer, clip_norm=5.0, validation=0.2, progress=False)

    def make(backend):
        return tinyae.models.NAMES[name](input_shape=(4, 4, 1), backend=backend, dtype="float64", **few)

    host = make("numpy")
    tinyae.fit(host, (x, labels), threads=1, **options)
    with strict_cupy.installed() as cupy, strict_cupy.allow_sync():
        device = make("cupy")
        tinyae.fit(device, (x, labels), out=tmp_path, **options)
        flat = cupy.asnumpy(device.store.flat)
        for answer in ANSWERS.get(name, encode_and_reconstruct)(device, x, *needed):
            assert isinstance(answer, np.ndarray)
        resumed = make("cupy")
        tinyae.fit(resumed, (x, labels), out=tmp_path, resume=True, **options | {"epochs": 3})
        again = tinyae.load(tmp_path, backend="cupy")
        assert again.backend.name == "cupy"
    np.testing.assert_allclose(flat, host.store.flat, rtol=0, atol=1e-9)
    np.testing.assert_allclose(tinyae.load(tmp_path / "previous.npz").store.flat, host.store.flat, rtol=0, atol=1e-9)


def test_misspelt_noise_is_noticed():
    model = tinyae.models.VAE(input_shape=(3,), latent_dim=2)
    x = np.full((2, 3), 0.5, "float32")
    with pytest.raises(tinyae.errors.ConfigError, match="unknown noise of vae 'zz': did you mean 'z'"):
        model.loss_and_grads({"x": x}, noise={"zz": np.zeros((2, 2))})
    with pytest.raises(tinyae.errors.ConfigError, match="a batch is a dict with 'x'"):
        model.loss_and_grads({"images": x})
