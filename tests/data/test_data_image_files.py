"""tinyae.data: what is read from an image file (16 bits, orientation, large ones), and how it is brought to a size."""

import json
import struct
import zlib

import numpy as np
import pytest
from data_errors import refused

import tinyae
from tinyae.cli import main
from tinyae.data import load
from tinyae.errors import ConfigError

Image = pytest.importorskip("PIL.Image", reason="needs the extra viz")

STRETCHED = "2 of 3 images are stretched to 4x4, out of their proportions: fit='crop' or fit='pad' keeps them"


def png(pixels, bits, colour=0, before=b"", after=b"", transparent=None):
    """The bytes of a PNG; Pillow writes 16 bits of grey alone. colour: 0 grey, 2 RGB, 4 grey with alpha, 6 RGBA."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = np.asarray(pixels, ">u2" if bits == 16 else "u1")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels)))
    chunks = [chunk(b"eXIf", exif) if exif else b"" for exif in (before, after)]
    header += b"" if transparent is None else chunk(b"tRNS", struct.pack(">H", transparent))
    return b"\x89PNG\r\n\x1a\n" + header + chunks[0] + data + chunks[1] + chunk(b"IEND", b"")


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    "values, expected, white",
    [
        ([0, 1, 2000, 4000], [0, 0, 125, 249], 4095), ([0, 4095, 2, 9], [0, 255, 0, 1], 4095),
        ([0, 100, 200, 255], [0, 100, 200, 255], 255), ([0, 257, 32_768, 65_535], [0, 1, 128, 255], 65_535),
        ([0, 0, 0, 0], [0, 0, 0, 0], None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ("png", "tif"))
def test_sixteen_bits_are_scaled_by_the_bits_in_use(tmp_path, values, expected, white, suffix):
    Image.fromarray(np.uint16([values])).save(tmp_path / f"a.{suffix}")
    data = load(tmp_path)
    assert data.train.x[0, 0, :, 0].tolist() == expected
    said = f"16-bit grey images have values up to {max(values):,}: 0 to {white or 0:,} is scaled to 0..255"
    assert data.notes == ((said,) if white else ())


def test_all_images_have_one_scale(tmp_path):
    for part, value in (("train", 1000), ("test", 4000)):
        (tmp_path / part).mkdir()
        Image.fromarray(np.uint16([[0, value]])).save(tmp_path / part / "a.png")
    data = load(tmp_path)
    assert data.train.x.ravel().tolist() == [0, 62] and data.test.x.ravel().tolist() == [0, 249]


@pytest.mark.parametrize("colour, channels", ((2, 3), (4, 2), (6, 4)))
def test_sixteen_bits_of_colour_are_read_where_the_upper_eight_say_enough(tmp_path, colour, channels):
    pixels = np.full((1, 2, channels), 65_535)
    pixels[0, 0, : channels - (colour > 2)] = 4000
    (tmp_path / "a.png").write_bytes(png(pixels, 16, colour))
    assert load(tmp_path).train.x[0, 0, :, 0].tolist() == [15, 255]
    pixels[0, 1, : channels - (colour > 2)] = 3000
    (tmp_path / "a.png").write_bytes(png(pixels, 16, colour))
    refused(lambda: load(tmp_path), "a.png", "16 bits per channel, all below 4,096", "save it with 8 bits")


def test_a_transparent_value_of_sixteen_bits_is_white(tmp_path):
    (tmp_path / "a.png").write_bytes(png([[0, 1000, 2000, 4000]], 16, transparent=1000))
    assert load(tmp_path).train.x.ravel().tolist() == [0, 255, 125, 249]


@pytest.mark.parametrize("dtype, words", ((np.float32, "floating-point pixels"), (np.int32, "32-bit pixels from 10")))
def test_pixels_of_unknown_scale_get_advice(tmp_path, dtype, words):
    Image.fromarray(np.full((2, 2), 100_000, dtype)).save(tmp_path / "a.tif")
    refused(lambda: load(tmp_path), "a.tif", words, "scale them to 0..255", "one .npy of floats in [0, 1]")


@pytest.mark.parametrize("place", ("before", "after"))
def test_the_orientation_of_a_png_is_applied(tmp_path, place):
    """6: turned a quarter clockwise. The chunk may stand before the pixels or behind them."""
    exif = turned(6).tobytes().removeprefix(b"Exif\0\0")
    (tmp_path / "a.png").write_bytes(png([[1, 2, 3], [4, 5, 6]], 8, **{place: exif}))
    assert load(tmp_path).train.x[0, :, :, 0].tolist() == [[4, 1], [5, 2], [6, 3]]


@pytest.mark.parametrize("orientation", (0, 9, 300))
def test_an_orientation_that_does_not_exist_is_none(tmp_path, orientation):
    Image.fromarray(np.uint8([[1, 2]])).save(tmp_path / "a.png", exif=turned(orientation))
    assert load(tmp_path).train.x.ravel().tolist() == [1, 2]


def test_a_large_photograph_with_a_size_is_read(tmp_path, monkeypatch):
    """Larger than Pillow warns of, as one of 95 megapixels is: 40,000 pixels here, where it warns of 30,000."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    Image.fromarray(np.random.default_rng(0).integers(90, 111, (200, 200), np.uint8)).save(tmp_path / "a.png")
    x = load(tmp_path, size=2).train.x
    assert x.shape == (1, 2, 2, 1) and (abs(x.astype(int) - 100) < 3).all()


