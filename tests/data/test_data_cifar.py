"""tinyae.data: CIFAR-10's binary form, as a folder and as an archive."""

import gzip
import io
import tarfile

import numpy as np
import pytest
from data_errors import peak_of, refused

from tinyae.data import load

NAMES = tuple(f"data_batch_{i}.bin" for i in range(1, 6)) + ("test_batch.bin",)


def batch(seed, count=4):
    """(bytes, images (count, 32, 32, 3), labels) of one batch."""
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (count, 32, 32, 3), np.uint8)
    labels = draw.integers(0, 10, count)
    records = (bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(x, labels, strict=True))
    return b"".join(records), x, labels


def write_archive(path, contents):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def contents():
    return {name: batch(seed)[0] for seed, name in enumerate(NAMES)}


@pytest.fixture
def folder(tmp_path, contents):
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def check(data):
    for i in range(5):
        _, x, labels = batch(i)
        assert (data.train.x[4 * i : 4 * i + 4] == x).all() and (data.train.labels[4 * i : 4 * i + 4] == labels).all()
    _, x, labels = batch(5)
    assert (data.test.x == x).all() and (data.test.labels == labels).all()
    assert data.train.x.dtype == np.uint8 and data.train.labels.dtype == np.int64
    assert data.class_names[0] == "airplane" and data.class_count == 10


def test_a_folder_of_batches(folder):
    check(load(folder))


def test_a_folder_that_holds_the_unpacked_folder(tmp_path, contents):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    for name, content in contents.items():
        (tmp_path / "cifar-10-batches-bin" / name).write_bytes(content)
    check(load(tmp_path))


def test_an_archive(tmp_path, contents):
    write_archive(tmp_path / "any.tar.gz", {"readme.html": b"hello", **contents})
    data = load(tmp_path / "any.tar.gz")
    check(data)
    assert data.name == "any"


def test_a_folder_that_holds_the_archive(tmp_path, contents):
    write_archive(tmp_path / "cifar-10-binary.tar.gz", contents)
    check(load(tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_batch_is_named(folder, name):
    (folder / name).unlink()
    refused(lambda: load(folder), str(folder), name, "all six")


def test_a_batch_missing_from_the_archive_is_named(tmp_path, contents):
    del contents["test_batch.bin"]
    write_archive(tmp_path / "a.tar.gz", contents)
    refused(lambda: load(tmp_path / "a.tar.gz"), "test_batch.bin")


@pytest.mark.parametrize("content", [b"", b"\0" * 3072, b"\0" * 3074])
def test_a_batch_of_a_wrong_length(folder, content):
    (folder / NAMES[2]).write_bytes(content)
    refused(lambda: load(folder), NAMES[2], "not a multiple of 3073")


def test_a_label_out_of_range(folder, contents):
    (folder / NAMES[0]).write_bytes(b"\x0a" + contents[NAMES[0]][1:])
    refused(lambda: load(folder), NAMES[0], "outside 0..9")


def test_a_folder_in_the_place_of_a_batch(folder):
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0]).mkdir()
    refused(lambda: load(folder), NAMES[0], "is a folder")


@pytest.mark.parametrize("content", [b"", b"hello", gzip.compress(b"hello" * 1000)])
def test_an_archive_that_is_none(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    refused(lambda: load(tmp_path / "a.tar.gz"), "a.tar.gz")


def test_an_archive_cut_short(tmp_path, contents):
    path = tmp_path / "a.tar.gz"
    write_archive(path, contents)
    path.write_bytes(path.read_bytes()[:-1000])
    refused(lambda: load(path), "a.tar.gz")


def test_an_archive_with_a_flipped_bit(tmp_path, contents):
    path = tmp_path / "a.tar.gz"
    write_archive(path, contents)
    packed = bytearray(path.read_bytes())
    packed[-6] ^= 1  # in the checksum
    path.write_bytes(packed)
    refused(lambda: load(path), "a.tar.gz", "CRC")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_archive_that_claims_a_giant_member_costs_no_memory(tmp_path, kind):
    info = tarfile.TarInfo("data_batch_1.bin")
    info.size, info.type = 7 << 30, kind
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(10_000)))
    assert peak_of(lambda: refused(lambda: load(tmp_path / "a.tar.gz"), "a.tar.gz")) < 4e6


def test_a_link_in_an_archive_is_not_followed(tmp_path, contents):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("data_batch_1.bin")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    refused(lambda: load(tmp_path / "a.tar.gz"), "data_batch_1.bin", "all six")
