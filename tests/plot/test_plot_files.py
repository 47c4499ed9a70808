"""Pictures as files: replaced whole, and one line where a package is missing."""

import builtins
import os
import subprocess
import sys

import numpy as np
import pytest
from pictures import history, images, read

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")


from tinyae import plot  # noqa: E402
from tinyae.errors import MissingExtraError  # noqa: E402


def test_a_picture_is_replaced_whole(tmp_path, monkeypatch):
    path = plot.grid(tmp_path / "a.png", images(4))
    before, moves = path.read_bytes(), []
    real = os.replace

    def watched(source, target):
        assert path.read_bytes() == before  # still the old one
        assert read(source).size and os.path.dirname(source) == str(tmp_path)
        moves.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", watched)
    plot.grid(path, images(4, seed=1))
    assert moves == [path] and path.read_bytes() != before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]

    before = path.read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        plot.grid(path, images(4))
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("package", ["PIL", "matplotlib"])
def test_a_missing_extra_is_told_in_one_line(tmp_path, monkeypatch, package):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ImportError(f"No module named '{name}'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    path = tmp_path / "a.png"
    needed = {
        "PIL": [lambda: plot.samples(path, images(2))],
        "matplotlib": [lambda: plot.scatter_codes(path, np.zeros((3, 2))), lambda: plot.curves(path, history(2))],
    }
    for call in needed[package]:
        with pytest.raises(MissingExtraError, match=r"^drawing needs the extra 'viz': pip install '\.\[viz\]' in "):
            call()


def test_importing_costs_nothing_and_pyplot_is_never_imported(tmp_path):
    code = (
        "import sys, numpy as np; from tinyae import plot\n"
        "assert not {'PIL', 'matplotlib'} & set(sys.modules)\n"
        f"plot.samples({str(tmp_path / 'a.png')!r}, np.zeros((2, 4, 4, 1)))\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"plot.scatter_codes({str(tmp_path / 'b.png')!r}, np.zeros((2, 2)))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
