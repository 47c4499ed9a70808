"""Binarized images, static and dynamic, and a class left out: what a run trains on and watches."""

import json

import numpy as np
import pytest
from command_line import refused, run

import tinyae
from tinyae.backend import Backend, Noise
from tinyae.checkpoint import files as checkpoint
from tinyae.data import binarize
from tinyae.data.drawn import Drawn
from tinyae.errors import ConfigError, DataError
from tinyae.training.feed import Feed
from tinyae.training.prepared import parts

SETTINGS = {"binarize": None, "without_class": None, "validation": 0.0, "seed": 0}


def model():
    return tinyae.models.VAE(input_shape=(4, 4, 1), hidden=(6,), latent_dim=2)


@pytest.fixture
def grey():
    return np.random.default_rng(0).integers(0, 256, (200, 4, 4, 1), dtype=np.uint8)


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: (x / 255).astype("float32")], ids=("uint8", "floats"))
def test_a_pixel_is_white_with_the_probability_of_its_grey(convert):
    values = np.array([0, 1, 51, 128, 254, 255], np.uint8)
    x = convert(np.tile(values, (20_000, 1)))
    expected = values / 255
    error = 5 * np.sqrt(expected * (1 - expected) / len(x)) + 1e-12
    static = binarize.static(x, "train")
    assert static.dtype == np.uint8 and set(np.unique(static)) == {0, 255}
    assert (np.abs(static.mean(axis=0) / 255 - expected) <= error).all()
    dynamic = binarize.dynamic(x, Noise(3, 7))
    assert dynamic.dtype == np.float32 and set(np.unique(dynamic)) == {0, 1}
    assert (np.abs(dynamic.mean(axis=0) - expected) <= error).all()


def test_static_is_one_draw_of_each_part_in_blocks_of_any_size(grey, monkeypatch):
    once = binarize.static(grey, "train")
    monkeypatch.setattr(binarize, "BLOCK", 17)
    np.testing.assert_array_equal(binarize.static(grey, "train"), once)
    assert (binarize.static(grey, "test") != once).any()


def test_dynamic_batches_are_drawn_anew_in_each_epoch_and_again_after_a_resume(grey):
    feed = Feed(np.full((50, 4, 4, 1), 128, np.uint8), None, Backend(), 20, seed=1, binarize=True)
    first, second = (np.concatenate([batch["x"] for batch in feed.epoch(epoch)]) for epoch in (0, 1))
    assert first.shape == (50, 4, 4, 1) and 0.4 < (first != second).mean() < 0.6
    assert 0.4 < (first[:20] != first[20:40]).mean() < 0.6
    np.testing.assert_array_equal(np.concatenate([batch["x"] for batch in feed.epoch(1, start=1)]), second[20:])
    np.testing.assert_array_equal(next(feed.in_order(50))["x"], 128)


def test_dynamic_draws_on_the_device(grey, strict_device):
    backend = Backend("cupy")
    ours, theirs = (next(Feed(grey, None, b, 20, 1, True).epoch(2))["x"] for b in (Backend(), backend))
    np.testing.assert_array_equal(backend.to_host(theirs), ours)


@pytest.mark.parametrize("how", binarize.KINDS)
def test_what_is_watched_is_one_set(how, grey):
    settings = SETTINGS | {"binarize": how, "validation": 0.25}
    (x, _), watched = parts(grey, None, grey[:50], settings)
    assert len(x) == 150 and {name: len(part[0]) for name, part in watched.items()} == {"validation": 50, "test": 50}
    assert all(set(np.unique(part)) == {0, 255} for part, _ in watched.values())
    assert (set(np.unique(x)) == {0, 255}) == (how == "static")
    np.testing.assert_array_equal(watched["test"][0], binarize.static(grey[:50], "test"))


def test_without_anything_the_parts_are_the_data(grey):
    (x, labels), watched = parts(grey, None, None, SETTINGS)
    assert x is grey and labels is None and watched == {}


