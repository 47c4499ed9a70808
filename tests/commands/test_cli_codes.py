"""From images to codes to new images on the command line: vq-vae, pixelcnn over its codes, and pixelcnn over pixels."""

import contextlib
import itertools
import json
import math
import os
import shutil

import numpy as np
import pytest
import strict_cupy
from command_line import refuses

import tinyae
from tinyae import cli, models
from tinyae.checkpoint import files as checkpoint
from tinyae.commands import prior

VQ = ("train", "vq-vae", "--data", "digits", "--epochs", 1, "--set", "codes=8", "--no-pictures")
PRIOR = ("train", "pixelcnn", "--set", "width=6", "--set", "blocks=1", "--batch-size", 400)
DIGITS = tinyae.data.load("digits")


def call(*words, code=0):
    assert cli.main([str(word) for word in words]) == code


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs on digits: `vq`; `prior`, conditional, and `plain` over its codes; `pixels`; `vae`. And other data."""
    folder = tmp_path_factory.mktemp("place")
    image = np.random.default_rng(0).random((30, 8, 8, 1), dtype="float32")
    np.save(folder / "unlabelled.npy", image)
    np.savez(folder / "twelve.npz", x=image, labels=np.arange(30) % 12)
    (folder / "empty").mkdir()
    with contextlib.chdir(folder):
        call(*VQ, "--out", "vq")
        call(*PRIOR, "--codes", "vq", "--set", "classes=10", "--epochs", 1, "--out", "prior")
        call(*PRIOR, "--codes", "vq", "--epochs", 1, "--no-pictures", "--out", "plain")
        call(*PRIOR, "--data", "digits", "--set", "levels=4", "--epochs", 1, "--out", "pixels")
        call("train", "vae", "--data", "digits", "--epochs", 1, "--set", "hidden=4", "--no-pictures", "--out", "vae")
    return folder


@pytest.fixture
def moved(place, tmp_path, monkeypatch):
    """A folder of the test's own with a copy of `prior`, and no vq-vae."""
    shutil.copytree(place / "prior", tmp_path / "prior")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# the chain


def test_a_prior_has_a_copy_of_its_vq_vae_and_the_levels_of_its_codes(here):
    model, codec = tinyae.load("prior"), tinyae.load("vq")
    assert (model.input_shape, model.levels, model.classes) == ((2, 2), 8, 10)
    np.testing.assert_array_equal(model.codec.store.flat, codec.store.flat)
    np.testing.assert_array_equal(model.codec.state.flat, codec.state.flat)
    assert {path.name for path in (here / "prior").glob("*.png")} == {"samples.png", "curves.png"}


def test_samples_are_decoded_draws_of_the_classes_in_turn(moved):
    words = ("sample", "prior", "-n", 5, "--labels", "3,7", "--seed", 4)
    call(*words, "--temperature", 0.5, "--top-k", 3, "--out", "s.npz")
    got, model = np.load("s.npz"), tinyae.load("prior")
    assert got["labels"].tolist() == [3, 7, 3, 7, 3]
    drawn = model.sample(5, seed=4, labels=[3, 7, 3, 7, 3], temperature=0.5, top_k=3)
    np.testing.assert_array_equal(got["codes"], drawn)
    np.testing.assert_array_equal(got["x"], model.codec.decode(drawn))
    call(*words, "--out", "s.npy")
    assert np.load("s.npy").shape == (5, 8, 8, 1) and not np.array_equal(np.load("s.npy"), got["x"])


@pytest.mark.parametrize("words, rows, columns", [((), 10, 8), (("-n", 6, "--labels", "9,1"), 2, 3)])
def test_a_picture_of_samples_has_a_row_for_each_class(words, rows, columns, moved, monkeypatch):
    from tinyae import plot

    seen = {}
    monkeypatch.setattr(plot, "grid", lambda path, images, columns, **words: seen.update(words, x=images, n=columns))
    call("sample", "prior", *words)
    turn = [9, 1] if words else list(range(10))
    model = tinyae.load("prior")
    drawn = model.images(model.sample(rows * columns, labels=turn * columns))
    assert seen["n"] == columns and seen["row_labels"] == [f"class {label}" for label in turn]
    for row in range(rows):
        np.testing.assert_array_equal(seen["x"][row * columns : (row + 1) * columns], drawn[row :: len(turn)])


