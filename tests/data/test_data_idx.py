"""tinyae.data: IDX files, good and hostile."""

import gzip
import os
import struct

import numpy as np
import pytest
from data_errors import peak_of, refused

from tinyae.data import idx, load

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_bytes(array, code=0x08, shape=None):
    shape = array.shape if shape is None else shape
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


def arrays(train=12, test=5, size=(4, 3)):
    pixels = np.random.default_rng(0)
    for count in (train, test):
        yield pixels.integers(0, 256, (count, *size), np.uint8)
        yield np.arange(count, dtype=np.uint8) % 10


@pytest.fixture
def folder(tmp_path):
    """A folder with the four files, plain."""
    for name, array in zip(NAMES, arrays(), strict=True):
        (tmp_path / name).write_bytes(idx_bytes(array))
    return tmp_path


def check_folder(folder):
    data = load(folder)
    train_x, train_labels, test_x, test_labels = arrays()
    assert (data.train.x[..., 0] == train_x).all() and data.train.x.dtype == np.uint8
    assert (data.train.labels == train_labels).all() and data.train.labels.dtype == np.int64
    assert (data.test.x[..., 0] == test_x).all()
    assert (data.test.labels == test_labels).all()
    assert data.shape == (4, 3, 1)


def test_a_folder_of_plain_files(folder):
    check_folder(folder)


@pytest.mark.parametrize("own", ("emnist-letters-", "mine_", ""))
@pytest.mark.parametrize("ending", ("", ".gz"))
def test_a_folder_of_files_with_a_name_of_their_own(folder, own, ending):
    """As EMNIST's, which say test, too, where MNIST's say t10k."""
    for name in NAMES:
        content = (folder / name).read_bytes()
        content = gzip.compress(content) if ending else content
        (folder / f"{own}{name.replace('t10k', 'test')}{ending}").write_bytes(content)
        if own or ending or "t10k" in name:
            (folder / name).unlink()
    check_folder(folder)
    (folder / f"{own}test-labels-idx1-ubyte{ending}").unlink()
    refused(lambda: load(folder), "has no t10k-labels-idx1-ubyte", "needs all four files")


def test_a_folder_of_several_sets_is_refused(folder):
    for own in ("emnist-mnist", "emnist-letters"):
        (folder / f"{own}-train-images-idx3-ubyte.gz").write_bytes(b"")
    check_folder(folder)  # those with MNIST's own names go before
    (folder / "train-images-idx3-ubyte").unlink()
    for name in NAMES[1:]:
        (folder / name).unlink()
    refused(lambda: load(folder), "several IDX data sets, emnist-letters, emnist-mnist", "a folder of its own")


def test_one_of_the_files_is_told_to_give_the_folder(folder):
    refused(lambda: load(folder / NAMES[0]), "is one of the four files of an IDX data set", "give the folder")


def test_a_folder_in_folders(tmp_path):
    """As other tools lay it out: MNIST/raw."""
    inner = tmp_path / "MNIST" / "raw"
    inner.mkdir(parents=True)
    (tmp_path / "__MACOSX").mkdir()
    for name, array in zip(NAMES, arrays(), strict=True):
        (inner / name).write_bytes(idx_bytes(array))
    for place in (tmp_path, tmp_path / "MNIST", inner):
        check_folder(place)


