"""The benchmarks of vector-quantised systems measure what they say."""

import math

import numpy as np
import pytest

from benchmarks import codes, nearest, photographs, pixelcnn
from benchmarks.__main__ import main

Image = pytest.importorskip("PIL.Image")


def test_images_to_codes_and_a_prior_and_on_again(tmp_path, capsys):
    result = codes.measure("digits", tmp_path, epochs=1, prior_epochs=1)
    (row,) = result["runs"]
    assert row["bits_per_pixel"] == 2 * 2 * math.log2(128) / 64  # 8x8 images: maps of 2x2
    assert row["prior_bits_per_pixel"] == pytest.approx(4 * row["nats_per_code"] / math.log(2) / 64)
    assert 0 < row["error_over_variance"] < 1 < row["perplexity"][0] and 0 < row["nats_per_code"] < 6
    assert result["published"] == {}
    codes.show(result)
    assert "perplexity" in capsys.readouterr().out
    again = codes.measure("digits", tmp_path, epochs=1, prior_epochs=1)["runs"][0]
    assert {name: again[name] for name in codes.SHOWN} == {name: row[name] for name in codes.SHOWN}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Photographs whose pixels say where they are: (row, column, 7)."""
    rows, columns = np.indices((200, 250), np.uint8)
    photograph = np.stack((rows, columns, np.full_like(rows, 7)), axis=-1)
    for name in ("a.png", "b.png"):
        Image.fromarray(photograph).save(tmp_path / name)
    monkeypatch.setattr(photographs, "photographs", lambda: tmp_path)
    monkeypatch.setattr(photographs, "PHOTOGRAPHS", {"train": ("a.png",), "test": ("b.png",)})
    monkeypatch.setattr(photographs, "TEST_CROPS", 2)
    return photograph


def test_crops_are_windows_of_the_photographs(tmp_path, drawn):
    photographs.write_crops(tmp_path / "crops", {"train": 2, "test": 1})
    found = {path.relative_to(tmp_path / "crops").as_posix(): path for path in (tmp_path / "crops").rglob("*.png")}
    assert sorted(found) == ["test/b/0000.png", "train/a/0000.png", "train/a/0001.png"]
    corners = set()
    for name, path in found.items():
        crop = np.asarray(Image.open(path))
        crop = crop[:, ::-1] if name == "train/a/0001.png" else crop  # every second one is mirrored
        top, left, _ = map(int, crop[0, 0])
        np.testing.assert_array_equal(crop, drawn[top : top + 128, left : left + 128])
        corners.add((top, left))
    assert len(corners) == 3


def test_photographs_are_learned_and_judged(tmp_path, drawn, capsys):
    result = photographs.measure(tmp_path / "out", epochs=1, crops=2)
    assert result["crops"] == {"train": 2, "test": 2} and result["steps"] == 1 and result["codes"] == 64
    assert result["psnr"] == pytest.approx(result["psnr_by_photograph"]["b"]) and 0 < result["psnr"] < 60
    assert result["bits_per_pixel"] == 32 * 32 * 6 / 128**2
    assert (tmp_path / "out" / "reconstructions.png").exists()
    photographs.show(result)
    assert "dB: b " in capsys.readouterr().out


def test_psnr_is_that_of_the_definition():
    class Half:
        input_shape, chunk, standardization = (1, 2, 1), 8, None

        def label_arguments(self, labels):
            return {}

        def reconstruct(self, x):
            return np.full(x.shape, 0.5)

    x = np.array([[[[0.5], [0.4]]], [[[0.0], [1.0]]]])
    np.testing.assert_allclose(photographs.psnr(Half(), x), [-10 * math.log10(0.01 / 2), -10 * math.log10(0.25)])


def test_commands_take_their_options(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["codes", "--help"])
    assert "--prior-epochs" in capsys.readouterr().out


def test_nearest_codes_are_compared_and_timed(capsys):
    result = nearest.measure(["tinyae", "numpy"], rounds=1, sizes=[(50, 7, 3)])
    (measured,) = result["sizes"].values()
    assert measured["flops"] == 2 * 50 * 7 * 3 and measured["ratios"]["numpy"]["median"] > 0
    nearest.show(result)
    assert "50 in 7, 3 wide" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="tinyae and numpy agree on 75.0 %"):
        nearest.agree({"tinyae": [0, 1, 2, 3], "numpy": [0, 1, 2, 0]})


@pytest.mark.parametrize("name", ["torch-cdist", "torch-addmm"])
def test_peers_find_the_nearest_codes(name):
    pytest.importorskip("torch")
    z, codebook = nearest.data(40, 9, 5)
    function, convert = nearest.contender(name)
    brute = ((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(function(convert(z), convert(codebook)).numpy(), brute)


TINY = {
    "residual 7x7": (dict(input_shape=(5, 4), levels=6, width=6, blocks=1), 3),
    "gated 7x7": (dict(input_shape=(5, 4), levels=6, network="gated", width=4, blocks=3), 3),
}


@pytest.mark.usefixtures("torch_on_one_thread")
@pytest.mark.parametrize("case", TINY)
def test_pytorch_trains_the_same_pixelcnn(case, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(pixelcnn, "CASES", TINY)
    ours, theirs = (pixelcnn.begin(name) for name in ("tinyae", "torch"))
    word = case.replace(" ", "/")
    np.testing.assert_allclose(ours("check", word), theirs("check", word), rtol=1e-5)
    assert ours("draw", word) > 0 and theirs("step", word) > 0
    from benchmarks.pixelcnn_torch import Contender

    drawn = Contender("torch").run(pixelcnn.PixelCNN(**TINY[case][0])).draw(4)
    assert drawn.shape == (4, 5, 4) and drawn.dtype == torch.int64 and 0 <= drawn.min() <= drawn.max() < 6


def test_pixelcnn_is_timed_in_processes(capsys):
    result = pixelcnn.measure(["tinyae-anew"], rounds=1, cases=["gated 7x7"])
    assert list(result["steps"]["gated 7x7"]["contenders"]) == ["tinyae"]
    assert result["drawn"]["gated 7x7"]["ratios"]["tinyae-anew"]["median"] > 0
    pixelcnn.show(result)
    assert "images/s" in capsys.readouterr().out
