"""Pictures are sure to be drawn, or it is said before the first step: names, extras, places to write to."""

import os
import sys

import numpy as np
import pytest
from command_line import contents

from tinyae import cli, plot
from tinyae.training.pictures import NAMES

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")
HARD = ["caf\udce9", "\u732b", "a\nb", "\x1b[31mred", "tab\there", "$x$", "e\u0301"]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("caf\udce9", "caf\\xe9"), ("\u732b", "\\u732b"), ("a\nb", "a\\nb"), ("\x1b[3", "\\x1b[3"),
        ("\ud800", "\\ud800"),
        ("caf\xe9 \u2212 \u03bb", "caf\xe9 \u2212 \u03bb"), ("", ""),
    ],
)  # fmt: skip
def test_what_a_picture_cannot_show_is_escaped(text, shown):
    assert plot.drawable(text) == shown


def test_any_name_can_be_drawn(tmp_path):
    """Warnings are errors here, and so is matplotlib's on letters that its font lacks."""
    z, labels = np.random.default_rng(0).normal(size=(70, 2)), np.arange(70) % 7
    plot.scatter_codes(tmp_path / "codes.png", z, labels, HARD)
    plot.codes_beside(tmp_path / "beside.png", [(name, z, None) for name in HARD], labels, HARD)
    plot.columns(tmp_path / "columns.png", np.tile(z, 4)[:, :7], np.tile(z, 4)[:, :7] * 0.9, HARD)
    for name in HARD:
        words = dict(title=name, row_labels=[name], column_labels=[name], captions=[name], x_label=name, y_label=name)
        plot.grid(tmp_path / "grid.png", np.zeros((1, 8, 8, 1)), **words)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Ours is a folder with twelve images in two classes, one of whose names is no UTF-8."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for name in (b"photos/caf\xe9", b"photos/tea"):
        os.makedirs(name)
        for i in range(6):
            Image.new("L", (8, 8), 20 * i).save(os.path.join(os.fsdecode(name), f"{i}.png"))
    return tmp_path


TRAIN = ("train", "vae", "--data", "photos", "--epochs", "1", "--set", "hidden=4", "--out", "r")


def test_names_are_told_before_the_first_step(photos, capsys):
    assert cli.main(list(TRAIN)) == 0
    said = capsys.readouterr().err
    line = "pictures show letters that their font lacks as character codes: caf\\xe9\n"
    assert 0 < said.index(line) < said.index("epoch 1")
    assert (photos / "r" / "codes.png").exists()


def test_a_missing_extra_is_told_before_the_first_step(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "vae", "--data", "digits", *TRAIN[4:]]) == 0
    said = capsys.readouterr().err
    assert said.count("no pictures: drawing needs the extra 'viz'") == 1
    assert said.index("no pictures") < said.index("epoch 1")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_place_of_a_picture(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r" / name).mkdir(parents=True)
    before = contents(tmp_path)
    assert cli.main(["train", "vae", "--data", "digits", *TRAIN[4:]]) == 2
    said = capsys.readouterr().err
    place = os.path.join("r", name)
    assert said == f"tinyae: {place} is a folder, and a picture has that name: move it, or give --no-pictures\n"
    assert contents(tmp_path) == before


@pytest.mark.parametrize("command", ["sample", "reconstruct", "interpolate", "traverse", "manifold", "map", "compare"])
def test_pictures_are_asked_for_before_anything_is_computed(command, tmp_path, monkeypatch, capsys):
    """The run is a model whose first use would fail."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "vae", "--data", "digits", *TRAIN[4:], "--no-pictures"]) == 0
    (tmp_path / "file").touch()
    capsys.readouterr()

    def fail(*arguments):
        raise AssertionError("computed before the file was looked at")

    for name in ("encode", "decode", "_decode", "reconstruct"):
        monkeypatch.setattr(f"tinyae.models.VAE.{name}", fail)
    assert cli.main([command, "r", "--out", "file/p.png"]) == 2
    assert capsys.readouterr().err == "tinyae: cannot read or write file: Not a directory\n"
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert cli.main([command, "r"]) == 2
    assert "drawing needs the extra 'viz'" in capsys.readouterr().err
