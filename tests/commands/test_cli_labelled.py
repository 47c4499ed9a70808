"""Models with labels and the options of beta-vae and the likelihoods on the command line; their pictures."""

import contextlib
import json

import numpy as np
import pytest
from command_line import refuses

import tinyae
from tinyae import cli, plot

TINY = ("--data", "digits", "--epochs", "1", "--set", "hidden=12", "--latent-dim", 2)
NAMES = ("cvae", "class-mean-vae")
each_model = pytest.mark.parametrize("name", NAMES)


def call(*words):
    assert cli.main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run of each model on digits, with pictures, one of `vae`, and rows without labels."""
    folder = tmp_path_factory.mktemp("place")
    np.save(folder / "images.npy", np.random.default_rng(0).random((30, 8, 8, 1), dtype="float32"))
    labels = np.arange(30) % 12
    np.savez(folder / "twelve.npz", x=np.zeros((30, 8, 8, 1), "uint8"), labels=labels)
    with contextlib.chdir(folder):
        for name in NAMES:
            call("train", name, *TINY, "--out", name)
        call("train", "vae", *TINY, "--no-pictures", "--out", "vae")
    return folder


@each_model
def test_training_leaves_the_pictures_of_a_model_with_labels(name, here):
    made = {path.name for path in (here / name).glob("*.png")}
    both = {"reconstructions.png", "samples.png", "styles.png", "transfers.png", "codes.png", "curves.png"}
    assert made == both | ({"manifold.png"} if name == "class-mean-vae" else set())


@each_model
def test_metrics_have_the_kl_per_dimension(name, here):
    record = json.loads((here / name / "metrics.jsonl").read_text().splitlines()[-1])
    assert len(record["kl_per_dimension"]) == 2 and sum(record["kl_per_dimension"]) > 0


@each_model
def test_the_number_of_classes_follows_from_the_data(name, here, tmp_path):
    assert tinyae.load(name).classes == 10
    call("train", name, "--data", "twelve.npz", "--epochs", 1, "--set", "hidden=4", "--out", tmp_path / "run")
    assert tinyae.load(tmp_path / "run").classes == 12


@each_model
def test_resume_keeps_the_classes(name, here, tmp_path):
    run = ("--out", tmp_path / "run", "--no-pictures")
    call("train", name, *TINY, *run)
    call("train", name, "--epochs", 2, "--resume", *run)
    assert tinyae.load(tmp_path / "run").classes == 10


@each_model
def test_sample_draws_the_classes_asked_for(name, here, tmp_path):
    model, out = tinyae.load(name), tmp_path / "x.npy"
    for option, labels in (((), np.arange(6)), (("--labels", "3"), [3] * 6), (("--labels", "7,1"), [7, 1] * 3)):
        call("sample", name, "-n", 6, "--seed", 2, *option, "--out", out)
        np.testing.assert_array_equal(np.load(out), model.sample(6, seed=2, labels=labels))
    call("sample", name, "--out", tmp_path / "x.png")


@each_model
def test_reconstruct_encode_and_evaluate_use_the_datas_labels(name, here, tmp_path, capsys):
    model, test = tinyae.load(name), tinyae.data.load("digits").test
    call("reconstruct", name, "--out", tmp_path / "x.npy")
    again = model.reconstruct(test.x, **model.label_arguments(test.labels))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), again)
    call("reconstruct", name, "-n", 4, "--out", tmp_path / "x.png")
    call("encode", name, "--split", "test", "--out", tmp_path / "z.npz")
    expected = model.encode(test.x, **model.label_arguments(test.labels))
    np.testing.assert_array_equal(np.load(tmp_path / "z.npz")["codes"], expected)
    capsys.readouterr()
    call("evaluate", name, "--samples", 2, "--quality", "--probe", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["elbo"] == pytest.approx(-answer["loss"]) and answer["log_likelihood"] > answer["elbo"] - 1
    assert sum(answer["kl_per_dimension"]) == pytest.approx(answer["kl"], rel=1e-5)
    assert answer["rms"] > 0 and 0 < answer["probe_accuracy"] <= 1


def test_the_elbo_of_a_beta_vae_and_of_many_draws_is_that_of_its_terms(here, tmp_path, capsys):
    digits = ("--data", "digits", "--epochs", 1, "--no-pictures", "--set", "hidden=8")
    call("train", "beta-vae", *digits, "--set", "beta=4", "--out", tmp_path / "beta")
    call("train", "vae", *digits, "--set", "samples=4", "--out", tmp_path / "iwae")
    for run, extra in (("beta", "penalty"), ("iwae", "gain")):
        capsys.readouterr()
        call("evaluate", tmp_path / run, "--json")
        answer = json.loads(capsys.readouterr().out)
        assert answer["elbo"] == pytest.approx(-answer["reconstruction"] - answer["kl"])
        assert answer["loss"] == pytest.approx(answer["reconstruction"] + answer["kl"] + answer[extra])


def test_every_option_of_beta_vae_can_be_set(here, tmp_path):
    sets = "beta=2.5 warmup=cyclical warmup_steps=9 capacity=3 capacity_steps=7 network=burgess likelihood=laplace"
    options = [word for text in sets.split() for word in ("--set", text)]
    out = tmp_path / "run"
    call("train", "beta-vae", "--data", "images.npy", "--epochs", 1, "--no-pictures", *options, "--out", out)
    config = tinyae.load(out).config
    assert (config["beta"], config["warmup"], config["capacity"], config["network"]) == (2.5, "cyclical", 3, "burgess")


REFUSALS = [
    (("train", "cvae", "--data", "images.npy"), "cvae needs labels, and there are none: give labelled data"),
    (("train", "cvae", *TINY, "--set", "classes=3"), "cvae has 3 classes, so labels are 0 to 2, got 0 to 9"),
    (("train", "beta-vae", *TINY, "--set", "warmup=liner"), "unknown warmup 'liner': did you mean 'linear'?"),
    (("train", "beta-vae", *TINY, "--set", "beta=-1"), "beta: expected a number of at least 0, got -1.0"),
    (("train", "vae", *TINY, "--set", "samples=0"), "samples: expected an integer from 1 to 16777216, got 0"),
    (("sample", "cvae", "--labels", "12"), "unknown class of cvae '12'"),
    (("sample", "cvae", "--labels", "three"), "unknown class of cvae 'three'"),
    (("sample", "cvae", "-n", "9" * 20), "not enough memory"),
    (("sample", "cvae", "-n", 10**12, "--out", "a.npy"), "not enough memory"),
    (("sample", "vae", "--labels", "3"), "vae samples without labels: leave --labels out"),
    (("reconstruct", "cvae", "--data", "images.npy", "--split", "train"), "cvae needs labels, and there are none"),
    (("evaluate", "class-mean-vae", "--data", "images.npy", "--split", "train"), "class-mean-vae needs labels"),
    (("evaluate", "cvae", "--data", "twelve.npz", "--split", "train"), "so labels are 0 to 9, got 0 to 11"),
    (("compare", "vae", "cvae"), "cvae: its decoder needs labels, which random codes do not have: leave this run out"),
]


@pytest.mark.parametrize("words, message", REFUSALS, ids=[" ".join(map(str, words)) for words, _ in REFUSALS])
def test_what_cannot_be_done_is_said_in_one_line(words, message, here, capsys):
    refuses(words, message, here, capsys)


# pictures


def cells(path):
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


@each_model
def test_styles_show_the_mean_style_first_and_one_style_a_row(name, here, tmp_path, monkeypatch):
    from tinyae.plot import style_sheet

    model, test = tinyae.load(name), tinyae.data.load("digits").test
    drawn = {}
    monkeypatch.setattr(style_sheet, "grid", lambda path, images, columns, **words: drawn.update(locals()) or path)
    plot.styles(tmp_path / "styles.png", model)
    shown = drawn["images"].reshape(style_sheet.ROWS, 10, 8, 8, 1)
    np.testing.assert_array_equal(shown[0], model.across(np.zeros((1, 2), "float32"))[0])
    assert drawn["words"]["column_labels"] == list("0123456789") and drawn["columns"] == 10

    plot.transfers(tmp_path / "transfers.png", model, test.x[:3], test.labels[:3], [f"digit {i}" for i in range(10)])
    shown = drawn["images"].reshape(3, 11, 8, 8, 1)
    np.testing.assert_allclose(shown[:, 0], test.x[:3] / 255, rtol=1e-6)
    np.testing.assert_allclose(shown[:, 1:], model.across(model.style(test.x[:3], test.labels[:3])), rtol=1e-5)
    own = shown[np.arange(3), 1 + test.labels[:3]]
    np.testing.assert_allclose(own, model.reconstruct(test.x[:3], **model.label_arguments(test.labels[:3])), atol=1e-5)
    assert drawn["words"]["column_labels"][:2] == ["image", "digit 0"]


def test_many_classes_are_cut_to_what_a_page_holds(tmp_path):
    model = tinyae.models.CVAE(input_shape=(3, 3, 1), latent_dim=2, classes=30, hidden=(4,))
    assert cells(plot.styles(tmp_path / "styles.png", model)).shape[1] < 2000


def test_class_means_are_marked_in_the_plane(tmp_path):
    z, labels = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 3
    means = np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, -1.0]])
    plain = cells(plot.scatter_codes(tmp_path / "plain.png", z, labels))
    marked = cells(plot.scatter_codes(tmp_path / "marked.png", z, labels, means=means))
    assert plain.shape == marked.shape and 100 < (plain != marked).sum() < 5000
