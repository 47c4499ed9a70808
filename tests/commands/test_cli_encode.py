"""`tinyae encode`: the codes of all examples, and which ones they are of."""

import csv
import json

import numpy as np
import pytest

import tinyae
from tinyae import cli, data


def call(*words, code=0):
    assert cli.main(list(map(str, words))) == code


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A run on rows.csv, 30 rows of three numbers and a label; they are returned, in the folder that becomes ours."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, labels = rng.random((30, 3), "float32"), rng.integers(0, 3, 30)
    lines = (",".join([*map(repr, row.tolist()), str(label)]) for row, label in zip(x, labels, strict=True))
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,label", *lines]) + "\n")
    call("train", "ae", "--data", "rows.csv", "--epochs", 1, "--latent-dim", 2, "--no-pictures", "--out", "r")
    return x, labels


def test_all_rows_of_a_file_in_its_order(table, capsys):
    x, labels = table
    capsys.readouterr()
    call("encode", "r", "--out", "c.npz")
    out, err = capsys.readouterr()
    assert out == "c.npz\n" and "30 codes of rows: train 27, test 3\n" in err
    saved = np.load("c.npz")
    np.testing.assert_allclose(saved["codes"], tinyae.load("r").encode(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(saved["labels"], labels)
    np.testing.assert_array_equal(saved["rows"], np.arange(30))
    test = data.load("rows.csv").test
    np.testing.assert_array_equal(x[saved["rows"][saved["parts"] == "test"]], test.x)
    assert (saved["parts"] == "train").sum() == 27


def test_the_same_as_csv(table):
    call("encode", "r", "--out", "c.npz")
    call("encode", "r", "--out", "c.csv")
    with open("c.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["z1", "z2", "labels", "parts", "rows"]
    saved = np.load("c.npz")
    np.testing.assert_array_equal(np.array([row[:2] for row in rows], "float32"), saved["codes"])
    for i, row in enumerate(rows):
        assert row[2:] == [str(saved["labels"][i]), saved["parts"][i], str(i)]


def test_one_part_says_which_rows_it_is(table):
    x, _ = table
    call("encode", "r", "--split", "test", "--out", "c.npz")
    saved = np.load("c.npz")
    assert saved["parts"].tolist() == ["test"] * 3
    np.testing.assert_array_equal(x[saved["rows"]], data.load("rows.csv").test.x)


def test_for_programs(table, capsys):
    capsys.readouterr()
    call("encode", "r", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["parts"] == {"train": 27, "test": 3} and answer["codes"] == 30
    assert np.load(answer["out"])["codes"].shape == (30, 2)


def test_images_by_their_files_and_classes(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    names = [f"{kind}/{i}, {kind}.png" for kind in ("bird", "dog") for i in range(6)]
    for i, name in enumerate(names):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        image.new("L", (4, 4), 20 * i).save(tmp_path / "photos" / name)
    options = ("--set", "hidden=4", "--latent-dim", 1, "--epochs", 1, "--no-pictures", "--out", "r")
    call("train", "ae", "--data", "photos", *options)
    call("encode", "r", "--out", "c.csv")
    with open("c.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["files"] for row in rows] == names
    assert [row["classes"] for row in rows] == ["bird"] * 6 + ["dog"] * 6
    grey = np.repeat(np.uint8([20 * i for i in range(12)])[:, None], 16, axis=1).reshape(12, 4, 4, 1)
    expected = tinyae.load("r").encode(grey)
    np.testing.assert_allclose([[float(row["z1"])] for row in rows], expected, rtol=1e-5, atol=1e-6)
    call("encode", "r", "--out", "c.npz")
    saved = np.load("c.npz")
    assert saved["files"].tolist() == names and saved["class_names"].tolist() == ["bird", "dog"]


def test_parts_of_their_own_come_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).random((20, 3), "float32")
    np.savez("d.npz", x_train=x[:12], x_val=x[12:15], x_test=x[15:])
    call("train", "ae", "--data", "d.npz", "--epochs", 1, "--latent-dim", 1, "--no-pictures", "--out", "r")
    call("encode", "r", "--out", "c.npz")
    saved = np.load("c.npz")
    np.testing.assert_allclose(saved["codes"], tinyae.load("r").encode(x), rtol=1e-5, atol=1e-6)
    assert saved["parts"].tolist() == ["train"] * 12 + ["validation"] * 3 + ["test"] * 5
    assert saved["rows"].tolist() == [*range(12), *range(3), *range(5)]