def test_samples_that_are_no_whole_rows_are_shown_as_they_come(moved):
    call("sample", "prior", "-n", 7, "--out", "s.png")
    assert os.path.getsize("s.png") > 0


def test_resumed_without_the_vq_vae_it_ends_at_the_same_bits(place, moved):
    call("train", "pixelcnn", "--out", "prior", "--resume", "--epochs", 3, "--no-pictures")
    options = (*PRIOR[2:], "--set", "classes=10", "--no-pictures")
    call("train", "pixelcnn", "--codes", place / "vq", *options, "--epochs", 3, "--out", "whole")
    ours, theirs = (checkpoint.read(f"{name}/last.npz") for name in ("prior", "whole"))
    assert ours.meta == theirs.meta
    for name, array in theirs.arrays.items():
        np.testing.assert_array_equal(ours.arrays[name], array, err_msg=name)
    assert (moved / "prior/metrics.jsonl").read_text() == (moved / "whole/metrics.jsonl").read_text()


def test_resumed_with_the_same_vq_vae_named_again(place, moved, capsys):
    call("train", "pixelcnn", "--codes", place / "vq", "--out", "prior", "--resume", "--epochs", 2, "--no-pictures")
    assert "resuming at step 4 of 8" in capsys.readouterr().err


def test_stopped_while_encoding_nothing_is_left(place, tmp_path, monkeypatch, capsys):
    def stop(data, codec):
        raise KeyboardInterrupt

    monkeypatch.setattr(prior, "codes_of", stop)
    call(*PRIOR, "--codes", place / "vq", "--out", tmp_path / "p", code=130)
    assert capsys.readouterr().err.endswith("tinyae: stopped\n") and not (tmp_path / "p").exists()


def test_stopped_before_the_first_checkpoint_it_can_begin_again(place, tmp_path, monkeypatch, capsys):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    words = (*PRIOR, "--codes", place / "vq", "--epochs", 1, "--no-pictures", "--out", tmp_path / "p")
    with monkeypatch.context() as patched:
        patched.setattr(models.PixelCNN, "step", stop)
        call(*words, code=130)
    assert "stopped at once; nothing was saved yet" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["vq-vae.npz"]
    call(*words, "--resume")
    assert tinyae.load(tmp_path / "p").codec is not None


def test_a_run_of_pixels_over_one_of_codes_has_no_vq_vae(moved):
    words = ("--data", "digits", "--set", "levels=2", "--epochs", 1, "--no-pictures")
    call(*PRIOR, *words, "--out", "prior", "--overwrite")
    assert tinyae.load("prior").codec is None
    call("sample", "prior", "-n", 2, "--out", "s.npy")
    assert set(np.load("s.npy").ravel()) == {0.0, 1.0}


def test_without_a_word_of_data_those_of_the_vq_vae_are_encoded(here, tmp_path, capsys):
    words = (*PRIOR, "--codes", "vq", "--epochs", 1, "--no-pictures")
    call(*words, "--out", tmp_path / "own")
    assert "encoding 1,797 images of digits by the vq-vae in vq/best.npz" in capsys.readouterr().err
    call(*words, "--data", "unlabelled.npy", "--out", tmp_path / "other")
    assert "encoding 30 images of unlabelled" in capsys.readouterr().err
    call("evaluate", tmp_path / "other", "--json")
    assert json.loads(capsys.readouterr().out)["images"] == 3


def test_the_best_epoch_of_a_vq_vae_is_that_of_the_least_error():
    model, steps = models.VQVAE(input_shape=(8, 8, 1), codes=8), itertools.count()
    step = model.step

    def rising(net, x):
        terms = step(net, x)
        return terms | {"loss": terms["loss"] + 1000 * next(steps)}

    model.step = rising
    history = tinyae.fit(model, DIGITS.train.x[:200], epochs=3, progress=False)
    errors = [record["train"]["reconstruction"] for record in history.records]
    assert history.best["epoch"] == 1 + errors.index(min(errors)) == 3


