"""Options of models, of `fit` and of drawing: NumPy scalars count as numbers, odd values and huge sizes are refused."""

import json

import numpy as np
import pytest
from test_options import ODD, options_of, refusals

import tinyae
from tinyae.backend import Noise
from tinyae.errors import ConfigError, TinyaeError
from tinyae.models import NAMES

X = np.random.default_rng(0).random((12, 3, 3, 1), dtype="float32")
SIZES = (np.integer, np.floating, np.bool_, np.ndarray)


def small(**options):
    return tinyae.models.AE(input_shape=(3, 3, 1), latent_dim=2, hidden=(4,), **options)


def as_numpy(value):
    """A value as scientists have it: NumPy's scalars and arrays."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.array(value)
    if isinstance(value, tuple):
        return np.array(value, int)
    return np.str_(value)


@pytest.mark.parametrize("name", NAMES)
def test_odd_values_of_a_models_options_are_refused_in_one_line(name):
    base = NAMES[name].examples()[0].config
    for option in options_of(NAMES[name]):
        said = refusals(lambda **odd: NAMES[name](**base | odd), option)
        assert len(said) >= len(ODD) // 2, option
        assert all(line.isprintable() and len(line) < 400 for line in said), said


@pytest.mark.parametrize("name", NAMES)
def test_a_model_takes_its_options_as_numpy_scalars_and_arrays(name):
    for model in NAMES[name].examples():
        options = {option: as_numpy(value) for option, value in model.config.items()}
        twin = NAMES[name](**options, seed=np.int64(3), dtype=np.dtype("float64"))
        assert twin.config == model.config and json.dumps(twin.config) == json.dumps(model.config)
        plain = NAMES[name](**model.config, seed=3, dtype="float64")
        np.testing.assert_array_equal(twin.store.flat, plain.store.flat)
        for option, value in vars(twin).items():
            assert option == "chunk" or not isinstance(value, SIZES), option


@pytest.mark.parametrize("name", ("vae", "vq-vae", "semi-aae"))
def test_a_model_made_of_numpy_scalars_is_saved_and_loaded(name, tmp_path):
    options = {option: as_numpy(value) for option, value in NAMES[name].examples()[0].config.items()}
    model = NAMES[name](**options, seed=np.uint8(1))
    model.save(tmp_path / "m.npz")
    assert tinyae.load(tmp_path / "m.npz").config == model.config


def test_fit_takes_numpy_scalars(tmp_path):
    options = dict(epochs=2, batch_size=4, lr=0.5, warmup=1, clip_norm=0.25, validation=0.25, seed=3)
    models = small(), small()
    histories = [tinyae.fit(models[0], X, **options, progress=False)]
    given = {name: as_numpy(value) for name, value in options.items()} | {"overwrite": np.bool_(False)}
    histories.append(tinyae.fit(models[1], X, **given, out=tmp_path / "run", progress=False))
    np.testing.assert_array_equal(models[1].store.flat, models[0].store.flat)
    assert histories[1].records == histories[0].records
    tinyae.fit(models[1], X, **options, out=tmp_path / "run", resume=True, progress=False)


def test_odd_values_of_fit_are_refused_in_one_line():
    def fit(**odd):
        tinyae.fit(**dict(model=small(), data=X, epochs=1, progress=False) | odd)

    elsewhere = ("data", "test", "without_class", "out", "on_start", "on_epoch", "progress")
    for option in options_of(tinyae.fit):
        if option not in elsewhere:
            said = refusals(fit, option)
            assert len(said) >= len(ODD) // 2, option
            assert all(line.isprintable() and len(line) < 400 for line in said), said


@pytest.mark.parametrize("option", ("out", "on_start", "on_epoch", "progress", "model"))
def test_what_is_no_path_function_display_or_model_is_refused(option):
    with pytest.raises(ConfigError, match=f"^{option}: expected .*, got 3.5$"):
        tinyae.fit(**dict(model=small(), data=X) | {option: 3.5})


DRAWING = [
    (name, method)
    for name, model in NAMES.items()
    for method in ("sample", "draw_prior", "uniform_codes")
    if hasattr(model, method)
]


@pytest.mark.parametrize("name, method", DRAWING)
def test_how_many_to_draw_and_its_seed_are_checked(name, method, monkeypatch):
    monkeypatch.setattr("tinyae.backend.memory.physical", lambda: 2**30)
    model = NAMES[name].examples()[0]
    draw = getattr(model, method)
    for option in ("n", "seed"):
        assert len(refusals(lambda **odd: draw(**{"n": 2} | odd), option)) >= len(ODD) - 4  # seeds may be large
    with pytest.raises(TinyaeError):
        draw(10**15)
    if model.prior.exists:
        np.testing.assert_array_equal(draw(np.int64(2), seed=np.array(5)), draw(2, seed=5))


def test_odd_seeds_and_steps_of_a_loss_are_refused():
    model = small()
    batch = model.example_batch(Noise(0), 2)
    for option in ("seed", "step"):
        assert len(refusals(lambda **odd: model.loss_and_grads(batch, **odd), option)) >= len(ODD) - 3
    terms, _ = model.loss_and_grads(batch, seed=np.int64(1), step=np.uint8(2))
    assert terms == model.loss_and_grads(batch, seed=1, step=2)[0]


# What memory cannot hold


HUGE = [
    ("vae", dict(hidden=(2**24, 2**24)), "vae of 562,.* parameters would take .* GiB, and there are 16 GiB: give"),
    ("vae", dict(samples=2**24), "^not enough memory: vae: one example in all layers .*: give smaller sizes$"),
    ("conv-vae", dict(channels=(2**20,)), "^not enough memory: conv-vae of 105,.* parameters would take "),
    ("vq-vae", dict(codes=2**24, latent_dim=2**20, network="paper"), "would take "),
    ("pixelcnn", dict(blocks=1025), "^blocks: expected an integer from 0 to 1024, got 1025$"),
    ("ae", dict(input_shape=(2**14, 2**14, 1), hidden=(2**10,)), "^not enough memory: ae of 550,.* parameters "),
]


@pytest.mark.parametrize("name, options, message", HUGE)
def test_a_model_that_memory_cannot_hold_is_refused_before_it_is_built(name, options, message, monkeypatch):
    monkeypatch.setattr("tinyae.backend.memory.physical", lambda: 2**34)
    with pytest.raises(ConfigError, match=message):
        NAMES[name](**options)


def test_a_training_that_memory_cannot_hold_is_refused_before_the_first_step(monkeypatch, tmp_path):
    model = tinyae.models.VAE(input_shape=(3, 3, 1), latent_dim=2, hidden=(4,), samples=1000)
    monkeypatch.setattr("tinyae.backend.memory.physical", lambda: 10**6)
    with pytest.raises(ConfigError, match="^not enough memory: training vae on 12 examples .* a smaller batch_size$"):
        tinyae.fit(model, X, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
