"""`tinyae evaluate`: what it answers on request, in words and as JSON, and what it refuses."""

import json

import numpy as np
import pytest
from command_line import refused, run

import tinyae
from tinyae.data.binarize import static
from tinyae.evaluation.anomaly import roc_auc, scores
from tinyae.evaluation.likelihood import importance_weighted
from tinyae.evaluation.quality import reconstruction_quality

TRAIN = ("--data", "digits", "--epochs", 4, "--set", "hidden=32", "--no-pictures")
ALL = ("--samples", 20, "--quality", "--parzen", "--probe", "--held-out", 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs `binary` (a VAE of static binary digits without the threes), `grey` and `ae`, and rows without labels."""
    folder = tmp_path_factory.mktemp("place")
    run("train", "vae", *TRAIN, "--binarize", "static", "--without-class", 3, "--out", "binary", cwd=folder)
    run("train", "vae", *TRAIN, "--out", "grey", cwd=folder)
    run("train", "ae", *TRAIN, "--latent-dim", 6, "--out", "ae", cwd=folder)
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(60, 7)))
    options = ("--data", "rows.npy", "--epochs", 1, "--no-pictures", "--set", "likelihood=gaussian")
    run("train", "vae", *options, "--out", "rows", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def digits():
    return tinyae.data.load("digits")


def answer(*arguments, cwd):
    return json.loads(run("evaluate", *arguments, "--json", cwd=cwd).stdout)


def test_everything_at_once_is_what_the_functions_give(place, digits):
    found = answer("binary", *ALL, cwd=place)
    model, x = tinyae.load(place / "binary"), static(digits.test.x, "test")
    bound = importance_weighted(model, x, 20)
    assert found["binarized"] is True and found["images"] == len(x) and "notes" not in found
    assert found["elbo"] == pytest.approx(-found["loss"]) == pytest.approx(-found["reconstruction"] - found["kl"])
    assert found["bits_per_dimension"] == pytest.approx(found["loss"] / 64 / np.log(2))
    assert found["log_likelihood"] == pytest.approx(bound.mean) and found["log_likelihood"] > found["elbo"]
    assert found["log_likelihood_standard_error"] == pytest.approx(bound.standard_error)
    assert found["log_likelihood_monte_carlo_error"] == pytest.approx(bound.monte_carlo_error)
    assert sum(found["kl_per_dimension"]) == pytest.approx(found["kl"], rel=1e-4)
    assert found["active_units"] == 2 == len(found["kl_per_dimension"])
    assert found["rms"] == pytest.approx(reconstruction_quality(model, x)["rms"])
    assert found["edge_rms"] > found["rms"] and "ssim" not in found  # 8 pixels a side
    odd = scores(model, x)["elbo"]
    assert found["auc_elbo"] == pytest.approx(roc_auc(odd, digits.test.labels == 3))
    assert 0.1 < found["probe_accuracy"] < 1 and 0.1 < found["neighbours_accuracy"] < 1
    assert 0.05 < found["parzen_bandwidth"] < 1 and found["parzen_standard_error"] > 0


def test_in_words(place):
    lines = run("evaluate", "binary", *ALL, cwd=place).stdout.splitlines()
    assert lines[0] == "vae on digits, test split, 360 images, binarized; nats, means per image"
    rows = {line[:36].strip(): line[36:].strip() for line in lines[1:]}
    found = answer("binary", *ALL, cwd=place)
    assert float(rows["log likelihood"]) == pytest.approx(found["log_likelihood"], abs=1e-4)
    assert rows["active units"] == "2" and rows["log likelihood samples"] == "20"
    assert [float(v) for v in rows["kl per dimension"].split()] == pytest.approx(
        sorted(found["kl_per_dimension"], reverse=True), abs=0.01
    )


def test_nothing_asked_nothing_more(place):
    asked = {"model", "data", "split", "images", "unit", "loss", "reconstruction"}
    assert answer("ae", cwd=place).keys() == asked
    variational = {"kl", "elbo", "active_units", "kl_per_dimension"}
    assert answer("rows", cwd=place).keys() == asked | variational


def test_standardised_columns_have_a_likelihood_in_their_own_units(place):
    options = ("--data", "rows.npy", "--epochs", 1, "--no-pictures", "--set", "likelihood=gaussian", "--standardize")
    run("train", "vae", *options, "--out", "standardised", cwd=place)
    (note,) = answer("standardised", cwd=place)["notes"]
    scale = tinyae.load(place / "standardised").standardization.scale
    assert note.endswith(f"in their original units, subtract {np.log(scale).sum():.4f} nats")


def test_an_autoencoder_has_all_but_a_likelihood(place):
    found = answer("ae", "--quality", "--probe", "--held-out", "3", cwd=place)
    assert found["probe_accuracy"] > 0.4 and found["neighbours_accuracy"] > 0.4
    assert "auc_error" in found and "auc_elbo" not in found
    assert found["notes"] == ["the model was trained on class 3 too (train --without-class)"]


@pytest.mark.parametrize("name", ("cvae", "class-mean-vae"))
def test_models_that_need_labels(name, place, digits):
    run("train", name, *TRAIN, "--out", name, cwd=place)
    found = answer(name, *ALL, cwd=place)
    model, x, labels = tinyae.load(place / name), digits.test.x, digits.test.labels
    assert found["log_likelihood"] == pytest.approx(importance_weighted(model, x, 20, labels).mean)
    assert found["rms"] == pytest.approx(reconstruction_quality(model, x, labels)["rms"])
    assert found["auc_error"] == pytest.approx(roc_auc(scores(model, x, labels)["error"], labels == 3))
    assert sum(found["kl_per_dimension"]) == pytest.approx(found["kl"], rel=1e-4)
    np.savez(place / "unlabelled.npz", x=x)
    assert f"{name} needs labels" in refused("evaluate", name, "--data", "unlabelled.npz", cwd=place)


def test_greys_under_a_bernoulli_are_no_likelihood(place):
    found = answer("grey", cwd=place)
    assert "bits_per_dimension" not in found and "grey values have no likelihood" in found["notes"][0]
    assert "  note: grey values have no likelihood" in run("evaluate", "grey", cwd=place).stdout


def test_other_seeds_are_other_draws(place):
    first, again, other = (answer("grey", "--samples", 3, "--seed", s, cwd=place)["log_likelihood"] for s in (0, 0, 1))
    assert first == again != other and other == pytest.approx(first, rel=0.01)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("ae", "--samples", "5"), "ae has no likelihood p(x): use a variational model such as 'vae'"),
        (("ae", "--parzen"), "ae has no prior to sample from"),
        (("rows", "--probe"), "--probe needs labels, and rows has none"),
        (("rows", "--held-out", "3"), "--held-out needs labels, and rows has none"),
        (("ae", "--held-out", "12"), "unknown class of digits '12'"),
        (("grey", "--samples", "0"), "--samples: expected an integer of at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_has_no_answer_gets_one_line(arguments, says, place):
    assert says in refused("evaluate", *arguments, cwd=place)