@pytest.mark.parametrize("how", binarize.KINDS)
def test_a_stopped_run_goes_on_to_the_same_bits(how, grey, tmp_path):
    options = {"batch_size": 30, "binarize": how, "progress": False}
    whole, halves = model(), model()
    history = tinyae.fit(whole, grey, epochs=4, **options)
    tinyae.fit(halves, grey, epochs=2, out=tmp_path, **options)
    tinyae.fit(halves, grey, epochs=4, out=tmp_path, resume=True, **options)
    np.testing.assert_array_equal(halves.store.flat, whole.store.flat)
    other = model()
    tinyae.fit(other, grey, epochs=4, batch_size=30, progress=False)
    assert (other.store.flat != whole.store.flat).any() and len(history.records) == 4
    with pytest.raises(ConfigError, match=f"binarize '{how}', now it is None"):
        tinyae.fit(model(), grey, epochs=6, batch_size=30, progress=False, out=tmp_path, resume=True)


def test_what_cannot_be_binarized_is_refused(grey):
    with pytest.raises(ConfigError, match="did you mean 'dynamic'"):
        tinyae.fit(model(), grey, binarize="dynamik", progress=False)
    gaussian = tinyae.models.VAE(input_shape=(4, 4, 1), likelihood="gaussian")
    with pytest.raises(DataError, match=r"values from -1 to 1, but binarize needs \[0, 1\]"):
        tinyae.fit(gaussian, np.linspace(-1, 1, 32).reshape(2, 4, 4, 1), binarize="static", progress=False)
    drawn = Drawn(lambda numbers: np.zeros((len(numbers), 4, 4, 1), np.uint8), np.arange(9), (4, 4, 1))
    with pytest.raises(ConfigError, match="generated on demand"):
        tinyae.fit(model(), drawn, binarize="dynamic", progress=False)


# a class left out


def test_a_class_is_left_out_of_all_parts(grey):
    labels = np.arange(200) % 4
    settings = SETTINGS | {"without_class": 2, "validation": 0.2}
    (x, kept), watched = parts(grey, labels, (grey[:40], labels[:40]), settings)
    assert len(x) == len(kept) == 120 and set(kept) == {0, 1, 3}
    assert {name: len(part) for name, (part, _) in watched.items()} == {"validation": 30, "test": 30}
    rows = {row.tobytes(): label for row, label in zip(grey, labels, strict=True)}
    assert all(rows[row.tobytes()] == label for row, label in zip(x, kept, strict=True))
    _, watched = parts(grey, labels, (grey[:1], None), settings)
    assert len(watched["test"][0]) == 1


def test_static_pixels_do_not_depend_on_what_is_left_out(grey):
    labels = np.arange(200) % 2
    (x, _), _ = parts(grey, labels, None, SETTINGS | {"without_class": 0, "binarize": "static"})
    np.testing.assert_array_equal(x, binarize.static(grey, "train")[1::2])


def test_a_class_that_cannot_be_left_out_is_refused(grey):
    for labels, without, says in (
        (None, 1, "have no labels"),
        (np.zeros(200, int), 0, "it has 200 of 200"),
        (np.zeros(200, int), 5, "it has 0 of 200"),
    ):
        with pytest.raises(ConfigError, match=f"class {without} cannot be left out: .*{says}"):
            tinyae.fit(model(), (grey, labels), without_class=without, progress=False)


# the command line


def test_train_binarized_without_a_class(tmp_path):
    options = ("--data", "digits", "--no-pictures", "--binarize", "dynamic", "--out", "r")
    done = run("train", "vae", *options, "--epochs", 1, "--without-class", 3, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["steps"] == 11  # 1,291 of 1,437 images in batches of 128
    settings = checkpoint.read(tmp_path / "r" / "last.npz").training["settings"]
    assert settings["binarize"] == "dynamic" and settings["without_class"] == 3
    resumed = run("train", "vae", "--out", "r", "--resume", "--epochs", 2, "--no-pictures", cwd=tmp_path)
    assert "resuming at step" in resumed.stderr
    assert "unknown class of digits '12'" in refused("train", "vae", *options, "--without-class", 12, cwd=tmp_path)
    assert "did you mean 'static'" in refused("train", "vae", *options[:-4], "--binarize", "statik", cwd=tmp_path)
