"""The training loop: batches, splits, metrics, stopping, resuming."""

import json
import os
import signal
import threading

import numpy as np
import pytest

import tinyae
from tinyae.backend import Backend
from tinyae.errors import CheckpointError, ConfigError, DataError, DivergedError
from tinyae.training import loop, progress
from tinyae.training.feed import Feed
from tinyae.training.prepared import as_split, fingerprint, hold_out


def small(**options):
    return tinyae.models.VAE(**{"input_shape": (4, 4, 1), "hidden": (6,), "latent_dim": 2} | options)


@pytest.fixture
def x():
    return np.random.default_rng(0).random((50, 4, 4, 1), dtype="float32")


def fit(model, x, **options):
    return tinyae.fit(model, x, **{"epochs": 2, "batch_size": 20, "progress": False} | options)


# batches


def test_every_example_once_an_epoch_and_a_short_last_batch(x):
    feed = Feed(x, None, Backend(), 20, seed=1)
    sizes = [len(batch["x"]) for batch in feed.epoch(0)]
    assert sizes == [20, 20, 10] and feed.steps_per_epoch == 3
    seen = np.concatenate([batch["x"] for batch in feed.epoch(0)])
    np.testing.assert_array_equal(np.sort(seen.reshape(50, -1)[:, 0]), np.sort(x.reshape(50, -1)[:, 0]))
    other = np.concatenate([batch["x"] for batch in feed.epoch(1)])
    assert not np.array_equal(seen, other), "two epochs in one order"


def test_an_epoch_can_start_in_the_middle(x):
    feed = Feed(x, np.arange(50), Backend(), 20, seed=1)
    whole, rest = list(feed.epoch(3)), list(feed.epoch(3, start=1))
    assert len(rest) == 2
    for ours, theirs in zip(rest, whole[1:], strict=True):
        np.testing.assert_array_equal(ours["labels"], theirs["labels"])


def test_hold_out_is_a_partition_by_the_seed():
    x = np.arange(40.0).reshape(20, 2)
    (train, _), (held, labels) = hold_out(x, np.arange(20), 0.25, seed=3)
    assert len(held) == 5 and len(train) == 15
    assert sorted(np.concatenate([train, held])[:, 0]) == sorted(x[:, 0])
    np.testing.assert_array_equal(labels * 2.0, held[:, 0])
    assert not np.array_equal(hold_out(x, None, 0.25, seed=4)[1][0], held)
    assert hold_out(x, None, 0.0, seed=3)[1] is None
    for bad in (-0.1, 1.0, 0.001):
        with pytest.raises(ConfigError):
            hold_out(x, None, bad, seed=3)


def test_uint8_stays_uint8():
    feed = Feed(np.zeros((5, 4, 4, 1), "uint8"), None, Backend(), 2, seed=0)
    assert next(iter(feed.epoch(0)))["x"].dtype == np.uint8


def test_what_data_may_be(x):
    labels = np.arange(50)
    for data in (x, (x, labels), {"x": x, "labels": labels}, tinyae.data.Split(x, labels)):
        np.testing.assert_array_equal(as_split(data)[0], x)
    for bad, message in [
        (np.zeros((0, 4)), "shape"),
        (np.float32(3), "shape"),
        (np.zeros((3, 4), "int64"), "int64"),
        (np.zeros((3, 4), object), "object"),
        ((x, labels[:-1]), "49 labels"),
    ]:
        with pytest.raises(DataError, match=message):
            as_split(bad)
    x[7, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="first in example 7"):
        as_split(x)


def test_fingerprint_sees_one_value(x):
    before = fingerprint(x)
    x[49, 3, 3, 0] += 1e-3
    assert fingerprint(x) != before


# the loop


def test_training_lowers_the_loss_and_is_a_function_of_the_seed(x):
    first, second, third = small(), small(), small()
    history = fit(first, x, epochs=20, lr=1e-2)
    fit(second, x, epochs=20, lr=1e-2)
    fit(third, x, epochs=20, lr=1e-2, seed=1)
    assert history.records[-1]["train"]["loss"] < history.records[0]["train"]["loss"]
    np.testing.assert_array_equal(first.store.flat, second.store.flat)
    assert not np.array_equal(first.store.flat, third.store.flat)


def test_records(x, tmp_path):
    labels = np.arange(50) % 3
    history = fit(small(), (x, labels), validation=0.2, test=x[:5], out=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == history.records and [line["epoch"] for line in lines] == [1, 2]
    assert lines[-1]["step"] == history.steps == 4
    for part in ("train", "validation", "test"):
        terms = lines[-1][part]
        assert list(terms) == ["loss", "reconstruction", "kl"]
        assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["kl"], rel=1e-5)
    assert history.best["loss"] == min(line["validation"]["loss"] for line in lines)


