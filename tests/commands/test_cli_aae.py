"""`aae` and `semi-aae` on the command line: training with its pictures, samples by label, what evaluate says."""

import contextlib
import json

import numpy as np
import pytest

import tinyae
from tinyae import cli

OPTIONS = ("--data", "digits", "--epochs", 2, "--set", "hidden=16", "--set", "units=16")
PICTURES = {"reconstructions.png", "samples.png", "codes.png", "curves.png"}


def call(*words, code=0):
    assert cli.main([str(word) for word in words]) == code


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs `plain`, `regions`, whose discriminator is told the labels, and `semi`."""
    folder = tmp_path_factory.mktemp("place")
    with contextlib.chdir(folder):
        call("train", "aae", *OPTIONS, "--out", "plain")
        call("train", "aae", *OPTIONS, "--set", "prior=ring", "--set", "classes=10", "--out", "regions")
        call("train", "semi-aae", *OPTIONS, "--set", "labelled=50", "--out", "semi")
    return folder


def told(capsys, *words):
    capsys.readouterr()
    call(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_pictures(here):
    found = {run: {path.name for path in here.glob(f"{run}/*.png")} for run in ("plain", "regions", "semi")}
    assert found["plain"] == PICTURES | {"manifold.png"} == found["regions"]
    assert found["semi"] == PICTURES | {"styles.png", "transfers.png"}


def test_samples_of_a_class(here, tmp_path):
    for run in ("regions", "semi"):
        call("sample", run, "--labels", "3,7", "-n", 4, "--seed", 2, "--out", tmp_path / "s.npz")
        expected = tinyae.load(run).sample(4, seed=2, labels=[3, 7, 3, 7])
        np.testing.assert_array_equal(np.load(tmp_path / "s.npz")["x"], expected)
        call("sample", run, "--out", tmp_path / "s.png")
    call("sample", "plain", "--labels", "3", code=2)


def test_evaluate_says_how_many_are_classified_right(here, capsys):
    found, data = told(capsys, "evaluate", "semi"), tinyae.data.load("digits")
    right = (tinyae.load("semi").classify(data.test.x) == data.test.labels).mean()
    assert found["classified"] == pytest.approx(right)
    terms = {"loss", "reconstruction", "discriminator", "accuracy", "generator"}
    assert terms <= told(capsys, "evaluate", "regions").keys()


@pytest.mark.parametrize("words", (("transfer", "semi"), ("manifold", "plain"), ("map", "regions"),
                                   ("compare", "plain", "regions", "semi")))  # fmt: skip
def test_what_else_draws(here, tmp_path, words):
    call(*words, "--out", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_what_has_no_style_is_refused(here, capsys):
    call("transfer", "regions", code=2)
    why = "aae takes no labels to decode a style with: train cvae or class-mean-vae"
    assert capsys.readouterr().err == f"tinyae: {why}\n"
