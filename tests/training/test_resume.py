"""What a resumed run compares before it goes on, and what is left of a run that was replaced or corrupted."""

import os

import numpy as np
import pytest
from checkpoint_files import rewrite

import tinyae
from tinyae.checkpoint import files as checkpoint
from tinyae.data import Dataset, Split
from tinyae.errors import CheckpointError, ConfigError
from tinyae.training import pictures
from tinyae.training.run import REPLACED, Run


def small(dtype="float32", **options):
    options = {"input_shape": (4, 4, 1), "hidden": (6,), "latent_dim": 2} | options
    return tinyae.models.VAE(dtype=dtype, **options)


def data(names=("bird", "cat", "dog"), labels=None, test=0, count=40):
    x = np.random.default_rng(0).random((count, 4, 4, 1), dtype="float32")
    labels = np.arange(count) % 3 if labels is None else labels
    other = np.random.default_rng(test).random((10, 4, 4, 1), dtype="float32")
    return Dataset("d", Split(x, labels), Split(other, np.arange(10) % 3), names)


def fit(model, given, out, epochs=2, **options):
    return tinyae.fit(model, given, epochs=epochs, batch_size=20, out=out, progress=False, **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(model, given, out, match, error=ConfigError, **options):
    """Resuming is refused, and neither the files nor the model change."""
    files, params = contents(out), model.store.flat.copy()
    with pytest.raises(error, match=match) as caught:
        fit(model, given, out, epochs=3, resume=True, **options)
    assert str(caught.value).isprintable()
    assert contents(out) == files
    np.testing.assert_array_equal(model.store.flat, params)
    assert model.standardization is None and model.class_names is None


def test_resume_in_another_dtype_is_refused(tmp_path):
    fit(small(), data(), tmp_path)
    refused(small("float64"), data(), tmp_path, "has dtype='float32', the model dtype='float64'", CheckpointError)
    fit(small(), data(), tmp_path, epochs=3, resume=True)
    assert checkpoint.read(tmp_path / "last.npz").training["step"] == 6


@pytest.mark.parametrize(
    "change, says",
    [
        ({"labels": np.arange(40) % 2}, "labels 'int64 40 "),
        ({"test": 1}, "test data {'test': "),
        (
            {"names": ("bird", "cow", "dog")},
            r"class names \['bird', 'cat', 'dog'\], now it is \['bird', 'cow', 'dog'\]",
        ),
        ({"names": None}, "class names .*, now it is None"),
        ({"count": 39}, "data 'float32 40x4x4x1 "),
    ],
)
def test_resume_with_other_data_is_refused(change, says, tmp_path):
    fit(small(), data(), tmp_path)
    refused(small(), data(**change), tmp_path, f"cannot resume: the run has {says}")


@pytest.mark.parametrize("before, now", [(None, 1e-7), (1e-7, None), (1e-7, 1e-3)])
def test_resume_with_another_epsilon_is_refused(before, now, tmp_path):
    fit(small(), data(), tmp_path, epsilon=before)
    refused(small(), data(), tmp_path, f"cannot resume: the run has epsilon {before}, now it is {now}", epsilon=now)


def test_resume_goes_on_with_epsilon(tmp_path):
    """A run without one is as runs were before there was the option."""
    whole, parted = small(), small()
    fit(whole, data(), tmp_path / "whole", epochs=3, epsilon=1e-2)
    fit(parted, data(), tmp_path / "parted", epsilon=1e-2)
    fit(parted, data(), tmp_path / "parted", epochs=3, epsilon=1e-2, resume=True)
    np.testing.assert_array_equal(whole.store.flat, parted.store.flat)
    fit(small(), data(), tmp_path / "old")
    assert "epsilon" not in checkpoint.read(tmp_path / "old" / "last.npz").training["settings"]


def test_resume_without_the_labels_or_the_test_part_is_refused(tmp_path):
    whole = data()
    fit(small(), whole, tmp_path)
    unlabelled = Dataset("d", Split(whole.train.x), whole.test, whole.class_names)
    refused(small(), unlabelled, tmp_path, "the run has labels .*, now it is None")
    refused(
        small(), Dataset("d", whole.train, None, whole.class_names), tmp_path, "the run has test data .* now it is {}"
    )


@pytest.mark.parametrize("before, now", [(None, "static"), ("static", "dynamic"), ("dynamic", None)])
def test_resume_with_another_binarisation_is_refused(before, now, tmp_path):
    fit(small(), data(), tmp_path, binarize=before)
    refused(small(), data(), tmp_path, "cannot resume: the run has binarize", binarize=now)


def test_labels_in_another_integer_type_are_the_same(tmp_path):
    fit(small(), data(), tmp_path)
    fit(small(), data(labels=(np.arange(40) % 3).astype("uint8")), tmp_path, epochs=3, resume=True)


def test_a_run_from_before_labels_were_compared_goes_on(tmp_path):
    fit(small(), data(), tmp_path)

    def older(arrays, meta):
        del meta["class_names"]
        for name in ("labels", "watched", "class_names"):
            del meta["training"]["settings"][name]

    rewrite(tmp_path / "last.npz", older)
    resumed, straight = small(), small()
    fit(resumed, data(), tmp_path, epochs=3, resume=True)
    tinyae.fit(straight, data(), epochs=3, batch_size=20, progress=False)
    np.testing.assert_array_equal(resumed.store.flat, straight.store.flat)
    assert tinyae.load(tmp_path / "last.npz").class_names == ("bird", "cat", "dog")


def test_moments_of_another_size_are_refused(tmp_path):
    fit(small(), data(), tmp_path)

    def shorter(arrays, meta):
        arrays["optimizer.mean"] = arrays["optimizer.mean"][:-1]
        meta["moments"]["optimizer.mean"] -= 1

    for name in ("last.npz", "previous.npz"):
        rewrite(tmp_path / name, shorter)
    refused(small(), data(), tmp_path, "moment mean is float32 .*, its parameters are float32", CheckpointError)


def test_refused_at_the_start_the_model_is_not_standardised(tmp_path):
    rows = np.random.default_rng(0).normal(3, 2, (40, 5)).astype("float32")
    options = {"input_shape": (5,), "likelihood": "gaussian"}
    fit(small(**options), rows, tmp_path)
    refused(small(**options), rows, tmp_path, "the run has standardize None", standardize=True)
    model = small(**options)
    with pytest.raises(ConfigError, match="has a run already"):
        fit(model, rows, tmp_path, standardize=True)
    assert model.standardization is None


def test_restoring_takes_away_a_standardisation_that_the_file_does_not_have(tmp_path):
    options = {"input_shape": (5,), "likelihood": "gaussian"}
    small(**options).save(tmp_path / "m.npz")
    model = small(**options)
    model.standardize(np.random.default_rng(0).normal(3, 2, (40, 5)))
    checkpoint.read(tmp_path / "m.npz").restore(model)
    assert model.standardization is None


# replaced


@pytest.mark.parametrize("damaged", [False, True])
def test_where_only_the_best_epoch_is_left_a_run_goes_on_from_it(damaged, tmp_path, capsys):
    """It is not taken for a folder without a run, whose files a new one would replace."""
    fit(small(), data(), tmp_path)
    for name in ("last.npz", "previous.npz"):
        (tmp_path / name).unlink()  # best.npz may be the same file
        if damaged:
            (tmp_path / name).write_bytes(b"PK")
    step = checkpoint.read(tmp_path / "best.npz").training["step"]
    with pytest.raises(ConfigError, match="has a run already"):
        fit(small(), data(), tmp_path)
    model, straight = small(), small()
    history = tinyae.fit(model, data(), epochs=3, batch_size=20, out=tmp_path, resume=True)
    assert f": going on from best.npz, step {step}\n" in capsys.readouterr().err
    fit(straight, data(), tmp_path / "straight", epochs=3)
    assert history.steps == 6 and model.store.flat.tobytes() == straight.store.flat.tobytes()
    assert (tmp_path / "metrics.jsonl").read_text() == (tmp_path / "straight" / "metrics.jsonl").read_text()


def test_a_saved_model_alone_is_no_run_and_stays(tmp_path):
    small().save(tmp_path / "best.npz")
    refused(small(), data(), tmp_path, "best.npz holds a model, not a run: it cannot be resumed", CheckpointError)


@pytest.mark.parametrize("removals", range(4))
def test_killed_while_a_run_is_removed_it_is_gone(removals, tmp_path, monkeypatch):
    fit(small(), data(), tmp_path)
    remove, done = checkpoint.remove_if_there, []

    def killed(path):
        if len(done) == removals:
            raise KeyboardInterrupt
        done.append(path)
        remove(path)

    monkeypatch.setattr(checkpoint, "remove_if_there", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(small(), data(), tmp_path, overwrite=True)
    monkeypatch.undo()
    assert Run(tmp_path).newest() is None and Run(tmp_path).used == []
    with pytest.raises(CheckpointError, match="holds no run"):
        tinyae.load(tmp_path)
    other = small(latent_dim=3)
    fit(other, data(), tmp_path, epochs=1, resume=True)
    assert checkpoint.read(tmp_path / "last.npz").training["step"] == 2
    assert sorted(contents(tmp_path)) == ["best.npz", "last.npz", "metrics.jsonl"]


def test_overwriting_removes_the_old_runs_pictures(tmp_path):
    fit(small(), data(), tmp_path)
    for name in (*pictures.NAMES, "mine.png", "vq-vae.npz"):
        (tmp_path / name).write_bytes(b"old")
    fit(small(), data(), tmp_path, epochs=1, overwrite=True)
    assert sorted(contents(tmp_path)) == ["best.npz", "last.npz", "metrics.jsonl", "mine.png"]
    assert not (tmp_path / REPLACED).exists()


def test_the_names_of_all_pictures_are_known():
    source = (os.path.join(os.path.dirname(tinyae.__file__), "plot", "report.py"),)
    with open(*source, encoding="utf-8") as file:
        drawn = {line.split('"')[1] for line in file if 'add("' in line}
    assert drawn == set(pictures.NAMES)


# metrics.jsonl


def test_a_damaged_line_is_named_and_the_lines_behind_it_are_kept(tmp_path):
    fit(small(), data(), tmp_path, epochs=4)
    path, said = tmp_path / "metrics.jsonl", []
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"{" + b"".join(lines))
    found = Run(tmp_path).records(8, said.append)
    assert [record["epoch"] for record in found] == [2, 3, 4]
    assert said == [f"{path}: line 1 is corrupted and was removed; the other lines are kept"]
    assert path.read_bytes() == b"".join(lines[1:])
    assert [record["epoch"] for record in Run(tmp_path).records(6, said.append)] == [2, 3] and len(said) == 1


@pytest.mark.parametrize(
    "line",
    [b"1", b"{}", b"\xff", b"[" * 99_999, b'{"epoch": 1, "step": "2", "train": {}}', b'{"epoch": 1, "step": 2}', b"",
     b'{"epoch": 1, "step": 2, "train": {"loss": []}}', b'{"epoch": 1, "step": 2, "train": {}, "alarms": 3}'],
)  # fmt: skip
def test_any_damaged_line(line, tmp_path):
    fit(small(), data(), tmp_path, epochs=2)
    path, said = tmp_path / "metrics.jsonl", []
    whole = path.read_bytes()
    path.write_bytes(line + b"\n" + whole)
    history = fit(small(), data(), tmp_path, epochs=3, resume=True)
    assert [record["epoch"] for record in history.records] == [1, 2, 3]
    path.write_bytes(whole + line)  # torn by a crash, this one is
    assert len(Run(tmp_path).records(8, said.append)) == 2 and said == []


@pytest.mark.parametrize("kept", [0, 1, None])
def test_lines_that_are_missing_are_counted(kept, tmp_path, capsys):
    fit(small(), data(), tmp_path, epochs=3)
    path = tmp_path / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.unlink() if kept is None else path.write_text("".join(lines[3 - kept :]))
    tinyae.fit(small(), data(), epochs=3, batch_size=20, out=tmp_path, resume=True)
    said = f"{path} has only {kept or 0} of the 3 epochs so far: the curves lack the others\n"
    assert said in capsys.readouterr().err


def test_lines_are_on_the_disk_when_they_are_written(tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_size), sync(handle)))
    Run(tmp_path).append({"epoch": 1})
    assert synced == [len('{"epoch": 1}\n')]


def test_what_no_checkpoint_can_hold_is_refused_before_the_first_step(tmp_path):
    fit(small(), data(), tmp_path)
    files, model = contents(tmp_path), small()
    model.config["activation"] = {"relu"}
    before = model.store.flat.copy()
    with pytest.raises(CheckpointError, match="cannot write .*last.npz: .*not JSON serializable; what was there"):
        fit(model, data(), tmp_path, overwrite=True)
    np.testing.assert_array_equal(model.store.flat, before)
    assert contents(tmp_path) == files


def test_sums_that_are_not_those_of_the_step_are_refused(tmp_path):
    fit(small(), data(), tmp_path)

    def earlier(arrays, meta):
        meta["training"]["step"] -= 1

    for name in ("last.npz", "previous.npz"):
        rewrite(tmp_path / name, earlier)
    refused(small(), data(), tmp_path, "last.npz is corrupted: its sums do not belong to step 3", CheckpointError)