def test_the_chain_on_the_stand_in_is_the_chain_on_numpy(place, tmp_path, capsys):
    device = ("--backend", "cupy")
    with strict_cupy.installed(), strict_cupy.allow_sync():
        words = ("--codes", place / "vq", "--set", "classes=10", "--epochs", 1, "--out", tmp_path / "p", *device)
        call(*PRIOR, *words)
        call("train", "pixelcnn", "--resume", "--epochs", 2, "--no-pictures", "--out", tmp_path / "p", *device)
        call("sample", tmp_path / "p", "-n", 20, "--out", tmp_path / "s.npz", *device)
        answers = [told(capsys, "evaluate", path, *device) for path in (tmp_path / "p", place / "vq")]
    for path, answer in zip((tmp_path / "p", place / "vq"), answers, strict=True):
        host = told(capsys, "evaluate", path)
        for name, value in host.items():
            assert answer[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), name
    assert np.load(tmp_path / "s.npz")["codes"].max() < 8


# evaluate, encode, compare


def told(capsys, *words):
    capsys.readouterr()
    call(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_evaluate_says_what_codes_cost_and_lose(here, capsys):
    answer, model = told(capsys, "evaluate", "vq"), tinyae.load("vq")
    codes, x = model.encode(DIGITS.test.x), DIGITS.test.x / 255
    shares = np.bincount(codes.ravel(), minlength=8) / codes.size
    entropy = -sum(p * math.log2(p) for p in shares if p)
    assert answer["perplexity"] == pytest.approx([2**entropy]) and answer["codes_used"] == [(shares > 0).sum()]
    assert answer["bits_per_pixel"] == 4 * 3 / 64 and answer["compression"] == pytest.approx(8 / (12 / 64))
    assert answer["entropy_bits_per_pixel"] == pytest.approx(4 * entropy / 64)
    assert answer["entropy_compression"] == pytest.approx(8 * 64 / (4 * entropy))
    error = ((model.decode(codes) - x) ** 2).mean() / x.var()
    assert answer["error_over_variance"] == pytest.approx(error, rel=1e-5)
    parts = (answer[name] for name in ("reconstruction", "codebook", "commitment"))
    assert answer["loss"] == pytest.approx(sum(parts))


def test_evaluate_says_the_exact_likelihood_of_codes(moved, capsys):
    answer, model = told(capsys, "evaluate", "prior"), tinyae.load("prior")
    codes = model.codec.encode(DIGITS.test.x)
    nats = -model.log_prob(codes, DIGITS.test.labels).mean()
    assert answer["loss"] == pytest.approx(nats, rel=1e-5)
    assert answer["nats_per_code"] == pytest.approx(nats / 4, rel=1e-5)
    assert answer["bits_per_dimension"] == pytest.approx(nats / 4 / math.log(2), rel=1e-5)
    assert answer["bits_per_pixel"] == pytest.approx(nats / math.log(2) / 64, rel=1e-5)
    assert answer["compression"] == pytest.approx(8 / answer["bits_per_pixel"])
    assert 0 <= answer["accuracy"] <= 1
    call("evaluate", "prior")
    assert "  nats per code " in capsys.readouterr().out


def test_evaluate_says_the_exact_likelihood_of_pixels(here, capsys):
    answer, model = told(capsys, "evaluate", "pixels"), tinyae.load("pixels")
    nats = -model.log_prob(DIGITS.test.x).mean()
    assert answer["bits_per_dimension"] == pytest.approx(nats / 64 / math.log(2), rel=1e-5)
    assert "nats_per_code" not in answer and "compression" not in answer
    assert answer["notes"] == ["the likelihood is for images rounded to 4 levels"]


def test_encode_writes_maps_of_codes(here, tmp_path):
    call("encode", "vq", "--split", "test", "--out", tmp_path / "z.npz")
    got, codes = np.load(tmp_path / "z.npz"), tinyae.load("vq").encode(DIGITS.test.x)
    np.testing.assert_array_equal(got["codes"], codes)
    np.testing.assert_array_equal(got["labels"], DIGITS.test.labels)
    call("encode", "vq", "--split", "test", "--out", tmp_path / "z.csv")
    head, first, *_ = (tmp_path / "z.csv").read_text().splitlines()
    assert head == "z1,z2,z3,z4,labels,parts,rows,classes"
    label = DIGITS.test.labels[0]
    assert first == ",".join(map(str, [*codes[0].ravel(), label, "test", 0, label]))


def test_compare_shows_uniform_codes_and_no_way_between_two(here, tmp_path, capsys):
    from tinyae.evaluation.side_by_side import nearest_rms, side_by_side

    answer, model = told(capsys, "compare", "vq", "vae", "--out", tmp_path / "c.png"), tinyae.load("vq")
    images = np.clip(model.decode(model.uniform_codes(100, 0)), 0, 1)
    x = (DIGITS.test.x / 255).astype("float32")
    assert answer["runs"][0]["random_rms"] == pytest.approx(nearest_rms(images, x), rel=1e-4)
    _, rows = side_by_side([("vq", model)], DIGITS.test.x)
    assert [label for label, _ in rows] == ["input", "vq: reconstruction", "vq: random codes"]


@pytest.mark.parametrize("name", ["vq", "pixels"])
def test_reconstruct_and_sample_do_what_a_model_can(name, here, tmp_path):
    able, unable = ("reconstruct", "sample") if name == "vq" else ("sample", "reconstruct")
    call(able, name, "--out", tmp_path / "a.png")
    call(unable, name, "--out", tmp_path / "b.png", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# refusals

NO_VECTORS = "vq-vae has no codes that are vectors of numbers"
NO_CODES = "pixelcnn has no codes of its own"
REFUSALS = [
    ((*PRIOR, "--codes", "nowhere"), "--codes nowhere: no such run: give the folder of a vq-vae"),
    ((*PRIOR, "--codes", "empty"), "empty holds no run"),
    ((*PRIOR, "--codes", "unlabelled.npy"), "unlabelled.npy is corrupted or not a tinyae checkpoint"),
    ((*PRIOR, "--codes", "vae"), "--codes vae holds a run of vae: give a run of vq-vae"),
    ((*PRIOR, "--codes", "prior"), "--codes prior holds a run of pixelcnn: give a run of vq-vae"),
    (("train", "vae", "--codes", "vq"), "--codes is for pixelcnn, which is trained on codes, and vae is"),
    ((*PRIOR, "--codes", "vq", "--set", "levels=9"), "levels=9, but the vq-vae in vq/best.npz has 8 codes"),
    ((*PRIOR, "--codes", "vq", "--binarize", "static"), "--binarize is for images or rows"),
    ((*PRIOR, "--codes", "vq", "--standardize"), "--standardize is for images or rows"),
    ((*PRIOR, "--codes", "vq", "--out", "prior"), "prior has a run already: continue it (--resume)"),
    ((*PRIOR, "--codes", "vq", "--data", "fashion-mini"), "expected x of shape (N, 8, 8, 1), got (1, 28, 28, 1)"),
    ((*PRIOR, "--codes", "vq", "--set", "classes=3"), "pixelcnn has 3 classes, so labels are 0 to 2, got 0 to 9"),
    ((*PRIOR, "--codes", "vq", "--set", "classes=9", "--data", "twelve.npz"), "so labels are 0 to 8, got 0 to 11"),
    (
        (*PRIOR, "--codes", "vq", "--set", "classes=9", "--data", "unlabelled.npy"),
        "there are none: give labelled data, or leave classes out",
    ),
    ((*PRIOR, "--codes", "vq", "--latent-dim", "2"), "unknown option of pixelcnn 'latent_dim'"),
    ((*PRIOR[:2], "--codes", "vq", "--out", "pixels", "--resume"), "the run in pixels was not trained on codes"),
    (("train", "pixelcnn", "--out", "prior", "--resume", "--set", "levels=9"), "the run in prior has levels=8, not 9"),
    (("sample", "vq"), "vq-vae has no prior: train one on its codes with tinyae train pixelcnn --codes RUN"),
    (("sample", "plain", "--labels", "1"), "pixelcnn samples without labels: leave --labels out"),
    (("sample", "prior", "--labels", "10"), "unknown class of pixelcnn '10'"),
    (("sample", "prior", "-n", "1000000000000"), "not enough memory"),
    (("sample", "prior", "--temperature", "0"), "--temperature: expected a number above 0, got 0"),
    (("sample", "prior", "--temperature", "hot"), "--temperature: expected a number, got 'hot'"),
    (("sample", "prior", "--top-k", "9"), "--top-k: expected an integer from 0 to 8, got 9"),
    (("sample", "vae", "--temperature", "2"), "--temperature is for pixelcnn, and this is a run of vae: leave it out"),
    (("sample", "vae", "--top-k", "2"), "--top-k is for pixelcnn, and this is a run of vae"),
    (("evaluate", "vq", "--probe"), f"--probe: {NO_VECTORS}"),
    (("evaluate", "vq", "--disentanglement"), f"--disentanglement: {NO_VECTORS}"),
    (("evaluate", "vq", "--samples", "3"), "vq-vae has no likelihood p(x)"),
    (("evaluate", "vq", "--parzen"), "vq-vae has no prior"),
    (("evaluate", "prior", "--data", "unlabelled.npy"), "there are none: give labelled data, or leave classes out"),
    (("evaluate", "prior", "--data", "fashion-mini"), "fashion-mini has classes that pixelcnn does not have"),
    (("reconstruct", "prior"), NO_CODES),
    (("encode", "pixels"), NO_CODES),
    *(
        (("evaluate", run, *option), f"{option[0]}: {NO_CODES} and no reconstructions")
        for run in ("prior", "pixels")
        for option in (("--quality",), ("--probe",), ("--parzen",), ("--samples", "2"), ("--held-out", "1"))
    ),
    *(
        ((*command, run), message)
        for command in (("interpolate",), ("traverse",), ("manifold",), ("map",), ("neighbours",), ("transfer",),
                        ("arithmetic", "--add", "1"))
        for run, message in (("vq", NO_VECTORS), ("prior", NO_CODES), ("pixels", NO_CODES))
    ),
]  # fmt: skip


@pytest.mark.parametrize("words, message", REFUSALS, ids=[" ".join(map(str, words)) for words, _ in REFUSALS])
def test_what_cannot_be_done_is_said_in_one_line(words, message, here, capsys):
    refuses(words, message, here, capsys)


def lose(path):
    os.remove(path)


def mistake(path):
    shutil.copy("prior/best.npz", path)


def exchange(path):
    """By a vq-vae of the same options and shapes."""
    other = tinyae.load(path)
    other.store.flat[0] += 1
    other.save(path)


def damage(path):
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("command", [("sample", "prior"), ("train", "pixelcnn", "--out", "prior", "--resume")])
@pytest.mark.parametrize(
    "change, message",
    [
        (lose, "is a model of codes, and the vq-vae that made them is not next to it: copy best.npz of its run to"),
        (mistake, "prior/vq-vae.npz holds pixelcnn, not the vq-vae that made the codes"),
        (exchange, "prior/vq-vae.npz is another vq-vae than the one that made the codes of prior/"),
        (damage, "prior/vq-vae.npz is corrupted"),
    ],
)
def test_a_prior_whose_vq_vae_is_not_there(change, message, command, moved, capsys):
    change(moved / "prior" / "vq-vae.npz")
    call(*command, code=2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said


def test_another_vq_vae_is_not_taken_for_the_run_s_own(place, moved, capsys):
    call(*VQ, "--seed", 1, "--out", "other")
    capsys.readouterr()
    call("train", "pixelcnn", "--codes", "other", "--out", "prior", "--resume", code=2)
    why = "the run in prior was trained on codes of another vq-vae than other: leave --codes out"
    assert why in capsys.readouterr().err


def test_a_prior_that_diverges_says_so_and_keeps_its_vq_vae(place, tmp_path, capsys):
    words = ("--codes", place / "vq", "--no-pictures", "--lr", 1e38, "--epochs", 3, "--out", tmp_path / "p")
    call(*PRIOR, *words, code=3)
    assert "training diverged" in capsys.readouterr().err
    assert (tmp_path / "p" / "vq-vae.npz").exists()
