"""Checkpoints corrupted at random or on purpose: one line says so, memory is bounded, and the next file is used."""

import io
import json
import os
import random
import tracemalloc

import numpy as np
import pytest

import tinyae
from tinyae.checkpoint import files as checkpoint
from tinyae.errors import CheckpointError
from tinyae.training.run import Run

ODD = [
    None, True, 1.0, -1, 0, "x", [], {}, [1, 2], {"a": 1}, float("nan"), float("inf"), 10**9, 10**30, "y" * 50_000,
    "a\nb\x1b[31m", [[[]]], [None], [float("nan"), "z" * 9000],
]  # fmt: skip


def small(**options):
    return tinyae.models.CVAE(input_shape=(2, 2, 1), hidden=(2,), latent_dim=1, classes=2, **options)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of last.npz and of previous.npz of a run of two epochs."""
    folder = tmp_path_factory.mktemp("run")
    data = np.random.default_rng(0).random((6, 2, 2, 1), dtype="float32"), np.arange(6) % 2
    tinyae.fit(small(), data, epochs=2, batch_size=6, out=folder, progress=False)
    return (folder / "last.npz").read_bytes(), (folder / "previous.npz").read_bytes()


@pytest.fixture
def run(content, tmp_path):
    """A folder with that run, without its best.npz."""
    for name, written in zip(("last.npz", "previous.npz"), content, strict=True):
        (tmp_path / name).write_bytes(written)
    return tmp_path


def arrays_of(content):
    with np.load(io.BytesIO(content)) as archive:
        return dict(archive)


def meta_of(content):
    return json.loads(str(arrays_of(content)["meta"]))


def with_meta(content, meta):
    """The file's bytes with another `meta`, a dict or text."""
    file, text = io.BytesIO(), meta if isinstance(meta, str) else json.dumps(meta)
    np.savez(file, **arrays_of(content) | {"meta": np.array(text)})
    return file.getvalue()


def refused(path):
    """What the one line says with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    said = str(caught.value)
    assert said.isprintable() and said.startswith(f"{path} is corrupted") and len(said) < len(str(path)) + 400
    return said


def test_a_flipped_bit_anywhere_is_harmless_or_the_file_before_is_used(run, content):
    """Every 97th bit, an odd step: all kinds of places, and in time all bits of a byte."""
    last, whole, used = run / "last.npz", arrays_of(content[0]), 0
    for bit in range(0, 8 * len(content[0]), 97):
        flipped = bytearray(content[0])
        flipped[bit // 8] ^= 1 << bit % 8
        last.write_bytes(flipped)
        said = []
        found = Run(run, resume=True).newest(said.append)
        if said:
            assert found.training["step"] == 1 and said[0].startswith(f"{last} is corrupted"), (bit, said)
            used += 1
        else:  # a time or a flag that nobody reads
            assert all(np.array_equal(found.arrays[name], whole[name]) for name in found.arrays), bit
    assert used > 250


@pytest.mark.parametrize("offset, bit, says", [(6, 0, "encrypted"), (8, 3, "compressed")])
def test_a_flipped_flag_of_a_member(offset, bit, says, run, content):
    """The first member is `meta`, and its flags and method stand twice: before it and in the central directory."""
    flipped = bytearray(content[0])
    for start in (0, content[0].index(b"PK\x01\x02") + 2):
        flipped[start + offset] ^= 1 << bit
    (run / "last.npz").write_bytes(flipped)
    assert says in refused(run / "last.npz")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format":' * 50_000, "1" * 5000, "", "\ud800", '{"format": 1, "a"'])
def test_json_that_python_cannot_read(text, run, content):
    (run / "last.npz").write_bytes(with_meta(content[0], text))
    refused(run / "last.npz")
    assert Run(run, resume=True).newest().training["step"] == 1


def places(value, path=()):
    """The paths of all values inside a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def test_every_place_of_meta_with_every_odd_value(run, content):
    """A mutation is refused in one line, or the model still works: nothing else is ever raised."""
    rng, meta, kept = random.Random(0), meta_of(content[0]), 0
    last = run / "last.npz"
    for path in list(places(meta)):
        for value in ("delete", *rng.sample(ODD, 3)):
            mutated = json.loads(json.dumps(meta))
            node = mutated
            for key in path[:-1]:
                node = node[key]
            if value == "delete":
                del node[path[-1]]
            else:
                node[path[-1]] = value
            last.write_bytes(with_meta(content[0], mutated))
            try:
                model = checkpoint.read(last).model()
            except CheckpointError as error:
                assert str(error).isprintable() and len(str(error)) < 500, (path, error)
            else:
                kept += 1
                assert model.store.flat.size == 40 and model.sample(1).size == 4
    assert kept < 200


