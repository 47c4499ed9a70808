"""`gan` on the command line: training with its pictures, samples, walks from drawn codes, diversity, and refusals."""

import contextlib
import json

import numpy as np
import pytest

import tinyae
from tinyae import cli
from tinyae.evaluation import dense_probe
from tinyae.evaluation.diversity import nearest_images

TRAIN = ("train", "gan", "--data", "digits", "--epochs", 2, "--set", "hidden=16")


def call(*words, code=0):
    assert cli.main([str(word) for word in words]) == code


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs `gan` and `critic` on digits, and `rows` on numbers without labels."""
    folder = tmp_path_factory.mktemp("place")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(60, 7)))
    with contextlib.chdir(folder):
        call(*TRAIN, "--latent-dim", 2, "--out", "gan")
        wasserstein = ("--set", "loss=wasserstein", "--set", "network=conv", "--set", "channels=4")
        call(*TRAIN, *wasserstein, "--no-pictures", "--out", "critic")
        options = ("--standardize", "--set", "output=linear", "--epochs", 1)
        call("train", "gan", "--data", "rows.npy", *options, "--out", "rows")
    return folder


@pytest.fixture
def quick_probe(monkeypatch):
    monkeypatch.setattr(dense_probe, "STEPS", 100)


def told(capsys, *words):
    capsys.readouterr()
    call(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_pictures_are_those_of_a_model_without_an_encoder(here):
    assert {path.name for path in here.glob("gan/*.png")} == {"samples.png", "manifold.png", "curves.png"}
    assert {path.name for path in here.glob("rows/*.png")} == {"curves.png"}


def test_metrics_have_the_terms_and_the_spread(here):
    for run, terms in (("gan", {"discriminator", "accuracy", "loss"}),
                       ("critic", {"discriminator", "distance", "penalty", "loss"})):  # fmt: skip
        record = json.loads((here / run / "metrics.jsonl").read_text().splitlines()[-1])
        assert set(record["train"]) == set(record["test"]) == terms and record["spread"] > 0


def test_samples(here, tmp_path):
    call("sample", "gan", "-n", 4, "--seed", 3, "--out", tmp_path / "s.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), tinyae.load("gan").sample(4, seed=3))


def test_interpolation_is_between_draws_of_the_prior(here, capsys, tmp_path):
    found = told(capsys, "interpolate", "gan", "--index", 5, 1, "--path", "linear", "--out", tmp_path / "i.npz")
    model, walk = tinyae.load("gan"), np.load(tmp_path / "i.npz")
    drawn = model.sample(6)
    np.testing.assert_allclose(walk["x"][0, [0, -1]], drawn[[5, 1]], rtol=1e-5, atol=1e-6)
    assert (found["walks"][0]["from"], found["walks"][0]["to"]) == (5, 1)
    np.savez(tmp_path / "codes.npz", codes=model.draw_prior(2, seed=9))
    call("interpolate", "gan", "--codes", tmp_path / "codes.npz", "--out", tmp_path / "i.png")
    assert (tmp_path / "i.png").stat().st_size > 0


@pytest.mark.parametrize("words, index", (((), 0), (("--index", 3), 3)))
def test_a_traversal_starts_from_a_draw_of_the_prior(words, index, here, capsys, tmp_path):
    """Like an interpolation, and not from the mean, which no draw in many dimensions lies near."""
    found = told(capsys, "traverse", "critic", *words, "--dims", 2, 5, "--steps", 3, "--out", tmp_path / "t.npz")
    model, walk = tinyae.load("critic"), np.load(tmp_path / "t.npz")
    expected = np.tile(model.draw_prior(index + 1)[index], (2, 3, 1))
    for row, i in enumerate((1, 4)):
        expected[row, :, i] = -3, 0, 3
    np.testing.assert_allclose(walk["codes"], expected, rtol=1e-5)
    np.testing.assert_allclose(walk["x"][1], model.decode(walk["codes"][1]), rtol=1e-5, atol=1e-6)
    assert found["start"] == f"code {index}"


def test_a_manifold_lies_around_a_draw_of_the_prior(here, tmp_path):
    call("manifold", "critic", "--side", 3, "--dims", 1, 2, "--out", tmp_path / "m.npz")
    model, codes = tinyae.load("critic"), np.load(tmp_path / "m.npz")["codes"]
    np.testing.assert_allclose(codes[..., 2:], np.tile(model.draw_prior(1)[0, 2:], (3, 3, 1)), rtol=1e-5)
    np.testing.assert_allclose(codes[:, :, 0], np.tile(np.array([-1.6449, 0, 1.6449]), (3, 1)), atol=1e-3)


@pytest.mark.parametrize("command", (("traverse", "--dims", 1, 2), ("traverse",), ("manifold", "--side", 3)))
def test_walks_that_need_no_images(command, here, tmp_path):
    call(command[0], "critic", *command[1:], "--out", tmp_path / "walk.png")
    assert (tmp_path / "walk.png").stat().st_size > 0


def test_diversity(here, capsys, quick_probe):
    found, data = told(capsys, "evaluate", "gan", "--diversity"), tinyae.data.load("digits")
    samples = tinyae.load("gan").sample(1000)
    for name, images in (("sample", samples), ("data", data.test.x)):
        expected = nearest_images(images, data.train.x)[1].mean()
        assert found[f"{name}_to_training"] == pytest.approx(expected, rel=1e-6)
        p = np.array(found[f"{name}_classes"])
        assert p.shape == (10,) and p.sum() == pytest.approx(1)
        assert found[f"{name}_class_entropy"] == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum())
    assert found["classifier_accuracy"] > 0.85
    few = [str(label) for label in range(10) if found["sample_classes"][label] < 0.1 * found["data_classes"][label]]
    assert found.get("notes", []) == ([f"rare among the samples: {', '.join(few)}"] if few else [])


def test_diversity_names_copies_and_classes_that_are_missing(here, capsys, monkeypatch, quick_probe):
    """A model that draws one training image."""
    copy = tinyae.data.load("digits").train.x[:1] / np.float32(255)
    monkeypatch.setattr(tinyae.models.GAN, "sample", lambda self, n, seed=0: np.repeat(copy, n, axis=0))
    found = told(capsys, "evaluate", "gan", "--diversity")
    copied, missing = found["notes"]
    assert found["sample_to_training"] == pytest.approx(0, abs=1e-7) and "perhaps memorised" in copied
    assert found["sample_class_entropy"] == 0
    assert missing.startswith("rare among the samples: ") and missing.count(",") == 8
    (note,) = [note for note in told(capsys, "evaluate", "gan", "--diversity", "--split", "train")["notes"]
               if "--split" in note]  # fmt: skip
    assert note == "images of the training split are at distance 0 from themselves: use --split test"


def test_diversity_without_labels_is_distances_alone(here, capsys):
    found = told(capsys, "evaluate", "rows", "--split", "train", "--diversity")
    assert found["data_to_training"] == pytest.approx(0, abs=1e-7) and found["sample_to_training"] > 0.1
    assert not any("class" in name for name in found)


@pytest.mark.parametrize(
    "words",
    [
        ("encode",), ("reconstruct",), ("neighbours",), ("map",), ("arithmetic", "--add", 3),
        ("evaluate", "--quality"), ("evaluate", "--probe"), ("evaluate", "--held-out", 3),
    ],
)  # fmt: skip
def test_what_needs_an_encoder_is_refused_in_one_line(words, here, capsys):
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    call(words[0], "gan", *words[1:], code=2)
    said = capsys.readouterr()
    assert said.out == "" and "gan has no encoder, it draws from noise: use tinyae sample, or" in said.err
    assert said.err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


@pytest.mark.parametrize(
    "words, message",
    [
        (("train", "gan", "--set", "loss=hinge"), "unknown loss 'hinge'"),
        (("train", "gan", "--set", "smoothing=0.7"), "smoothing: expected a number of at least 0 and below 0.5, got"),
        (("train", "gan", "--data", "rows.npy"), "output=sigmoid needs [0, 1]: use output=linear"),
        (("interpolate", "gan", "--index", 1), "an interpolation needs pairs of images"),
        (("evaluate", "gan", "--samples", 3), "gan has no likelihood p(x)"),
    ],
)
def test_bad_input_is_one_line(words, message, here, capsys):
    call(*words, *(("--out", "none") if words[0] == "train" else ()), code=2)
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not (here / "none").exists()
