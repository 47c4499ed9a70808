"""tinyae.data: sets by name, the embedded ones, the catalogue, what an import costs."""

import gzip
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from data_errors import refused

import tinyae.data
from tinyae.data import catalogue, embed, idx, load, sources
from tinyae.errors import ConfigError, suggest

EMBEDDED = pathlib.Path(sources.EMBEDDED)
DEBIAN = sources.KNOWN["fashion-mnist"].folder
needs_debian = pytest.mark.skipif(not os.path.isdir(DEBIAN), reason="needs Debian's dataset-fashion-mnist")


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No data set is found but the embedded ones, whatever the machine holds."""
    monkeypatch.delenv("TINYAE_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sources.KNOWN["fashion-mnist"], "folder", str(tmp_path / "debian"))


def write_idx(folder, opening):
    """A small IDX data set whose training labels begin with `opening`."""
    folder.mkdir(parents=True)
    labels = np.array([*opening, 0, 1], np.uint8)
    for name in idx.FILES:
        array = labels if "labels" in name else np.zeros((len(labels), 2, 2), np.uint8)
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / name).write_bytes(header + array.tobytes())


MNIST = sources.KNOWN["mnist"].opening
FASHION = sources.KNOWN["fashion-mnist"].opening


def test_digits():
    data = load("digits")
    assert data.train.x.shape == (1437, 8, 8, 1) and data.test.x.shape == (360, 8, 8, 1)
    assert data.train.x.dtype == np.uint8 and data.train.labels.dtype == np.int64
    scale = np.rint(np.arange(17) * 255 / 16)
    assert set(np.unique(data.train.x)) == set(scale)
    assert data.class_count == 10 and data.licence == "CC BY 4.0"
    # the first image of the published file, a zero, in its own unit
    assert np.rint(data.train.x[0, 1, :, 0] / 255 * 16).tolist() == [0, 0, 13, 15, 10, 15, 5, 0]
    assert data.train.labels[:10].tolist() == list(range(10))


def test_fashion_mini():
    data = load("fashion-mini")
    assert data.train.x.shape == (5000, 28, 28, 1) and data.test.x.shape == (500, 28, 28, 1)
    assert np.bincount(data.train.labels).tolist() == [500] * 10
    assert np.bincount(data.test.labels).tolist() == [50] * 10
    assert data.class_names[9] == "Ankle boot" and data.licence == "MIT"


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("digits", "eaa9834de03c5a5ab5b2e0d1d7b16b2f02b453c1871a3a71f8b2a016964dfb4d"),
        ("fashion-mini", "b3830d23e336167345deed1b4db3d27ba1f0084986a2f3b923b32ff8e0e2d8e5"),
    ],
)
def test_embedded_content_never_changes(name, digest):
    data = load(name)
    content = b"".join(part.x.tobytes() + part.labels.astype("<i8").tobytes() for part in (data.train, data.test))
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize("name", ["digits", "fashion-mini"])
def test_embedded_train_and_test_parts_share_no_image(name):
    data = load(name)
    train = {image.tobytes() for image in data.train.x}
    assert not any(image.tobytes() in train for image in data.test.x)


def test_embedded_files_are_small():
    assert sum(path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file()) <= 2_500_000


@pytest.mark.parametrize(
    ("name", "licence", "source"),
    [
        ("digits", "Attribution 4.0 International", "https://doi.org/10.24432/C50P49"),
        ("fashion-mini", "Copyright © 2017 Zalando SE", "https://github.com/zalandoresearch/fashion-mnist"),
    ],
)
def test_embedded_sets_carry_their_licence_and_source(name, licence, source):
    assert licence in (EMBEDDED / name / "LICENSE").read_text(encoding="utf-8")
    assert source in (EMBEDDED / name / "SOURCE.md").read_text(encoding="utf-8")


def check_embedded_files(name, arrays):
    for file, array in zip(idx.FILES, arrays, strict=True):
        packed = (EMBEDDED / name / (file + ".gz")).read_bytes()
        assert gzip.decompress(embed.encode(array)) == gzip.decompress(packed)
        assert packed[:10] == embed.encode(array)[:10]  # no time stamp and no name in the header


def test_digits_are_those_of_scikit_learn():
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    check_embedded_files("digits", embed.digits())


@needs_debian
def test_fashion_mini_is_part_of_fashion_mnist(monkeypatch):
    monkeypatch.setattr(sources.KNOWN["fashion-mnist"], "folder", DEBIAN)
    check_embedded_files("fashion-mini", embed.fashion_mini())


@needs_debian
def test_fashion_mnist_of_debian(monkeypatch):
    monkeypatch.setattr(sources.KNOWN["fashion-mnist"], "folder", DEBIAN)
    data = load("fashion-mnist")
    assert data.train.x.shape == (60_000, 28, 28, 1) and data.test.x.shape == (10_000, 28, 28, 1)
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    assert data.source == DEBIAN and data.licence == "MIT"


@pytest.mark.parametrize("place", ["mnist", "."])
def test_tinyae_data_is_searched_by_name_and_itself(tmp_path, monkeypatch, place):
    write_idx(tmp_path / "store" / place, MNIST)
    monkeypatch.setenv("TINYAE_DATA", str(tmp_path / "store"))
    data = load("mnist")
    assert len(data.train) == 12 and os.path.samefile(data.source, tmp_path / "store" / place)


def test_tinyae_data_goes_before_other_places(tmp_path, monkeypatch):
    write_idx(tmp_path / "store/fashion-mnist", FASHION)
    write_idx(tmp_path / "debian", FASHION)
    monkeypatch.setenv("TINYAE_DATA", str(tmp_path / "store"))
    assert load("fashion-mnist").source == str(tmp_path / "store/fashion-mnist")


def test_the_system_folder_goes_before_the_cache(tmp_path):
    write_idx(tmp_path / "home/.cache/tinyae/fashion-mnist", FASHION)
    assert load("fashion-mnist").source == str(tmp_path / "home/.cache/tinyae/fashion-mnist")
    write_idx(tmp_path / "debian", FASHION)
    assert load("fashion-mnist").source == str(tmp_path / "debian")


@pytest.mark.parametrize(
    ("name", "opening", "other"), [("mnist", FASHION, "fashion-mnist"), ("fashion-mnist", MNIST, "mnist")]
)
def test_mnist_and_fashion_mnist_are_not_confused(tmp_path, monkeypatch, name, opening, other):
    write_idx(tmp_path / "store", opening)
    monkeypatch.setenv("TINYAE_DATA", str(tmp_path / "store"))
    refused(lambda: load(name), f"holds {other}, not {name}")


def test_labels_beyond_the_ten_classes_are_refused(tmp_path, monkeypatch):
    write_idx(tmp_path / "store/mnist", (10,) * 10)
    monkeypatch.setenv("TINYAE_DATA", str(tmp_path / "store"))
    refused(lambda: load("mnist"), "labels", "outside 0..9")


def test_an_absent_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path):
    refused(lambda: load("mnist"), str(tmp_path / "home/.cache/tinyae/mnist"), "tinyae.data.fetch('mnist')", "digits")


def test_an_incomplete_set_names_what_is_missing(tmp_path):
    folder = tmp_path / "home/.cache/tinyae/mnist"
    write_idx(folder, MNIST)
    (folder / idx.FILES[2]).unlink()
    refused(lambda: load("mnist"), str(folder), idx.FILES[2])


@pytest.mark.parametrize(
    ("name", "near"), [("fasion-mnist", "fashion-mnist"), ("cifar-10", "cifar10"), ("digit", "digits"), ("MNIST", None)]
)
def test_an_unknown_name_is_answered_with_the_nearest(name, near):
    words = [f"did you mean '{near}'?"] if near else []
    refused(lambda: load(name), f"unknown data set '{name}'", "fashion-mini", *words)


@pytest.mark.parametrize("path", ["nowhere/a.npz", "a.npy", "a\nb", pathlib.Path("mnist")])
def test_a_path_that_does_not_exist(path):
    refused(lambda: load(path), "no such file or folder")


@pytest.mark.parametrize("odd", [None, 3, [], "a\0b", np.zeros(2)])
def test_what_is_no_path_is_refused(odd):
    with pytest.raises(ConfigError, match="name_or_path: expected a path, got"):
        load(odd)


def test_a_name_without_end_is_cut_in_the_message():
    assert len(str(suggest("data set", "a" * 5000, ["digits"]))) < 300


def test_a_path_object_is_never_a_name(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.zeros((3, 2), np.uint8))
    (tmp_path / "x.npy").rename(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    refused(lambda: load(pathlib.Path("digits")), "not a file that tinyae can read")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    refused(lambda: load(tmp_path / "a.txt"), "a.txt", ".npy, .npz")


@pytest.mark.parametrize("name", ["digits", "a.npy", "."])
def test_size_is_for_folders_of_images(tmp_path, monkeypatch, name):
    write_idx(tmp_path / "folder", MNIST)
    monkeypatch.chdir(tmp_path / "folder")
    np.save("a.npy", np.zeros((3, 2), np.uint8))
    refused(lambda: load(name, size=8), name, "leave size out")


def test_the_catalogue_lists_every_set_and_fits_into_json():
    entries = json.loads(json.dumps(catalogue()))
    names = [entry["name"] for entry in entries]
    assert names == ["digits", "fashion-mini", "mnist", "fashion-mnist", "cifar10", "dsprites"]
    for entry in entries:
        assert entry["available"] == (entry["name"] in ("digits", "fashion-mini", "dsprites"))
        assert entry["fetchable"] != entry["available"]
        assert (entry["where"] is not None) == entry["available"]
        assert entry["licence"] and entry["source"] and entry["description"]


@pytest.mark.parametrize("name", ["digits", "fashion-mini", "dsprites"])
def test_the_catalogue_tells_the_truth(name):
    data = load(name)
    entry = next(entry for entry in catalogue() if entry["name"] == name)
    assert tuple(entry["shape"]) == data.shape
    assert (entry["train"], entry["test"], entry["classes"]) == (len(data.train), len(data.test), data.class_count)


def test_the_catalogue_sees_what_was_put_in_place(tmp_path):
    write_idx(tmp_path / "home/.cache/tinyae/mnist", MNIST)
    entry = next(entry for entry in catalogue() if entry["name"] == "mnist")
    assert entry["available"] and entry["where"] == str(tmp_path / "home/.cache/tinyae/mnist")


def test_an_import_brings_in_nothing_heavy():
    # the parent package stands in as an empty module: what else it imports is tested elsewhere
    heavy = "gzip zipfile tarfile lzma urllib.request http.client hashlib PIL difflib tempfile numpy.random"
    script = (
        "import sys, types, numpy; parent = types.ModuleType('tinyae'); before = set(sys.modules); "
        f"parent.__path__ = {tinyae.__path__!r}; sys.modules['tinyae'] = parent; import tinyae.data; "
        f"print(*sorted(set({heavy.split()}) & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_public_names():
    assert set(tinyae.data.__all__) == {"DataError", "Dataset", "Split", "catalogue", "fetch", "load", "to_float"}