def test_a_larger_one_still_is_told_to_be_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    Image.new("L", (2000, 1001)).save(tmp_path / "a.bmp")
    refused(lambda: load(tmp_path, size=2), "a.bmp", "has more than 2 megapixels", "make it smaller")


def test_plain_pixels_that_a_file_cannot_hold_are_refused(tmp_path):
    """Pillow fills in zeros for the pixels that a TIFF's corrupted width promises and the file does not have."""
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    place = content.index(struct.pack("<HHII", 256, 4, 1, 6))  # the width: 6
    content[place + 10] ^= 0x80
    (tmp_path / "a.tif").write_bytes(content)
    refused(lambda: load(tmp_path, size=4), "a.tif", "promises 5x8388614 pixels in", "corrupted or a decompression")


@pytest.mark.parametrize("suffix", ("png", "webp", "gif", "bmp", "tif"))
def test_a_plain_image_in_few_bytes_is_no_bomb(tmp_path, suffix):
    Image.new("1" if suffix in ("png", "bmp", "tif") else "RGB", (2000, 1000)).save(tmp_path / f"a.{suffix}")
    assert not load(tmp_path, size=(2, 4)).train.x.any()


def test_a_size_beyond_the_memory_is_refused_before_it_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyae.backend.memory.physical", lambda: 3 << 20)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    assert len(load(tmp_path, size=1024).train) == 1
    with pytest.raises(ConfigError, match="1 images of 1025x1024 would take .* pass a smaller size"):
        load(tmp_path, size=(1025, 1024))


def test_memory_that_an_image_exceeds_is_no_damage(tmp_path, monkeypatch):
    Image.new("L", (2, 2)).save(tmp_path / "a.png")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    refused(lambda: load(tmp_path), "a.png", "too large for the memory", "make it smaller")


@pytest.mark.parametrize("suffix", ("tif", "gif", "png", "webp"))
def test_of_several_images_in_a_file_the_first_is_read_and_this_is_said(tmp_path, suffix):
    first, *others = (Image.new("L", (2, 2), grey) for grey in (10, 20, 30))
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=others, **options)
    first.save(tmp_path / f"b.{suffix}", **options)
    data = load(tmp_path)
    assert (data.train.x == 10).all()
    assert data.notes == (f"only the first of several images is read of a.{suffix}",)


