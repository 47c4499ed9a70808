"""Data with known factors from the command line: dSprites, and an .npz of one's own."""

import json

import numpy as np
import pytest
from command_line import refused, run

import tinyae
from tinyae.data import dsprites
from tinyae.evaluation.disentanglement import disentanglement


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run on 3,000 sprites cut to 16 x 16 pixels, with their factors, and one on images that have none."""
    folder = tmp_path_factory.mktemp("place")
    numbers = np.random.default_rng(0).integers(0, dsprites.COUNT, 3000)
    x = dsprites.images(numbers)[:].reshape(-1, 16, 4, 16, 4).max(axis=(2, 4))
    np.savez(folder / "sprites.npz", x=x, factors=dsprites.factors(numbers))
    options = ("--epochs", 3, "--set", "hidden=32", "--no-pictures", "--latent-dim", 5)
    run("train", "beta-vae", "--data", "sprites.npz", *options, "--out", "run", cwd=folder)
    run("train", "ae", "--data", "digits", *options, "--out", "none", cwd=folder)
    return folder


def test_evaluate_answers_what_the_functions_give(place):
    found = json.loads(run("evaluate", "run", "--disentanglement", "--json", cwd=place).stdout)
    part = tinyae.data.load(place / "sprites.npz").test
    report = disentanglement(tinyae.load(place / "run").encode, part.x, part.factors)
    assert found["higgins"] == pytest.approx(report["higgins"]) and found["mig"] == pytest.approx(report["mig"])
    assert [found[f"gap_{k}"] for k in range(1, 6)] == pytest.approx(report["gaps"])


def test_it_is_no_part_of_the_answer_unasked(place):
    assert not {"higgins", "mig", "gap_1"} & json.loads(run("evaluate", "run", "--json", cwd=place).stdout).keys()


def test_factors_have_names_where_the_data_set_has(place):
    """A run on other images of 64 x 64 pixels may be asked about dSprites."""
    np.save(place / "x.npy", dsprites.images()[::30_000])
    train = ("train", "ae", "--data", "x.npy", "--epochs", 1, "--set", "hidden=4", "--no-pictures", "--out", "large")
    run(*train, cwd=place)
    words = run("evaluate", "large", "--data", "dsprites", "--disentanglement", cwd=place).stdout
    assert all(f"gap {name}" in words for name in dsprites.FACTORS) and "10,000 images" in words


def test_data_without_factors_get_one_line(place):
    line = refused("evaluate", "none", "--disentanglement", cwd=place)
    assert "needs the factors" in line and "digits has none" in line


def test_there_is_nothing_to_fetch(place):
    assert "drawn by formula" in run("data", cwd=place).stdout
    assert "nothing to download" in refused("data", "fetch", "dsprites", cwd=place)
