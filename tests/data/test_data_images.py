"""tinyae.data: folders of images."""

import struct
import sys
import zlib

import numpy as np
import pytest
from data_errors import refused

from tinyae.data import load
from tinyae.errors import MissingExtraError

Image = pytest.importorskip("PIL.Image", reason="needs the extra viz")


def save(path, value=100, size=(4, 6), mode="L", **options):
    """A one-coloured image of `size` (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size[::-1], value).save(path, **options)


def test_grey_images_have_one_channel(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", 10 * i)
    data = load(tmp_path)
    assert data.train.x.shape == (3, 4, 6, 1) and data.train.x.dtype == np.uint8
    assert data.train.x[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert data.train.labels is None and data.class_names is None and data.test is None


def test_one_colour_image_makes_all_rgb(tmp_path):
    save(tmp_path / "a.png", 50)
    save(tmp_path / "b.png", (1, 2, 3), mode="RGB")
    assert load(tmp_path).train.x[:, 0, 0].tolist() == [[50, 50, 50], [1, 2, 3]]


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "gif", "tif", "ppm", "webp"])
def test_formats(tmp_path, suffix):
    save(tmp_path / f"a.{suffix}", (255, 0, 0), mode="RGB", **({"lossless": True} if suffix == "webp" else {}))
    x = load(tmp_path).train.x
    assert x[0, 0, 0].tolist() == [255, 0, 0]


def test_jpeg_comes_close(tmp_path):
    save(tmp_path / "a.jpg", 100, (8, 8))
    assert abs(load(tmp_path).train.x.astype(int) - 100).max() <= 2


def test_images_are_sorted_by_path_at_any_depth(tmp_path):
    for i, name in enumerate(["b/z.png", "a/deep/er.png", "b/a.png"]):
        save(tmp_path / name, i)
    assert load(tmp_path).train.x[:, 0, 0, 0].tolist() == [1, 2, 0]


def test_sub_folders_are_classes(tmp_path):
    for name in ("dog/1.png", "cat/1.png", "cat/kittens/2.png"):
        save(tmp_path / name)
    data = load(tmp_path)
    assert data.class_names == ("cat", "dog") and data.train.labels.tolist() == [0, 0, 1]
    assert data.train.labels.dtype == np.int64


def test_images_beside_sub_folders_leave_no_labels(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "dog/1.png")
    data = load(tmp_path)
    assert len(data.train) == 2 and data.train.labels is None and data.class_names is None


def test_ten_images_are_split(tmp_path):
    for i in range(20):
        save(tmp_path / f"{'ab'[i % 2]}/{i:02d}.png", i)
    data = load(tmp_path)
    assert len(data.train) == 18 and len(data.test) == 2
    for part in (data.train, data.test):
        assert (part.x[:, 0, 0, 0] % 2 == part.labels).all()


def test_train_and_test_folders_are_the_parts(tmp_path):
    for i, name in enumerate(["train/cat/1.png", "train/dog/1.png", "test/dog/1.png"]):
        save(tmp_path / name, i)
    data = load(tmp_path)
    assert data.train.x[:, 0, 0, 0].tolist() == [0, 1] and data.train.labels.tolist() == [0, 1]
    assert data.test.x[:, 0, 0, 0].tolist() == [2] and data.test.labels.tolist() == [1]
    assert data.class_names == ("cat", "dog")


def test_train_and_test_folders_without_classes(tmp_path):
    save(tmp_path / "train/1.png")
    save(tmp_path / "test/1.png")
    data = load(tmp_path)
    assert len(data.train) == len(data.test) == 1 and data.train.labels is None


def test_an_empty_test_folder_is_named(tmp_path):
    save(tmp_path / "train/1.png")
    (tmp_path / "test").mkdir()
    refused(lambda: load(tmp_path), str(tmp_path / "test"), "holds no images")


def test_a_folder_named_train_among_others_is_a_class(tmp_path):
    save(tmp_path / "train/1.png")
    save(tmp_path / "truck/1.png")
    assert load(tmp_path).class_names == ("train", "truck")


def test_hidden_and_other_files_are_passed_over(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / ".b.png")
    save(tmp_path / ".thumbs/c.png")
    (tmp_path / "notes.txt").write_text("hello")
    assert len(load(tmp_path).train) == 1


def test_a_folder_linked_into_itself_ends(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(load(tmp_path).train) == 1


@pytest.mark.parametrize(("size", "shape"), [(3, (3, 3)), ((2, 5), (2, 5)), ([2, 5], (2, 5)), (np.int64(3), (3, 3))])
def test_size_makes_all_images_alike(tmp_path, size, shape):
    save(tmp_path / "a.png", 7)
    save(tmp_path / "b.png", 9, (9, 9))
    x = load(tmp_path, size=size).train.x
    assert x.shape == (2, *shape, 1) and (x[0] == 7).all() and (x[1] == 9).all()


def test_size_is_height_then_width(tmp_path):
    pixels = np.zeros((4, 4), np.uint8)
    pixels[:2] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    x = load(tmp_path, size=(4, 2)).train.x[0, :, :, 0]
    assert x.shape == (4, 2) and (x[0] > 150).all() and (x[3] < 50).all()


@pytest.mark.parametrize("size", [0, -1, (3,), (3, 4, 5), 2.5, "28", (3, None), 10**9])
def test_what_is_no_size(tmp_path, size):
    save(tmp_path / "a.png")
    refused(lambda: load(tmp_path, size=size), repr(size), "height, width")


def test_different_sizes_without_size(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", size=(6, 4))
    refused(lambda: load(tmp_path), "b.png", "6x4", "a.png is 4x6", "pass size")


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (255, 0, 0, 255), [255, 0, 0]),
        ("RGBA", (0, 0, 0, 51), [204, 204, 204]),
        ("LA", (0, 0), [255]),
        ("LA", (40, 255), [40]),
    ],
)
def test_transparency_is_laid_over_white(tmp_path, mode, value, expected):
    save(tmp_path / "a.png", value, mode=mode)
    assert load(tmp_path).train.x[0, 0, 0].tolist() == expected


def test_a_transparent_palette_is_laid_over_white(tmp_path):
    image = Image.new("P", (2, 2), 0)
    image.putpalette([10, 20, 30])
    image.save(tmp_path / "a.png", transparency=0)
    assert load(tmp_path).train.x[0, 0, 0].tolist() == [255, 255, 255]


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    Image.fromarray(np.array([[0, 257, 32_768, 65_535]], np.uint16)).save(tmp_path / "a.png")
    assert load(tmp_path).train.x[0, 0, :, 0].tolist() == [0, 1, 128, 255]


def test_black_and_white_images(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert load(tmp_path).train.x[0, 0, :, 0].tolist() == [255, 0]


def test_the_orientation_of_the_camera_is_applied(tmp_path):
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, :16] = 255  # bright on the left; turned a quarter clockwise, bright on top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    x = load(tmp_path).train.x[0, :, :, 0]
    assert x.shape == (32, 16) and (x[:15] > 200).all() and (x[17:] < 50).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_of_unknown_scale_are_refused(tmp_path, dtype):
    Image.fromarray(np.full((2, 2), 100_000, dtype)).save(tmp_path / "a.tif")
    refused(lambda: load(tmp_path), "a.tif", "pixels")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"])
def test_what_is_no_image_is_named(tmp_path, content):
    save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(content)
    refused(lambda: load(tmp_path), "broken.png", "cannot be read as an image")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_an_image_cut_short_is_named(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-900])
    refused(lambda: load(tmp_path), path.name, "cannot be read as an image")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_bomb_of_an_image_is_refused_by_its_header(tmp_path, side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
    refused(lambda: load(tmp_path), "a.png", "bomb")


def test_an_image_that_may_not_be_read(tmp_path, monkeypatch):
    save(tmp_path / "a.png")

    def deny(path, *_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builtins.open", deny)
    refused(lambda: load(tmp_path), "a.png", "Permission denied")


def test_an_empty_folder(tmp_path):
    refused(lambda: load(tmp_path), str(tmp_path), "holds no images", ".png")


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
    def walk(folder, onerror):
        onerror(PermissionError(13, "Permission denied", folder))

    monkeypatch.setattr("os.walk", walk)
    refused(lambda: load(tmp_path), str(tmp_path), "permission denied")


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"tinyae\[viz\]"):
        load(tmp_path)
