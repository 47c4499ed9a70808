"""tinyae.data: .npy and .npz files, good and hostile."""

import struct
import warnings
import zipfile

import numpy as np
import pytest
from data_errors import peak_of, refused

from tinyae.data import load


def images(count, shape=(4, 3)):
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


def npy_bytes(header, data=b"", version=(1, 0)):
    """A .npy file with any header text."""
    text = header.encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


@pytest.fixture
def npy(tmp_path):
    return tmp_path / "a.npy"


@pytest.fixture
def npz(tmp_path):
    return tmp_path / "a.npz"


@pytest.mark.parametrize(("shape", "loaded"), [((4, 3), (4, 3, 1)), ((4, 3, 3), (4, 3, 3)), ((7,), (7,))])
def test_npy_of_each_number_of_axes(npy, shape, loaded):
    np.save(npy, images(20, shape))
    data = load(npy)
    assert data.train.x.shape == (18, *loaded) and data.test.x.shape == (2, *loaded)
    assert data.train.x.dtype == np.uint8 and data.train.labels is None
    assert data.name == "a" and data.source == str(npy)


def test_npy_of_few_examples_has_no_test_part(npy):
    np.save(npy, images(9))
    data = load(npy)
    assert (data.train.x[..., 0] == images(9)).all() and data.test is None


def test_npy_in_fortran_order(npy):
    np.save(npy, np.asfortranarray(images(5)))
    assert (load(npy).train.x[..., 0] == images(5)).all()


def test_npy_of_big_endian_floats(npy):
    np.save(npy, np.linspace(0, 1, 12).reshape(3, 4).astype(">f8"))
    x = load(npy).train.x
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.ravel(), np.linspace(0, 1, 12), rtol=1e-6)


def test_npy_of_format_version_two(npy):
    with open(npy, "wb") as file:
        np.lib.format.write_array(file, images(4), version=(2, 0))
    assert (load(npy).train.x[..., 0] == images(4)).all()


def test_npy_with_a_header_of_python_2(npy):
    npy.write_bytes(npy_bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L), }\n", b"abcdef"))
    assert load(npy).train.x.tolist() == [[97, 98, 99], [100, 101, 102]]


def test_npy_of_objects_is_never_unpickled(npy):
    np.save(npy, np.array([{"a": 1}], object), allow_pickle=True)
    refused(lambda: load(npy), "a.npy", "objects")


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"hello world", b"\x93NUMPY\x01\x00\x76\x00{'descr'"])
def test_npy_that_is_none(npy, content):
    npy.write_bytes(content)
    refused(lambda: load(npy), "a.npy", "not a .npy array")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1'}",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': 'x'}",
        "__import__('os')",
        "(" * 3000,
        "[" * 9000,
    ],
)
def test_npy_with_a_corrupted_header(npy, header):
    npy.write_bytes(npy_bytes(header))
    refused(lambda: load(npy), "a.npy", "header is corrupted")


def test_npy_of_an_unknown_version(npy):
    npy.write_bytes(npy_bytes("{}", version=(3, 0)))
    refused(lambda: load(npy), "a.npy", "(3, 0)")


def test_npy_whose_header_claims_gigabytes_costs_no_memory(npy):
    npy.write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xf0{}")
    assert peak_of(lambda: refused(lambda: load(npy), "a.npy", "header is corrupted")) < 4e6


def test_npy_that_claims_a_million_million_values_costs_no_memory(npy):
    npy.write_bytes(npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}\n", bytes(64)))
    assert peak_of(lambda: refused(lambda: load(npy), "a.npy", "promises 4,000,000,000,000 bytes")) < 4e6


def test_npy_cut_short(npy):
    np.save(npy, images(5))
    npy.write_bytes(npy.read_bytes()[:-1])
    refused(lambda: load(npy), "a.npy", "ends after 59 of 60")


def test_npy_with_bytes_left_over(npy):
    np.save(npy, images(5))
    npy.write_bytes(npy.read_bytes() + b"x")
    refused(lambda: load(npy), "a.npy", "more than the 60 bytes")


def test_npy_with_nan(npy):
    x = np.zeros((3, 4))
    x[1, 2] = np.nan
    np.save(npy, x)
    refused(lambda: load(npy), "a.npy", "has 1 NaN", "(1, 2)")


def test_npz_with_factors(npz):
    factors = np.arange(40).reshape(20, 2)
    x = np.broadcast_to(factors[:, :1, None], (20, 4, 3)).astype(np.uint8)
    np.savez(npz, x=x, factors=factors)
    data = load(npz)
    for part, count in ((data.train, 18), (data.test, 2)):
        assert len(part) == count and (part.factors[:, 0] == part.x[:, 0, 0, 0]).all()
    np.savez(npz, x_train=images(6), x_test=images(3), factors_train=factors[:6], factors_test=factors[6:9])
    data = load(npz)
    assert (data.train.factors == factors[:6]).all() and (data.test.factors == factors[6:9]).all()


@pytest.mark.parametrize("factors", [np.zeros(6, int), np.zeros((5, 2), int), np.zeros((6, 2)), np.zeros((6, 0), int)])
def test_npz_with_wrong_factors(npz, factors):
    np.savez(npz, x=images(6), factors=factors)
    refused(lambda: load(npz), "a.npz, array factors", str(factors.shape), "(N, K)")