@pytest.fixture
def photographs(tmp_path):
    """One twice as wide as high: black, white, white, black; the same upright; and one that is square."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    wide = np.repeat(np.repeat(np.uint8([[0, 255, 255, 0]]), 4, axis=0), 2, axis=1)
    for name, pixels in (("a.png", wide), ("b.png", wide.T), ("c.png", np.full((8, 8), 100, np.uint8))):
        Image.fromarray(pixels).save(folder / name)
    return folder


def test_crop_keeps_the_middle(photographs):
    data = load(photographs, size=4, fit="crop")
    assert (data.train.x[:2] == 255).all() and (data.train.x[2] == 100).all() and data.notes == ()
    assert data.origin == {"data": str(photographs), "size": 4, "fit": "crop"}


def test_pad_adds_black(photographs):
    data = load(photographs, size=4, fit="pad")
    lying, standing, square = data.train.x[..., 0]
    assert (lying[[0, 3]] == 0).all() and (lying[1:3, 1:3] > 200).all() and (lying[1:3, [0, 3]] < 80).all()
    np.testing.assert_array_equal(standing, lying.T)
    assert (square == 100).all() and data.notes == ()


@pytest.mark.parametrize("pixels", (np.zeros((1, 500)), np.zeros((500, 1))))
@pytest.mark.parametrize("fit", ("crop", "pad", "stretch"))
def test_a_line_can_be_fitted(tmp_path, pixels, fit):
    Image.fromarray(np.uint8(pixels)).save(tmp_path / "a.png")
    assert load(tmp_path, size=(8, 6), fit=fit).train.x.shape == (1, 8, 6, 1)


def test_stretching_unasked_is_said(photographs):
    assert load(photographs, size=4).notes == (STRETCHED,)
    assert load(photographs, size=4, fit="stretch").notes == ()
    np.testing.assert_array_equal(load(photographs, size=4).train.x, load(photographs, size=4, fit="stretch").train.x)
    assert load(photographs, size=(4, 8)).notes == (STRETCHED.replace("4x4", "4x8"),)


def test_a_rounded_side_is_no_stretching(tmp_path):
    Image.new("L", (500, 499)).save(tmp_path / "a.png")
    assert load(tmp_path, size=28).notes == () and load(tmp_path, size=(300, 300)).notes != ()


@pytest.mark.parametrize(
    "options, words",
    (({"fit": "squeeze", "size": 4}, "unknown fit 'squeeze'"), ({"fit": "crop"}, "give size, too")),
)
def test_a_wrong_fit_is_refused(photographs, options, words):
    with pytest.raises(ConfigError, match=words):
        load(photographs, **options)


def test_fit_is_for_folders_of_images():
    refused(lambda: load("digits", fit="crop"), "digits", "takes no fit", "leave fit out")


def test_a_run_remembers_how_its_images_were_fitted(photographs, monkeypatch, capsys):
    monkeypatch.chdir(photographs.parent)
    few = ["--data", "photographs", "--epochs", "1", "--set", "hidden=4", "--no-pictures"]
    assert main(["train", "ae", *few, "--size", "4x4", "--fit", "pad"]) == 0
    assert "stretched" not in capsys.readouterr().err
    assert tinyae.load("runs/ae").input_shape == (4, 4, 1)
    other = ["encode", "runs/ae", "--data", "photographs", "--size", "4"]  # other data, fitted as the run's were
    for command in (["encode", "runs/ae"], other, ["train", "ae", "--resume", "--epochs", "2"]):
        assert main(command) == 0
        assert "stretched" not in capsys.readouterr().err
    assert main(["train", "ae", *few, "--size", "4x4", "--out", "runs/c"]) == 0
    said = STRETCHED.replace("fit='crop'", "--fit crop").replace("fit='pad'", "--fit pad")
    assert said in capsys.readouterr().err
    assert main(["compare", "runs/ae", "runs/c", "--split", "train"]) == 2
    assert "give the data to compare them on with --data" in capsys.readouterr().err


@pytest.mark.parametrize("size", (np.int64(4), (np.int32(4), 4)))
def test_a_run_remembers_a_size_of_numpys(photographs, size, tmp_path):
    data = load(photographs, size=size)
    model = tinyae.models.AE(input_shape=(4, 4, 1), hidden=(), latent_dim=1)
    tinyae.fit(model, data, epochs=1, progress=False, out=tmp_path / "run")
    assert json.loads(json.dumps(data.origin))["size"] in (4, [4, 4])
