"""tinyae.data: which sub-folders of a folder of images are its parts and which its classes."""

import numpy as np
import pytest
from data_errors import refused

from tinyae.cli import main
from tinyae.data import load

Image = pytest.importorskip("PIL.Image", reason="needs the extra viz")


def fill(folder, *paths):
    """Images of 2x2 pixels, each of its own grey: 0, 1, 2, ... in the order given."""
    for i, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), i).save(folder / path, format="PNG")


def read(folder):
    """(class names, {part: [(grey, label)]})."""
    data = load(folder)
    greys = {name: part.x[:, 0, 0, 0].tolist() for name, part in data.parts.items()}
    labels = {name: part.labels for name, part in data.parts.items()}
    pairs = {
        name: grey if labels[name] is None else list(zip(grey, labels[name].tolist(), strict=True))
        for name, grey in greys.items()
    }
    return data.class_names, pairs


THREE = {"train": [(0, 0), (1, 1)], "validation": [(2, 0)], "test": [(3, 1)]}


@pytest.mark.parametrize(
    "train, val, test",
    [
        ("train", "val", "test"), ("Train", "Validation", "TEST"), ("training", "valid", "testing"),
        ("training_set", "val_set", "test set"), ("train2017", "val2017", "test1"), ("trainSet", "VAL", "Test-Images"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ("", "photos/", "a/b/"))
def test_parts_are_told_by_their_names(tmp_path, train, val, test, around):
    names = (f"{train}/cat/1.png", f"{train}/dog/1.png", f"{val}/cat/1.png", f"{test}/dog/1.png")
    fill(tmp_path, *(around + name for name in names))
    assert read(tmp_path) == (("cat", "dog"), THREE)


def test_what_systems_leave_in_folders_is_passed_over(tmp_path):
    names = "train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "test/dog/1.png"
    fill(tmp_path, *(f"photos/{name}" for name in names))
    fill(tmp_path, "__MACOSX/photos/train/cat/._1.png", ".ipynb_checkpoints/1.png", "photos/train/cat/.2.png")
    fill(tmp_path, "__MACOSX/1.png", "photos/train/cat/@eaDir/thumb.png", "photos/@eaDir/1.png", "photos/.c/1.png")
    for name in (".DS_Store", "photos/Thumbs.db", "photos/train/cat/desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    assert read(tmp_path) == (("cat", "dog"), THREE)
    assert load(tmp_path).notes == (
        "train: 2 images in train", "validation: 1 image in val", "test: 1 image in test",
        "2 classes by folder: cat, dog",
    )  # fmt: skip


def test_other_files_and_links_are_named(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/1.png")
    for name in ("readme.txt", "cat/2.heic", "dog/3.HEIC"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "bird").symlink_to(tmp_path / "cat")
    assert load(tmp_path).notes[1:] == ("files passed over: 2 .heic, 1 .txt", "linked folders are not followed: bird")


def test_images_beside_class_folders_are_left_out(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/1.png", "stray.png")
    assert read(tmp_path) == (("cat", "dog"), {"train": [(0, 0), (1, 1)]})
    assert "left out, as they lie next to the folders: stray.png" in load(tmp_path).notes


def test_images_beside_parts_are_left_out(tmp_path):
    fill(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "test/dog/1.png", "a.png", "train/b.png")
    assert read(tmp_path) == (("cat", "dog"), THREE)
    assert "left out, as they lie next to the folders: a.png, train/b.png" in load(tmp_path).notes


def test_more_images_beside_folders_than_in_them_are_refused(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/1.png", "a.png", "b.png", "c.png")
    refused(lambda: load(tmp_path), "3 images next to folders of images (cat, dog)")


@pytest.mark.parametrize("around", ("photos", "photos/summer"))
def test_a_folder_around_class_folders_is_no_class(tmp_path, around):
    fill(tmp_path, f"{around}/cat/1.png", f"{around}/dog/1.png")
    assert read(tmp_path) == (("cat", "dog"), {"train": [(0, 0), (1, 1)]})


def test_one_folder_of_images_is_no_class(tmp_path):
    fill(tmp_path, "celeba/images/1.png", "celeba/images/2.png")
    assert read(tmp_path) == (None, {"train": [0, 1]})
    assert load(tmp_path).notes == ("all images lie in celeba/images, which counts as no class",)


def test_a_folder_around_the_parts_may_have_a_parts_name(tmp_path):
    fill(tmp_path, "test/train/cat/1.png", "test/train/dog/1.png", "test/val/cat/1.png", "test/test/dog/1.png")
    assert read(tmp_path) == (("cat", "dog"), THREE)
    fill(tmp_path / "new", "test/train/1.png", "test/train/2.png")
    assert read(tmp_path / "new") == (None, {"train": [0, 1]})
    fill(tmp_path / "only", "test/cat/1.png", "test/dog/1.png")
    assert read(tmp_path / "only/test") == (("cat", "dog"), {"train": [(0, 0), (1, 1)]})


LONE = ("train", "a"), ("test", "b")


def test_one_folder_in_each_part_is_no_class(tmp_path):
    """It may stand around the images, as train_images and test_images do, or be a class: that is said."""
    fill(tmp_path, "train/a/1.png", "test/b/1.png")
    assert read(tmp_path) == (None, {"train": [0], "test": [1]})
    said = [f"{part}: all images lie in {name}, which counts as no class, so no labels" for part, name in LONE]
    assert load(tmp_path).notes[-2:] == tuple(said)
    fill(tmp_path, "test/c/1.png")
    assert read(tmp_path) == (("b", "c"), {"train": [0], "test": [(0, 1), (1, 0)][::-1]})
    assert load(tmp_path).notes[-1] == said[0]


def test_folders_around_the_classes_of_parts(tmp_path):
    fill(tmp_path, *(f"{part}/inner/{kind}/1.png" for part in ("train", "test") for kind in ("cat", "dog")))
    assert read(tmp_path) == (("cat", "dog"), {"train": [(0, 0), (1, 1)], "test": [(2, 0), (3, 1)]})


def test_the_only_class_of_a_part_is_one_of_anothers(tmp_path):
    """As where a model learns what is good, to find what is not."""
    fill(tmp_path, "train/good/1.png", "test/broken/1.png", "test/good/1.png")
    assert read(tmp_path) == (("broken", "good"), {"train": [(0, 1)], "test": [(1, 0), (2, 1)]})
    assert "train has no images of broken" in load(tmp_path).notes


@pytest.mark.parametrize(
    "names, why",
    [
        (("1.png", "2.png"), "no class folders"),
        (("images/1.png", "images/2.png"), "all images lie in images, which counts as no class"),
    ],
)
def test_a_part_without_class_folders_has_no_labels(tmp_path, names, why):
    fill(tmp_path, "train/cat/1.png", "train/dog/1.png", *(f"test/{name}" for name in names))
    assert read(tmp_path) == (("cat", "dog"), {"train": [(0, 0), (1, 1)], "test": [2, 3]})
    assert f"test: {why}, so no labels" in load(tmp_path).notes


@pytest.mark.parametrize(
    "paths, words",
    [
        (("train/1.png", "test/1.png", "masks/1.png"), ("images (masks) next to test, train",)),
        (("val/1.png", "test/1.png"), ("test, val and no train",)),
        (("test/1.png",), ("has test and no train: add it, or give the path of one of them",)),
        (("photos/Val/cat/1.png", "photos/Val/dog/1.png"), ("photos: has Val and no train",)),
        (("test/a/1.png", "notes.txt"), ("has test and no train",)),
        (("cat/1.png", "dog/1.png", "test/1.png"), ("images (cat, dog) next to test: put them into a folder train",)),
        (("cat/1.png", "dog/1.png", "Val/cat/1.png"), ("images (cat, dog) next to Val: put them into a folder train",)),
        (("train/cat/1.png", "train/dog/1.png", "bird/1.png"), ("images (bird) next to train",)),
        (("train1/1.png", "train2/1.png"), ("train1, train2, which name the same part",)),
        (("train/1.png", "val/1.png", "valid/1.png"), ("val, valid, which name the same part",)),
        (("Train/1.png", "train/2.png", "test/1.png"), ("Train, train, which name the same part",)),
        (("trainA/1.png", "trainB/1.png", "testA/1.png", "testB/1.png"), ("testA, testB, trainA, trainB", "look like")),
        (("seg_train/a/1.png", "seg_test/a/1.png", "seg_pred/1.png"), ("seg_test, seg_train, which look like parts",)),
        (("train/1.png", "test/notes.txt"), ("test: holds no images",)),
        (("photos/train/1.png", "photos/val/notes.txt"), ("photos/val: holds no images",)),
    ],
)
def test_names_that_leave_open_what_is_meant_are_refused(tmp_path, paths, words):
    fill(tmp_path, *paths)
    refused(lambda: load(tmp_path), *words)


def test_classes_whose_names_have_a_parts_word(tmp_path):
    names = "bird", "bullet_train", "cat", "test_tube", "truck"
    fill(tmp_path, *(f"{name}/1.png" for name in names))
    assert load(tmp_path).class_names == names


def test_folders_too_deep_for_python_are_refused(tmp_path, monkeypatch):
    def walk(folder, onerror):
        raise RecursionError

    monkeypatch.setattr("os.walk", walk)
    refused(lambda: load(tmp_path), "folders too deep in each other")


def test_a_folder_without_images_says_what_it_has(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    refused(lambda: load(tmp_path), "holds no images", "there are 1 .heic: put some there")
    (tmp_path / "b.npy").write_bytes(b"x")
    refused(lambda: load(tmp_path), "there are 1 .heic, 1 .npy: give the path of the data file itself")


def test_a_run_says_what_it_recognised_and_judges_by_the_validation_part(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, *(f"photos/{part}/{kind}/1.png" for part in ("train", "val") for kind in ("cat", "dog")))
    (tmp_path / "photos/train/cat/2.png").write_bytes((tmp_path / "photos/train/cat/1.png").read_bytes())
    assert main(["train", "ae", "--data", "photos", "--epochs", "1", "--set", "hidden=4", "--no-pictures"]) == 0
    said = capsys.readouterr().err
    assert "train: 3 images in train\nvalidation: 2 images in val\n2 classes by folder: cat, dog\n" in said
    assert '"validation": {' in (tmp_path / "runs/ae/metrics.jsonl").read_text()
    assert main(["encode", "runs/ae"]) == 0
    assert "photos: validation: 2 images in val\n" in capsys.readouterr().err
    saved = np.load(tmp_path / "runs/ae/codes.npz")
    assert saved["labels"].tolist() == [0, 0, 1, 0, 1]
    assert saved["files"].tolist() == [
        "train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png",
    ]  # fmt: skip


@pytest.mark.parametrize("strays", (["1.png"], ["photos/1.png"], ["1.png", "photos/1.png"]))
def test_pictures_beside_a_folder_around_the_parts(tmp_path, strays):
    fill(tmp_path, *(f"photos/{name}/1.png" for name in ("train/cat", "train/dog", "val/cat", "test/dog")), *strays)
    assert read(tmp_path) == (("cat", "dog"), THREE)
    assert load(tmp_path).notes[-1] == f"left out, as they lie next to the folders: {', '.join(strays)}"


@pytest.mark.parametrize("part", ("", "train/"))
def test_a_picture_beside_a_folder_around_the_classes(tmp_path, part):
    fill(tmp_path, f"{part}a/cat/1.png", f"{part}a/dog/1.png", f"{part}1.png")
    assert read(tmp_path) == (("cat", "dog"), {"train": [(0, 0), (1, 1)]})


def test_most_pictures_beside_a_folder_around_the_classes(tmp_path):
    fill(tmp_path, "a/cat/1.png", "a/dog/1.png", "1.png", "2.png", "3.png")
    refused(lambda: load(tmp_path), "holds 3 images next to folders of images (a)")


@pytest.mark.parametrize("around", ("", "a/"))
def test_parts_inside_of_classes_are_not_mixed(tmp_path, around):
    fill(tmp_path, *(f"{around}{name}/1.png" for name in ("cat/train", "cat/test", "dog/train", "dog/test")))
    words = "has test, train inside of cat, dog: put test and the others outside, test/cat and so on"
    refused(lambda: load(tmp_path), words)


def test_a_part_in_odd_case(tmp_path):
    fill(tmp_path, "tRAIN/cat/1.png", "tRAIN/dog/1.png", "vAl/cat/1.png", "TeSt/dog/1.png")
    assert read(tmp_path) == (("cat", "dog"), THREE)