def resized(meta, **config):
    """`meta` with other options, and nothing else changed."""
    return meta | {"config": meta["config"] | config}


@pytest.mark.parametrize(
    "config",
    [{"hidden": [20_000, 20_000]}, {"latent_dim": 10**7}, {"input_shape": [5000, 5000, 3]}, {"classes": 10**7}],
    ids=lambda config: next(iter(config)),
)
def test_options_do_not_decide_how_much_memory_is_taken(config, run, content):
    (run / "last.npz").write_bytes(with_meta(content[0], resized(meta_of(content[0]), **config)))
    tracemalloc.start()
    assert "its options make" in refused(run / "last.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_number_of_blocks_is_not_built_before_shapes_are_compared(tmp_path):
    path = tmp_path / "m.npz"
    tinyae.models.PixelCNN(input_shape=(3, 3), levels=3, width=4, blocks=1).save(path)
    written = path.read_bytes()
    path.write_bytes(with_meta(written, resized(meta_of(written), blocks=10**9)))
    assert "its options make no pixelcnn" in refused(path)  # without an end, if these were built
    path.write_bytes(with_meta(written, resized(meta_of(written), blocks=99)))
    assert "its options make" in refused(path)


def test_a_compressed_file_is_refused_before_it_is_unpacked(run, content):
    """A deflated zero takes a thousandth of its length: a small file would unpack to gigabytes."""
    np.savez_compressed(run / "last.npz", **arrays_of(content[0]))
    assert "is compressed" in refused(run / "last.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(value, run, content):
    arrays = arrays_of(content[0])
    names = list(meta_of(content[0])["params"])
    arrays["params"][-1] = value
    np.savez(run / "last.npz", **arrays)
    assert f"{names[-1]} has values that are NaN or infinite" in refused(run / "last.npz")
    arrays["params"][0] = value
    np.savez(run / "last.npz", **arrays)
    assert f"{names[0]} has values" in refused(run / "last.npz")


def test_what_would_be_refused_is_not_written(tmp_path):
    model, path = small(), tmp_path / "m.npz"
    model.save(path)
    before = path.read_bytes()
    model.store.flat[3] = np.nan
    with pytest.raises(CheckpointError, match="cannot write .*encoder.1.weight has values that are NaN"):
        model.save(path)
    model = small()
    model.config["hidden"] = (3,)
    with pytest.raises(CheckpointError, match="cannot write .*its options make"):
        model.save(path)
    model.config["hidden"] = {2}
    with pytest.raises(CheckpointError, match="cannot write .*not JSON serializable"):
        model.save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_a_damaged_best_gives_way_to_the_last_and_the_one_before(run, content, capsys):
    (run / "best.npz").write_bytes(content[0][:700])
    last = checkpoint.read(run / "last.npz").arrays["params"]
    np.testing.assert_array_equal(tinyae.load(run).store.flat, last)
    assert capsys.readouterr().err.endswith("best.npz is corrupted or not a tinyae checkpoint: File is not a zip file: "
                                            "last.npz is used in its place\n")  # fmt: skip
    (run / "last.npz").write_bytes(b"")
    previous = checkpoint.read(run / "previous.npz").arrays["params"]
    np.testing.assert_array_equal(tinyae.load(run).store.flat, previous)
    assert capsys.readouterr().err.count("previous.npz is used in its place\n") == 2
    (run / "previous.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="best.npz is corrupted.*; .*last.npz is.*; .*no whole checkpoint"):
        tinyae.load(run)


def test_a_pipe_is_no_checkpoint(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo(tmp_path / "last.npz")
    assert "no regular file" in refused(tmp_path / "last.npz")
