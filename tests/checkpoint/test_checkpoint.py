"""Checkpoints: round trips, and damage of every kind refused by name."""

import json
import os
import zipfile

import numpy as np
import pytest

import tinyae
from tinyae.checkpoint import files as checkpoint
from tinyae.errors import CheckpointError, ConfigError
from tinyae.training.run import Run


def small(**options):
    return tinyae.models.VAE(input_shape=(4, 4, 1), hidden=(6,), latent_dim=2, **options)


@pytest.fixture
def saved(tmp_path):
    model = small(seed=4)
    path = tmp_path / "model.npz"
    model.save(path)
    return model, path


def rewrite(path, change):
    """Write the .npz anew with `change(dict of arrays)` applied; checksums are right again."""
    with np.load(path) as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(path, **arrays)


def test_round_trip(saved):
    model, path = saved
    again = tinyae.load(path)
    assert type(again) is type(model) and again.config == model.config and again.dtype == model.dtype
    np.testing.assert_array_equal(again.store.flat, model.store.flat)
    x = np.random.default_rng(0).random((5, 4, 4, 1), dtype="float32")
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))


def test_float64_and_options_survive(tmp_path):
    model = small(dtype="float64", likelihood="gaussian", sigma=0.3, activation="tanh")
    model.save(tmp_path / "m.npz")
    again = tinyae.load(tmp_path / "m.npz")
    assert again.dtype == np.float64 and again.config == model.config


def test_an_option_younger_than_the_file_has_its_default(saved):
    model, path = saved

    def without(arrays):
        meta = json.loads(str(arrays["meta"]))
        del meta["config"]["sigma"]
        arrays["meta"] = np.array(json.dumps(meta))

    rewrite(path, without)
    again = tinyae.load(path)
    assert again.config == model.config
    np.testing.assert_array_equal(again.store.flat, model.store.flat)
    with pytest.raises(CheckpointError, match="use the options it was trained with"):
        checkpoint.read(path).restore(small(sigma=0.5))


def test_no_pickle_inside(saved):
    _, path = saved
    with np.load(path, allow_pickle=False) as archive:
        assert all(array.dtype != object for array in archive.values())
        assert json.loads(str(archive["meta"]))["format"] == checkpoint.FORMAT


def test_truncated_anywhere(saved, tmp_path):
    _, path = saved
    whole = path.read_bytes()
    cut = tmp_path / "cut.npz"
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="cut.npz is corrupted"):
            checkpoint.read(cut)


def test_a_flipped_bit_is_named(saved):
    _, path = saved
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("params.npy").header_offset
    content = bytearray(path.read_bytes())
    content[start + 400] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="array 'params'.*CRC"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a: a.pop("params"), "array 'params' is missing"),
        (lambda a: a.pop("meta"), "no 'meta'"),
        (lambda a: a.update(params=a["params"][:-1]), "array 'params' has the wrong length|expected float32"),
        (lambda a: a.update(params=a["params"].astype("float64")), "array 'params' is float64"),
        (lambda a: a.update(params=a["params"].view("int32")), "array 'params' is int32"),
        (lambda a: a.update(params=a["params"].reshape(2, -1)), r"expected float32 \("),
        (lambda a: a.update(meta=np.array("{")), "corrupted or not a tinyae checkpoint"),
        (lambda a: a.update(meta=np.array(str(a["meta"]).replace('"format": 1', '"format": 99'))), "version 99"),
    ],
)
def test_damage_is_named(saved, change, message):
    _, path = saved
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_header_that_claims_too_much_allocates_nothing(saved):
    import tracemalloc

    _, path = saved

    def claim(arrays):
        meta = json.loads(str(arrays["meta"]))
        meta["params"]["decoder.0.weight"] = [10**6, 10**6]
        arrays["meta"] = np.array(json.dumps(meta))

    rewrite(path, claim)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="wrong length"):
        checkpoint.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(CheckpointError, match="no 'meta'"):
        tinyae.load(tmp_path / "other.npz")
    with pytest.raises(CheckpointError, match="not a zip file"):
        tinyae.load(tmp_path / "text.npz")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        tinyae.load(tmp_path / "missing.npz")
    with pytest.raises(CheckpointError, match="holds no run"):
        tinyae.load(tmp_path)


@pytest.mark.parametrize("path", [None, 3, b"m.npz", "m\0.npz", ["m.npz"]])
def test_what_is_no_path(path):
    for call in (tinyae.load, small().save):
        with pytest.raises(ConfigError, match="^path: expected a path, got "):
            call(path)


def test_a_name_that_is_too_long_is_one_line(tmp_path):
    with pytest.raises(CheckpointError, match="File name too long"):
        small().save(tmp_path / f"{'m' * 300}.npz")


def test_unknown_model_and_option(saved):
    _, path = saved
    rewrite(path, lambda a: a.update(meta=np.array(str(a["meta"]).replace('"model": "vae"', '"model": "magic"'))))
    with pytest.raises(CheckpointError, match="the model 'magic', which this tinyae does not know"):
        tinyae.load(path)
    rewrite(path, lambda a: a.update(meta=np.array(str(a["meta"]).replace("magic", "vae").replace("sigma", "wings"))))
    with pytest.raises(CheckpointError, match="wings"):
        tinyae.load(path)


def test_restore_refuses_another_configuration(saved):
    _, path = saved
    with pytest.raises(CheckpointError, match="use the options it was trained with"):
        checkpoint.read(path).restore(tinyae.models.VAE(input_shape=(4, 4, 1), hidden=(7,)))


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device; what was there before is intact"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_link_falls_back_to_a_copy(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    checkpoint.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path):
    data = np.random.default_rng(0).random((60, 4, 4, 1), dtype="float32")
    tinyae.fit(small(), data, epochs=2, batch_size=20, out=tmp_path, progress=False)
    whole = (tmp_path / "last.npz").read_bytes()
    (tmp_path / "last.npz").write_bytes(whole[: len(whole) // 2])
    warnings = []
    found = Run(tmp_path, resume=True).newest(warnings.append)
    assert found.training["step"] == 3
    assert len(warnings) == 1 and "last.npz is corrupted" in warnings[0] and "previous.npz, step 3" in warnings[0]

    resumed, straight = small(), small()
    tinyae.fit(resumed, data, epochs=3, batch_size=20, out=tmp_path, resume=True, progress=False)
    tinyae.fit(straight, data, epochs=3, batch_size=20, progress=False)
    np.testing.assert_array_equal(resumed.store.flat, straight.store.flat)
    assert [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]


def test_all_checkpoints_damaged(tmp_path):
    data = np.random.default_rng(0).random((60, 4, 4, 1), dtype="float32")
    tinyae.fit(small(), data, epochs=2, batch_size=20, out=tmp_path, progress=False)
    for name in ("last.npz", "previous.npz", "best.npz"):
        (tmp_path / name).write_bytes(b"PK nonsense")
    with pytest.raises(CheckpointError, match="there is no checkpoint to resume from"):
        tinyae.fit(small(), data, epochs=3, batch_size=20, out=tmp_path, resume=True, progress=False)