def test_the_epoch_mean_weighs_the_short_batch_by_its_size(x):
    """With lr 0 nothing moves, so the mean over the epoch is the mean over single examples."""
    model = tinyae.models.AE(input_shape=(4, 4, 1), hidden=(6,), latent_dim=2)
    history = fit(model, x, epochs=1, lr=1e-30)
    assert history.records[0]["train"]["loss"] == pytest.approx(float(model.loss({"x": x})["loss"]), rel=1e-5)


def test_evaluation_of_chunks_is_the_mean_over_all(x):
    model = tinyae.models.AE(input_shape=(4, 4, 1), hidden=(6,), latent_dim=2)
    feed = Feed(x, None, Backend(), 20, 0)
    model.chunk = 7
    assert loop.evaluate(model, feed, 0)["loss"] == pytest.approx(float(model.loss({"x": x})["loss"]), rel=1e-5)


def test_clipping_comes_before_the_step(x):
    model = small()
    before = model.store.flat.copy()
    fit(model, x, epochs=1, batch_size=50, optimizer="sgd", lr=1.0, clip_norm=1e-3)
    assert np.linalg.norm(model.store.flat - before) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "keras-adam"])
def test_resume_is_exact_with_every_optimizer(x, tmp_path, optimizer):
    straight, resumed = small(), small()
    options = dict(optimizer=optimizer, lr=1e-2)
    fit(straight, x, epochs=4, **options)
    fit(small(), x, epochs=2, out=tmp_path, **options)
    history = fit(resumed, x, epochs=4, out=tmp_path, resume=True, **options)
    np.testing.assert_array_equal(resumed.store.flat, straight.store.flat)
    assert [record["epoch"] for record in history.records] == [1, 2, 3, 4]


def test_resume_of_a_finished_run_does_nothing(x, tmp_path):
    fit(small(), x, out=tmp_path)
    before = (tmp_path / "last.npz").read_bytes()
    model = small(seed=9)
    history = fit(model, x, out=tmp_path, resume=True)
    assert history.steps == 6 and (tmp_path / "last.npz").read_bytes() == before
    np.testing.assert_array_equal(model.store.flat, tinyae.load(tmp_path / "last.npz").store.flat)


def test_a_used_folder_is_refused(x, tmp_path):
    fit(small(), x, out=tmp_path)
    before = (tmp_path / "last.npz").read_bytes()
    with pytest.raises(ConfigError, match="has a run already"):
        fit(small(), x, out=tmp_path)
    assert (tmp_path / "last.npz").read_bytes() == before
    fit(small(seed=5), x, epochs=1, out=tmp_path, overwrite=True)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
    with pytest.raises(ConfigError, match="exclude each other"):
        fit(small(), x, out=tmp_path, resume=True, overwrite=True)


@pytest.mark.parametrize(
    "change, name",
    [({"lr": 0.5}, "lr"), ({"batch_size": 7}, "batch_size"), ({"seed": 2}, "seed"),
     ({"schedule": "cosine"}, "schedule 'constant', now it is 'cosine'")],
)  # fmt: skip
def test_resume_with_other_settings_is_refused(x, tmp_path, change, name):
    fit(small(), x, out=tmp_path)
    with pytest.raises(ConfigError, match=f"cannot resume: the run has {name}"):
        fit(small(), x, epochs=3, out=tmp_path, resume=True, **change)


def test_resume_with_other_data_or_model_is_refused(x, tmp_path):
    fit(small(), x, out=tmp_path)
    with pytest.raises(ConfigError, match="the run has data"):
        fit(small(), 1 - x, epochs=3, out=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="use the options it was trained with"):
        fit(small(hidden=(7,)), x, epochs=3, out=tmp_path, resume=True)
    small().save(tmp_path / "last.npz")
    with pytest.raises(CheckpointError, match="holds a model, not a run"):
        fit(small(), x, epochs=3, out=tmp_path, resume=True)