def test_npz_with_factors_of_no_examples(npz):
    np.savez(npz, x=images(6), factors_test=np.zeros((6, 2), int))
    refused(lambda: load(npz), "factors_test without x_test")


def test_npz_with_all_parts(npz):
    np.savez(npz, x_train=images(6), y_train=np.arange(6), x_test=images(3), y_test=np.arange(3))
    data = load(npz)
    assert (data.train.x[..., 0] == images(6)).all() and (data.test.x[..., 0] == images(3)).all()
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4, 5] and data.test.labels.tolist() == [0, 1, 2]
    assert data.class_count == 6 and data.class_names is None


@pytest.mark.parametrize("label_name", ["y", "labels", "y_train"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_without_a_test_part_is_split_with_its_labels(npz, label_name, save):
    x = np.tile(np.arange(20, dtype=np.uint8)[:, None], 3)
    save(npz, **{"x": x, label_name: np.arange(20)})
    data = load(npz)
    assert len(data.train) == 18 and len(data.test) == 2
    for part in (data.train, data.test):
        assert (part.x[:, 0] == part.labels).all()


def test_npz_ignores_other_arrays_even_of_objects(npz):
    with warnings.catch_warnings():
        np.savez(npz, x=images(3), note=np.array([None]), allow_pickle=True)
    assert len(load(npz).train) == 3


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pixels": 1, "weights": 2}, ("pixels, weights", "x_train")),
        ({}, ("but nothing",)),
        ({"x": images(2), "x_train": images(2)}, ("both x and x_train",)),
        ({"x": images(2), "y": [0, 1], "labels": [0, 1]}, ("both y and labels",)),
        ({"x": images(2), "y_test": [0, 1]}, ("y_test without x_test",)),
        ({"x": images(2), "y": [0, 1, 2]}, ("array y", "3 labels for 2")),
        ({"x": images(2), "y": [0.5, 1]}, ("array y", "integers")),
        ({"x": images(2), "y": [-1, 1]}, ("array y", "count classes from 0")),
        ({"x": images(2), "x_test": images(2, (5, 5))}, ("(2, 4, 3, 1)", "(2, 5, 5, 1)")),
        ({"x": images(2), "x_test": images(2) / 255}, ("uint8", "float32")),
        ({"x": images(2), "x_test": images(2), "y_test": [[0], [1]]}, ("array y_test", "(2, 1)")),
        ({"x": np.full((1, 2), np.inf)}, ("array x", "has 2 NaN")),
    ],
)
def test_npz_with_wrong_arrays(npz, arrays, words):
    np.savez(npz, **arrays)
    refused(lambda: load(npz), "a.npz", *words)


def test_npz_of_objects_is_never_unpickled(npz):
    np.savez(npz, x=np.array([None]), allow_pickle=True)
    refused(lambda: load(npz), "a.npz, array x", "objects")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello world" * 10])
def test_npz_that_is_none(npz, content):
    npz.write_bytes(content)
    refused(lambda: load(npz), "a.npz", "not a .npz file")


def test_npz_cut_short(npz):
    np.savez(npz, x=images(100))
    npz.write_bytes(npz.read_bytes()[:-200])
    refused(lambda: load(npz), "a.npz", "not a .npz file")


def test_npz_with_a_flipped_bit(npz):
    np.savez(npz, x=images(100))
    content = bytearray(npz.read_bytes())
    content[700] ^= 1  # among the pixels
    npz.write_bytes(content)
    refused(lambda: load(npz), "a.npz", "CRC")


def test_npz_whose_member_is_no_array(npz):
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("x.npy", "text")
    refused(lambda: load(npz), "a.npz, array x", "not a .npy array")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_npz_packed_by_a_method_without_a_bound(npz, method):
    with zipfile.ZipFile(npz, "w", method) as archive:
        archive.writestr("x.npy", "text")
    refused(lambda: load(npz), "a.npz", "deflated")


def test_npz_that_is_encrypted(npz):
    np.savez(npz, x=images(3))
    content = bytearray(npz.read_bytes())
    content[6] |= 1  # the flag in the member's header, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    npz.write_bytes(content)
    refused(lambda: load(npz), "a.npz", "encrypted")


def test_npz_bomb_is_read_no_further_than_its_header_says(npz):
    header = npy_bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}\n")
    with zipfile.ZipFile(npz, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header + bytes(64 << 20))
    assert peak_of(lambda: refused(lambda: load(npz), "array x", "more than the 6 bytes")) < 4e6


def test_npz_beyond_the_memory_is_refused_before_it_is_unpacked(npz, monkeypatch):
    monkeypatch.setattr("tinyae.backend.memory.physical", lambda: 2**20)
    np.savez_compressed(npz, x=np.zeros((2**10, 2**10), np.uint8))
    assert len(load(npz).train) == 922
    np.savez_compressed(npz, x=np.zeros((2**10 + 1, 2**10), np.uint8))
    refused(lambda: load(npz), "array x", "takes 1,049,600 bytes, more than this machine's memory")


def test_npz_that_claims_a_million_million_values_costs_no_memory(npz):
    header = npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}\n")
    with zipfile.ZipFile(npz, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header + bytes(1000))
    assert peak_of(lambda: refused(lambda: load(npz), "array x", "promises 4,000,000,000,000")) < 4e6
