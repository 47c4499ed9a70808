"""The commands on codes: what they answer is what the functions give, and one line for whatever is wrong."""

import contextlib
import json
import os

import numpy as np
import pytest
from command_line import contents

import tinyae
from tinyae import cli, explore
from tinyae.evaluation import dense_probe

TINY = ("--data", "digits", "--epochs", "1", "--set", "hidden=16", "--no-pictures", "--latent-dim")
COMMANDS = ("interpolate", "traverse", "manifold", "map", "arithmetic", "neighbours")
REQUIRED = {"arithmetic": ("--add", "3")}


def call(*words):
    assert cli.main([str(word) for word in words]) == 0


def answer(capsys, *words):
    capsys.readouterr()
    call(*words, "--json")
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with four runs: `vae` and `ae` on digits, `flat` with one dimension, `table` on rows without labels."""
    folder = tmp_path_factory.mktemp("place")
    np.save(folder / "rows.npy", np.random.default_rng(0).random((300, 7), dtype="float32"))
    labels = np.arange(100) % 25
    np.savez(folder / "many.npz", x=np.random.default_rng(0).random((100, 8, 8, 1), dtype="float32"), labels=labels)
    np.savez(folder / "one.npz", x=np.zeros((30, 8, 8, 1), "uint8"), labels=np.zeros(30, int))
    np.save(folder / "three.npy", np.ones((3, 4), "float32"))
    np.save(folder / "fives.npy", np.ones((4, 5), "float32"))
    np.save(folder / "nan.npy", np.full((2, 4), np.nan))
    np.savez(folder / "nothing.npz", x=np.ones((4, 5)))
    with contextlib.chdir(folder):
        call("train", "vae", *TINY, 4, "--out", "vae")
        call("train", "ae", *TINY, 3, "--out", "ae")
        call("train", "ae", *TINY, 1, "--out", "flat")
        call("train", "vae", "--data", "rows.npy", "--epochs", 1, "--no-pictures", "--out", "table")
    return folder


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(dense_probe, "STEPS", 100)


@pytest.fixture
def test():
    return tinyae.data.load("digits").test


@pytest.mark.parametrize("run", ["vae", "ae"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_of_each(name, run, here, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    facts = answer(capsys, name, run, *REQUIRED.get(name, ()), "--out", tmp_path / "p.png")
    assert (facts["model"], facts["out"]) == (run, str(tmp_path / "p.png"))
    with image.open(tmp_path / "p.png") as picture:
        assert 500 < picture.width < 1700 and 300 < picture.height < 1700
        levels = np.asarray(picture.convert("L"))
    assert len(np.unique(levels)) > 50


# interpolate


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolations_are_the_functions_walks_decoded(path, here, tmp_path, test, capsys):
    out = tmp_path / "i.npz"
    words = ("--path", path, "--index", 3, 5, 8, 13, "--steps", 4, "--out", out)
    facts = answer(capsys, "interpolate", "vae", *words)["walks"]
    model, saved = tinyae.load("vae"), np.load(out)
    codes = model.encode(test.x[[3, 5, 8, 13]])
    expected = [getattr(explore, path)(codes[i], codes[i + 1], 4) for i in (0, 2)]
    np.testing.assert_array_equal(saved["codes"], expected)
    np.testing.assert_allclose(saved["x"], [model.decode(walk) for walk in expected], rtol=1e-5, atol=1e-7)
    assert [(row["from"], row["to"], row["path"]) for row in facts] == [(3, 5, path), (8, 13, path)]
    np.testing.assert_allclose(facts[1]["norms"], np.linalg.norm(expected[1], axis=1), rtol=1e-5)


def test_interpolations_between_codes_from_a_file(here, tmp_path, test):
    model = tinyae.load("vae")
    call("encode", "vae", "--split", "test", "--out", tmp_path / "codes.npz")
    np.save(tmp_path / "codes.npy", model.encode(test.x))
    for name in ("codes.npz", "codes.npy"):
        words = ("--codes", tmp_path / name, "--index", 7, 2, "--path", "linear", "--out", tmp_path / "i.npy")
        call("interpolate", "vae", *words)
        images = np.load(tmp_path / "i.npy")
        assert images.shape == (1, 10, 8, 8, 1)
        np.testing.assert_allclose(images[0, [0, -1]], model.reconstruct(test.x[[7, 2]]), rtol=1e-4, atol=1e-6)


# traverse


@pytest.mark.parametrize("run", ["vae", "ae"])
def test_traversals_are_sorted_and_say_how_much(run, here, tmp_path, test, capsys):
    facts = answer(capsys, "traverse", run, "--steps", 3, "--range", 2, "--out", tmp_path / "t.npz")
    model = tinyae.load(run)
    measured = explore.dimensions(model, test.x)
    assert [row["dimension"] - 1 for row in facts["dimensions"]] == measured.order.tolist()
    told = [row[measured.measure] for row in facts["dimensions"]]
    np.testing.assert_allclose(told, measured.relevance[measured.order], rtol=1e-5)
    codes = np.load(tmp_path / "t.npz")["codes"]
    expected = np.tile(measured.centre, (model.latent_dim, 3, 1))
    for row, i in enumerate(measured.order):
        expected[row, :, i] += np.array([-2, 0, 2]) * measured.scale[i]
    np.testing.assert_allclose(codes, expected, rtol=1e-5, atol=1e-6)


def test_a_traversal_from_an_image_of_chosen_dimensions(here, tmp_path, test, capsys):
    facts = answer(capsys, "traverse", "vae", "--index", 9, "--dims", 2, 4, "--steps", 2, "--out", tmp_path / "t.npz")
    model, codes = tinyae.load("vae"), np.load(tmp_path / "t.npz")["codes"]
    order = [row["dimension"] - 1 for row in facts["dimensions"] if row["dimension"] in (2, 4)]
    start = model.encode(test.x[[9]])[0]
    for row, i in enumerate(order):
        np.testing.assert_array_equal(codes[row, :, i], [-3, 3])
        np.testing.assert_array_equal(np.delete(codes[row], i, axis=1), [np.delete(start, i)] * 2)
    assert facts["start"] == f"{test.labels[9]} #9"


# planes


def test_the_manifold_takes_the_two_dimensions_that_say_most(here, tmp_path, test, capsys):
    facts = answer(capsys, "manifold", "vae", "--side", 3, "--out", tmp_path / "m.npz")
    order = explore.dimensions(tinyae.load("vae"), test.x).order[:2]
    assert facts["dimensions"] == sorted((order + 1).tolist())
    points, _ = explore.plane(3, 4, sorted(order))
    np.testing.assert_allclose(np.load(tmp_path / "m.npz")["codes"], points)
    assert answer(capsys, "manifold", "vae", "--dims", 4, 1, "--out", tmp_path / "m.npz")["dimensions"] == [4, 1]


def test_the_manifold_of_an_ae_lies_where_its_codes_lie(here, tmp_path, test):
    call("manifold", "ae", "--dims", 1, 2, "--side", 2, "--out", tmp_path / "m.npz")
    codes, points = tinyae.load("ae").encode(test.x), np.load(tmp_path / "m.npz")["codes"]
    np.testing.assert_allclose(points[1, :, 0], np.quantile(codes[:, 0], [0.05, 0.95]), rtol=1e-5)
    np.testing.assert_allclose(points[..., 2], codes[:, 2].mean(), rtol=1e-5)


def test_the_map_says_how_right_its_probe_is(here, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    facts = answer(capsys, "map", "vae", "--dims", 1, 2, "--out", tmp_path / "m.png")
    assert facts["dimensions"] == [1, 2] and facts["probed"] == 72  # a fifth of 360
    assert 0.1 < facts["probe_accuracy"] < 1


def test_a_map_of_too_few_images_says_how_many_it_needs(here, tmp_path, capsys):
    np.savez(tmp_path / "few.npz", x_train=np.zeros((4, 8, 8)), x_test=np.zeros((2, 8, 8)), y_train=[0, 1, 0, 1],
             y_test=[0, 1])  # fmt: skip
    assert cli.main(["map", "vae", "--data", str(tmp_path / "few.npz"), "--out", str(tmp_path / "m.png")]) == 2
    why = "the test split of few has 2 images, and a map needs 3: choose another split with --split"
    assert why in capsys.readouterr().err


# arithmetic


@pytest.mark.parametrize("minus", [None, 4])
def test_arithmetic_adds_the_difference_of_means(minus, here, tmp_path, test, capsys):
    words = ("--add", 7, *(() if minus is None else ("--subtract", minus)), "--strengths", -1, 0, 0.5)
    facts = answer(capsys, "arithmetic", "vae", *words, "--index", 1, 2, "--out", tmp_path / "a.npz")
    codes, saved = tinyae.load("vae").encode(test.x), np.load(tmp_path / "a.npz")
    without = test.labels != 7 if minus is None else test.labels == minus
    direction = codes[test.labels == 7].mean(axis=0) - codes[without].mean(axis=0)
    np.testing.assert_allclose(saved["direction"], direction, rtol=1e-5)
    np.testing.assert_allclose(saved["codes"][1], codes[2] + np.array([[-1], [0], [0.5]]) * direction, rtol=1e-4)
    assert facts["norm"] == pytest.approx(float(np.linalg.norm(direction)), rel=1e-5)
    assert facts["subtract"] == ("the others" if minus is None else "4")


def test_arithmetic_starts_from_images_without_the_attribute(here, tmp_path, test, capsys):
    facts = answer(capsys, "arithmetic", "ae", "--add", 7, "--subtract", 4, "--out", tmp_path / "a.npz")
    assert facts["images"] == np.flatnonzero(test.labels == 4)[:6].tolist()


# neighbours


def test_neighbours_are_the_nearest_others(here, tmp_path, test, capsys):
    facts = answer(capsys, "neighbours", "vae", "--index", 11, 0, "-k", 3, "--out", tmp_path / "n.npz")
    codes = tinyae.load("vae").encode(test.x).astype("float64")
    assert facts["images"] == [11, 0]
    for query, found, far in zip((11, 0), facts["neighbours"], facts["distances"], strict=True):
        distances = np.linalg.norm(codes - codes[query], axis=1)
        distances[query] = np.inf
        assert found == np.argsort(distances, kind="stable")[:3].tolist()
        np.testing.assert_allclose(far, np.sort(distances)[:3], rtol=1e-6)
    np.testing.assert_allclose(np.load(tmp_path / "n.npz")["x"][1, 0], test.x[0] / 255, rtol=1e-6)


def test_among_equals_an_image_is_not_its_own_neighbour(here, tmp_path, capsys):
    words = ("--data", "one.npz", "--split", "train", "--index", 0, 4, 9, "-k", 2, "--out", tmp_path / "n.npz")
    facts = answer(capsys, "neighbours", "vae", *words)
    assert facts["neighbours"] == [[1, 2], [0, 1], [0, 1]] and facts["distances"] == [[0, 0]] * 3


# result files and refusals


def test_they_answer_beside_the_run(here, tmp_path, capsys):
    pytest.importorskip("PIL")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "last.npz").write_bytes((here / "vae" / "last.npz").read_bytes())
    call("interpolate", tmp_path / "r")
    assert capsys.readouterr().out == f"{tmp_path / 'r' / 'interpolation.png'}\n"
    assert (tmp_path / "r" / "interpolation.png").exists()


def test_rows_that_are_no_images_give_arrays(here, tmp_path):
    for name in ("interpolate", "traverse", "neighbours", "manifold"):
        call(name, "table", "--out", tmp_path / f"{name}.npz")
        assert np.load(tmp_path / f"{name}.npz")["x"].shape[2:] == (7,)


REFUSED = [
    (("interpolate", "vae", "--index", 1, 360), "--index 360: the test split of digits has examples 0 to 359"),
    (("interpolate", "vae", "--index", 1), "needs pairs of images, --index I J, got 1"),
    (("interpolate", "vae", "--index", -1, 2), "--index: expected an integer of at least 0, got '-1'"),
    (("interpolate", "vae", "--steps", 1), "--steps: expected an integer of at least 2"),
    (("interpolate", "vae", "--steps", 10**9), "--steps: expected an integer of at most 1000"),
    (("traverse", "vae", "--steps", 10**20), "--steps: expected an integer of at most 1000"),
    (("manifold", "vae", "--side", 10**20), "--side: expected an integer of at most 500"),
    (("interpolate", "vae", "--path", "curved"), "--path: invalid choice: 'curved'"),
    (("interpolate", "vae", "--codes", "gone.npy"), "gone.npy: no such file"),
    (("interpolate", "vae", "--codes", "nothing.npz"), "nothing.npz: holds no array named codes"),
    (("interpolate", "vae", "--codes", "three.npy", "--index", 1, 3), "--index 3: three.npy has codes 0 to 2"),
    (("interpolate", "vae", "--codes", "fives.npy"), "fives.npy: expected codes of shape (N, 4), got (4, 5)"),
    (("interpolate", "vae", "--codes", "nan.npy"), "nan.npy: some codes are NaN or infinite"),
    (("traverse", "vae", "--dims", 5), "dimension 5: vae has dimensions 1 to 4"),
    (("traverse", "vae", "--dims", 0), "--dims: expected an integer of at least 1"),
    (("traverse", "vae", "--range", "nan"), "--range: expected a number, got 'nan'"),
    (("traverse", "vae", "--range", "-2"), "--range -2: expected a number above 0"),
    (("traverse", "vae", "--index", 400), "--index 400: the test split of digits has examples 0 to 359"),
    (("manifold", "flat"), "a plane needs a code of at least two dimensions, ae has 1"),
    (("manifold", "vae", "--dims", 2, 2), "two different dimensions, got 2 and 2"),
    (("manifold", "vae", "--dims", 2), "--dims: expected 2 arguments"),
    (("map", "vae", "--data", "many.npz", "--dims", 1, 2), "colours tell at most 20 classes apart, the data have 25"),
    (("map", "vae", "--data", "one.npz", "--split", "train"), "needs examples of at least two classes"),
    (("map", "vae", "--out", "m.npz"), "--out m.npz: expected a file name that ends in .png"),
    (("map", "flat"), "a plane needs a code of at least two dimensions, ae has 1"),
    (("map", "table"), "pictures need images, and vae has examples of shape (7,)"),
    (("arithmetic", "vae"), "the following arguments are required: --add"),
    (("arithmetic", "vae", "--add", "ten"), "unknown class of digits 'ten': known: 0, 1, 2"),
    (("arithmetic", "vae", "--add", 3, "--subtract", 3), "--subtract 3 is the same class as --add"),
    (("arithmetic", "vae", "--add", 0, "--data", "one.npz"), "none of the 3 examples is without the attribute"),
    (("arithmetic", "table", "--add", 3, "--out", "a.npz"), "between classes, and rows has no labels"),
    (("arithmetic", "vae", "--add", 3, "--strengths", "much"), "--strengths: expected a number, got 'much'"),
    (("neighbours", "vae", "-k", 360), "-k 360: an image has only 359 others"),
    (("neighbours", "vae", "-k", 0), "-k: expected an integer of at least 1"),
    (("neighbours", "table"), "pictures need images, and vae has examples of shape (7,): write arrays, with --out"),
    *(((name, "vae", *REQUIRED.get(name, ()), "--data", "rows.npy"), "expected x of shape (N, 8, 8, 1), got ")
      for name in ("interpolate", "traverse", "neighbours")),
]  # fmt: skip


def test_codes_that_are_no_vectors_are_refused(here, monkeypatch, capsys):
    monkeypatch.setattr(tinyae.models.VAE, "encode", lambda self, x: np.zeros((len(x), 4, 4), int))
    for name in COMMANDS:
        assert cli.main([name, "vae", *REQUIRED.get(name, ())]) == 2
        assert capsys.readouterr().err == "tinyae: vae has no codes that are vectors of numbers\n"


@pytest.mark.parametrize("words, says", REFUSED, ids=[" ".join(map(str, words)) for words, _ in REFUSED])
def test_refused(words, says, here, capsys):
    """One line on stderr, nothing on stdout, and no file touched."""
    before = contents(here)
    assert cli.main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tinyae: ") and err.count("\n") == 1
    assert says in err
    assert contents(here) == before


# models that use labels


@pytest.fixture(scope="module")
def labelled(place):
    before = os.getcwd()
    os.chdir(place)
    try:
        for name in ("cvae", "class-mean-vae"):
            call("train", name, *TINY, 2, "--out", name)
    finally:
        os.chdir(before)


@pytest.mark.parametrize("name", [*COMMANDS, "transfer"])
@pytest.mark.parametrize("run", ["cvae", "class-mean-vae"])
def test_each_with_labels(name, run, labelled, here, tmp_path):
    pytest.importorskip("matplotlib")
    call(name, run, *REQUIRED.get(name, ()), "--out", tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_codes_are_decoded_as_the_class_they_were_encoded_with(labelled, here, tmp_path, test):
    model = tinyae.load("cvae")
    own = model.reconstruct(test.x[[4, 9]], test.labels[[4, 9]])
    call("interpolate", "cvae", "--index", 4, 9, "--path", "linear", "--out", tmp_path / "i.npz")
    saved = np.load(tmp_path / "i.npz")
    np.testing.assert_allclose(saved["x"][0, 0], own[0], rtol=1e-4, atol=1e-6)
    codes = model.encode(test.x[[4, 9]], test.labels[[4, 9]])
    np.testing.assert_allclose(saved["codes"][0, [0, -1]], codes, rtol=1e-5)
    np.testing.assert_allclose(saved["x"][0, -1:], model.decode(codes[1:], [test.labels[4]]), rtol=1e-4, atol=1e-6)
    call("traverse", "cvae", "--index", 4, "--dims", 1, "--steps", 2, "--label", 7, "--out", tmp_path / "t.npz")
    saved = np.load(tmp_path / "t.npz")
    np.testing.assert_allclose(saved["x"][0], model.decode(saved["codes"][0], [7, 7]), rtol=1e-4, atol=1e-6)
    call("arithmetic", "cvae", "--add", 1, "--index", 9, "--strengths", 0, "--out", tmp_path / "a.npy")
    np.testing.assert_allclose(np.load(tmp_path / "a.npy")[0], own[1:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("run", ["cvae", "class-mean-vae"])
def test_encode_tells_a_model_the_labels_that_it_needs(run, labelled, here, tmp_path, test):
    call("encode", run, "--split", "test", "--out", tmp_path / "c.npz")
    model = tinyae.load(run)
    np.testing.assert_array_equal(
        np.load(tmp_path / "c.npz")["codes"], model.encode(test.x, **model.label_arguments(test.labels))
    )


@pytest.mark.parametrize("run", ["cvae", "class-mean-vae"])
def test_a_style_moves_to_other_labels(run, labelled, here, tmp_path, test):
    call("transfer", run, "--index", 3, 5, "--to", 8, test.labels[3], "--out", tmp_path / "t.npz")
    model, saved = tinyae.load(run), np.load(tmp_path / "t.npz")
    assert saved["x"].shape == (2, 2, 8, 8, 1) and saved["labels"].tolist() == [8, test.labels[3]]
    own = model.reconstruct(test.x[[3]], **model.label_arguments(test.labels[[3]]))
    np.testing.assert_allclose(saved["x"][0, 1:], own, rtol=1e-4, atol=1e-5)  # to its own label: it comes back
    moved = model.styled(model.style(test.x[[5]], test.labels[[5]]), [8])
    np.testing.assert_allclose(saved["x"][1, :1], moved, rtol=1e-4, atol=1e-6)
    assert np.abs(saved["x"][0, 0] - saved["x"][0, 1]).max() > 1e-3
    call("transfer", run, "--index", 3, "--out", tmp_path / "t.npz")
    assert np.load(tmp_path / "t.npz")["labels"].tolist() == list(range(10))


@pytest.mark.parametrize(
    "words, says",
    [
        (("transfer", "vae"), "vae takes no labels to decode a style with: train cvae or class-mean-vae"),
        (("transfer", "cvae", "--to", "ten"), "unknown class of digits 'ten'"),
        (("transfer", "cvae", "--index", 360), "--index 360: the test split of digits has examples 0 to 359"),
        (("transfer", "cvae", "--data", "plain.npz"), "a style is what the label leaves out, and plain has no labels"),
        (("interpolate", "cvae", "--data", "plain.npz"), "cvae needs labels, and there are none: give labelled data"),
        (("traverse", "vae", "--label", 3), "--label 3: vae decodes without labels"),
        (("traverse", "cvae", "--label", "ten"), "unknown class of digits 'ten'"),
    ],
)
def test_refused_with_labels(words, says, labelled, here, tmp_path, capsys):
    np.savez("plain.npz", x=np.zeros((30, 8, 8, 1), "uint8"))
    test_refused(words, says, here, capsys)