def test_a_scheduled_run_cannot_change_its_length(x, tmp_path):
    fit(small(), x, out=tmp_path, schedule="cosine")
    with pytest.raises(ConfigError, match="the run has epochs 2, now it is 3"):
        fit(small(), x, epochs=3, out=tmp_path, schedule="cosine", resume=True)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0}, {"batch_size": 0}, {"batch_size": 1.5}, {"lr": 0}, {"lr": float("nan")}, {"clip_norm": -1},
        {"optimizer": "adm"}, {"schedule": "cosin"}, {"validation": 2}, {"resume": True}, {"warmup": -1},
    ],
)  # fmt: skip
def test_bad_options(x, options):
    with pytest.raises(ConfigError) as caught:
        fit(small(), x, **options)
    assert "\n" not in str(caught.value)


# errors during training


def test_a_nan_loss_names_step_and_term_and_keeps_the_last_checkpoint(x, tmp_path):
    class Bursting(tinyae.models.VAE):
        def step(self, net, x):
            terms = super().step(net, x)
            if net.noise.step == 4 and net.training:
                terms["kl"] = terms["kl"] * np.float32("inf")
                terms["loss"] = terms["reconstruction"] + terms["kl"]
            return terms

    model = Bursting(input_shape=(4, 4, 1), hidden=(6,), latent_dim=2)
    with pytest.raises(DivergedError, match=r"step 5 \(epoch 2\): kl is inf"):
        fit(model, x, out=tmp_path)
    kept = tinyae.load(tmp_path / "last.npz")
    straight = small()
    fit(straight, x, epochs=1)
    np.testing.assert_array_equal(kept.store.flat, straight.store.flat)


def test_parameters_that_are_not_finite_are_never_saved(x, tmp_path):
    """The gradient of the last step before a checkpoint is NaN: the loss has not seen it yet."""

    class Poisoned(tinyae.models.VAE):
        def step(self, net, x):
            result = super().step(net, x)
            if net.noise.step == 5 and net.needs_grads:
                net.decoder.grads["0"]["weight"][0, 0] = np.nan
            return result

    with pytest.raises(DivergedError, match="parameters"):
        fit(Poisoned(input_shape=(4, 4, 1), hidden=(6,), latent_dim=2), x, out=tmp_path)
    assert np.isfinite(tinyae.load(tmp_path / "last.npz").store.flat).all()


def test_a_real_divergence_is_one_error_and_no_warning(x):
    with pytest.raises(DivergedError):
        fit(small(likelihood="gaussian"), x, epochs=50, optimizer="sgd", lr=1e6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_leaves(x, tmp_path, number):
    stopped = small()
    steps = []

    class Display(progress.Silent):
        def step(self, images, terms):
            steps.append(terms)
            if len(steps) == 4:
                os.kill(os.getpid(), number)

    history = tinyae.fit(stopped, x, epochs=3, batch_size=20, out=tmp_path, progress=Display())
    assert history.interrupted and history.steps == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the handler was left behind"
    resumed, straight = small(), small()
    assert not fit(resumed, x, epochs=3, out=tmp_path, resume=True).interrupted
    fit(straight, x, epochs=3)
    np.testing.assert_array_equal(resumed.store.flat, straight.store.flat)


def test_fit_works_off_the_main_thread(x):
    model, expected = small(), small()
    worker = threading.Thread(target=fit, args=(model, x))
    worker.start()
    worker.join()
    fit(expected, x)
    np.testing.assert_array_equal(model.store.flat, expected.store.flat)


def test_an_output_folder_that_cannot_be(x, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot create the output folder"):
        fit(small(), x, out=tmp_path / "file" / "run")


def test_torn_metrics_are_repaired(x, tmp_path):
    fit(small(), x, out=tmp_path)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 3, "st')
    history = fit(small(), x, epochs=3, out=tmp_path, resume=True)
    assert [record["epoch"] for record in history.records] == [1, 2, 3]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


# progress


def test_plain_lines(x, capsys):
    fit(small(), (x, None), test=x[:5], progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1  train: loss ") and "kl" in lines[0] and "examples/s" in lines[0]
    assert "test: loss" in lines[1] and "left" in lines[1]


def test_long_epochs_speak_in_between(x, capsys, monkeypatch):
    monkeypatch.setattr(progress.Lines, "PAUSE", -1)
    fit(small(), x, progress=True)
    assert any(line.startswith("step 1/6") for line in capsys.readouterr().err.splitlines())


def test_the_bar_shows_terms_rate_and_time(x, monkeypatch):
    pytest.importorskip("tqdm")
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    fit(small(), x, progress=True)
    text = terminal.getvalue()
    assert "6/6 steps" in text and "examples/s" in text and "kl" in text and "epoch 2" in text


def test_without_tqdm_a_terminal_gets_lines(x, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(progress.make(True, 3), progress.Lines)