def test_a_folder_of_gzip_files(folder):
    for name in NAMES:
        path = folder / name
        (folder / (name + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    check_folder(folder)


def test_a_folder_of_files_with_a_dot_in_their_names(folder):
    for name in NAMES:
        (folder / name).rename(folder / name.replace("-idx", ".idx"))
    check_folder(folder)


def test_gzip_content_under_a_plain_name(folder):
    path = folder / NAMES[0]
    path.write_bytes(gzip.compress(path.read_bytes()))
    check_folder(folder)


def test_the_name_of_the_dataset_is_that_of_the_folder(folder):
    assert load(str(folder) + os.sep).name == folder.name


@pytest.mark.parametrize(("code", "dtype"), [(0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_every_type_of_the_format(tmp_path, code, dtype):
    array = np.array([[1, -2], [3, 100]], dtype)
    (tmp_path / "a").write_bytes(idx_bytes(array, code))
    found = idx.read(str(tmp_path / "a"))
    assert found.dtype == np.dtype(dtype) and (found == array).all()


def test_the_array_can_be_written_to(tmp_path):
    (tmp_path / "a").write_bytes(idx_bytes(np.zeros((2, 2), np.uint8)))
    assert idx.read(str(tmp_path / "a")).flags.writeable


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(lambda: load(folder), str(folder), name, "four files")


@pytest.mark.parametrize("start", [b"", b"\0\0", b"\x89PNG\r\n", b"\0\0\x08\x00", b"\0\0\x08\x05", b"\0\0\x07\x03"])
def test_a_wrong_magic_number(folder, start):
    (folder / NAMES[0]).write_bytes(start)
    refused(lambda: load(folder), NAMES[0], "not an IDX file")


def test_a_header_cut_short(folder):
    (folder / NAMES[0]).write_bytes(b"\0\0\x08\x03\0\0")
    refused(lambda: load(folder), NAMES[0], "ends after 2 of 12")


def test_a_plain_file_cut_short(folder):
    path = folder / NAMES[0]
    path.write_bytes(path.read_bytes()[:-1])
    refused(lambda: load(folder), NAMES[0], "ends after 143 of 144")


def test_a_plain_file_with_bytes_left_over(folder):
    path = folder / NAMES[2]
    path.write_bytes(path.read_bytes() + b"x")
    refused(lambda: load(folder), NAMES[2], "more than the 60 bytes")


@pytest.mark.parametrize("keep", [1, 5, 30, -9, -1])
def test_a_gzip_file_cut_short(folder, keep):
    path = folder / NAMES[0]
    path.write_bytes(gzip.compress(path.read_bytes())[:keep])
    refused(lambda: load(folder), NAMES[0])


def test_a_gzip_file_with_a_flipped_bit(folder):
    path = folder / NAMES[0]
    packed = bytearray(gzip.compress(path.read_bytes()))
    packed[-6] ^= 1  # in the checksum
    path.write_bytes(packed)
    refused(lambda: load(folder), NAMES[0], "CRC")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_claims_a_million_million_images_costs_no_memory(folder, pack):
    claim = idx_bytes(np.zeros(100, np.uint8), shape=(10**6, 10**6, 1))
    (folder / NAMES[0]).write_bytes(pack(claim))
    peak = peak_of(lambda: refused(lambda: load(folder), NAMES[0], "promises 1,000,000,000,000 bytes"))
    assert peak < 4e6


def test_a_claim_that_gzip_could_keep_costs_what_arrives(folder):
    claim = idx_bytes(np.zeros(50_000, np.uint8), shape=(60_000, 1, 1))  # within the ratio, yet untrue
    (folder / NAMES[0]).write_bytes(gzip.compress(claim))
    refused(lambda: load(folder), NAMES[0], "ends after 50,000 of 60,000")


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(folder):
    bomb = gzip.compress(idx_bytes(np.zeros((12, 4, 3), np.uint8)) + bytes(64 << 20))
    (folder / NAMES[0]).write_bytes(bomb)
    peak = peak_of(lambda: refused(lambda: load(folder), NAMES[0], "more than the 144 bytes"))
    assert peak < 4e6


def test_no_images(folder):
    (folder / NAMES[0]).write_bytes(idx_bytes(np.zeros((0, 4, 3), np.uint8)))
    refused(lambda: load(folder), NAMES[0], "holds no values")


def test_images_and_labels_of_different_counts(folder):
    (folder / NAMES[1]).write_bytes(idx_bytes(np.zeros(11, np.uint8)))
    refused(lambda: load(folder), NAMES[1], "11 labels for 12 examples")


def test_labels_that_are_not_one_dimensional(folder):
    (folder / NAMES[1]).write_bytes(idx_bytes(np.zeros((12, 1), np.uint8)))
    refused(lambda: load(folder), NAMES[1], "(12, 1)")


def test_training_and_test_images_of_different_sizes(folder):
    (folder / NAMES[2]).write_bytes(idx_bytes(np.zeros((5, 4, 4), np.uint8)))
    refused(lambda: load(folder), str(folder), "(12, 4, 3, 1)", "(5, 4, 4, 1)")


def test_a_folder_in_the_place_of_a_file(folder):
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0]).mkdir()
    refused(lambda: load(folder), NAMES[0], "is a folder")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder):
    (folder / NAMES[0]).unlink()
    os.mkfifo(folder / NAMES[0])
    refused(lambda: load(folder), NAMES[0], "not a regular file")


def test_a_dangling_link_in_the_place_of_a_file(folder):
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0]).symlink_to(folder / "gone")
    refused(lambda: load(folder), NAMES[0], "no such file")


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    def deny(path, *_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builtins.open", deny)
    refused(lambda: load(folder), NAMES[0], "permission denied", "chmod")


def test_a_disk_that_fails(folder, monkeypatch):
    def fail(path, *_):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr("builtins.open", fail)
    refused(lambda: load(folder), NAMES[0], "Input/output error")


def test_a_path_with_a_line_break_is_still_told_in_one_line(tmp_path):
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    (folder / NAMES[0]).write_bytes(b"")
    refused(lambda: load(folder), r"two\nlines")
