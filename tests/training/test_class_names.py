"""The names of classes are kept with a model, and what it is asked about is matched to them by name."""

import json
import os
import pathlib

import numpy as np
import pytest

import tinyae
from tinyae import cli
from tinyae.checkpoint import files as checkpoint
from tinyae.data import Dataset, Split
from tinyae.data.dataset import find_class
from tinyae.errors import ConfigError, DataError

PETS = ("bird", "cat", "dog")


def images(labels):
    """A picture of its class each: the row of that number is white."""
    x = np.zeros((len(labels), 3, 3, 1), np.uint8)
    x[np.arange(len(labels)), labels] = 255
    return x


def pets(names=PETS, true=PETS, count=60):
    """Pictures of the classes `names`, whose row is the place of the name in `true`."""
    labels = np.arange(count) % len(names)
    rows = np.array([true.index(name) for name in names])[labels]
    return Dataset("pets", Split(images(rows), labels), Split(images(rows[:12]), labels[:12]), names)


def small(**options):
    return tinyae.models.CVAE(**{"input_shape": (3, 3, 1), "latent_dim": 2, "hidden": (8,), "classes": 3} | options)


def train(model, data, out=None, epochs=1, **options):
    return tinyae.fit(model, data, epochs=epochs, batch_size=20, out=out, progress=False, **options)


def test_names_are_kept_in_a_checkpoint(tmp_path):
    model = small()
    assert model.class_names is None
    train(model, pets(), tmp_path)
    assert model.class_names == PETS and tinyae.load(tmp_path).class_names == PETS
    model.save(tmp_path / "m.npz")
    assert tinyae.load(tmp_path / "m.npz").class_names == PETS
    train(model, (pets().train.x, pets().train.labels))
    assert model.class_names == PETS  # unnamed labels are numbers of the model's classes
    unlabelled = tinyae.models.VAE(input_shape=(3, 3, 1), hidden=(4,))
    train(unlabelled, pets())
    assert unlabelled.class_names == PETS
    train(unlabelled, pets().train.x)
    assert unlabelled.class_names is None


def test_a_file_without_names_has_none(tmp_path):
    small().save(tmp_path / "m.npz")
    assert tinyae.load(tmp_path / "m.npz").class_names is None
    assert "class_names" not in checkpoint.read(tmp_path / "m.npz").meta


def test_labels_are_renumbered_by_name():
    part = Dataset("d", Split(np.zeros((4, 2)), np.array([0, 1, 1, -1])), None, ("dog", "bird"))
    known = part.numbered_as(PETS, "cvae")
    assert known.class_names == PETS and known.train.labels.tolist() == [2, 0, 0, -1]
    assert part.train.labels.tolist() == [0, 1, 1, -1]
    with pytest.raises(DataError, match=r"d has classes that cvae does not have \(dog\): it has bird, cat"):
        part.numbered_as(("bird", "cat"), "cvae")
    unnamed = Dataset("d", Split(np.zeros((2, 2)), np.array([2, 0])))
    assert unnamed.numbered_as(PETS, "cvae").train.labels.tolist() == [2, 0]
    only_listed = Dataset("d", Split(np.zeros((2, 2)), np.array([1, 1])), None, ("horse", "dog"))
    assert only_listed.numbered_as(PETS, "cvae").train.labels.tolist() == [2, 2]  # no example is a horse


def test_going_on_with_other_folders_matches_classes_by_name(monkeypatch):
    """Two models see the same: classes dog, bird as they are named, and as the first run numbers them."""
    one, two = small(), small()
    for model in (one, two):
        train(model, pets())
    train(one, pets(("dog", "bird")), test=pets(("dog", "cat")))
    right = pets(("dog", "bird"))
    right.train.labels = np.array([2, 0])[right.train.labels]
    train(two, (right.train.x, right.train.labels))
    np.testing.assert_array_equal(one.store.flat, two.store.flat)
    with pytest.raises(DataError, match=r"pets has classes that cvae does not have \(cow\)"):
        train(one, pets(("bird", "cow"), ("bird", "cow")))
    with pytest.raises(DataError, match=r"pets has classes that cvae does not have \(cow\)"):
        train(one, pets(), test=pets(("bird", "cow"), ("bird", "cow")))
    assert one.class_names == PETS


def test_without_labels_the_classes_may_be_any():
    model = tinyae.models.VAE(input_shape=(3, 3, 1), hidden=(4,))
    history = train(model, pets(), test=pets(("cow", "cat"), ("cow", "cat")), without_class=1)
    assert "test" in history.records[0] and model.class_names == PETS


def test_a_class_is_left_out_by_its_name():
    one, two = (tinyae.models.VAE(input_shape=(3, 3, 1), hidden=(4,)) for _ in range(2))
    train(one, pets(), without_class="cat")
    train(two, pets(), without_class=1)
    np.testing.assert_array_equal(one.store.flat, two.store.flat)
    with pytest.raises(ConfigError, match="unknown class of pets 'cow'"):
        train(one, pets(), without_class="cow")
    with pytest.raises(ConfigError, match="these data have no class names, give the class's number"):
        train(one, (pets().train.x, pets().train.labels), without_class="cat")


COMPOSED, APART, BYTES = "K\u00e4tzchen", "Ka\u0308tzchen", "K\udcc3\udca4tzchen"  # the last: under LC_ALL=C


@pytest.mark.parametrize("written", [COMPOSED, APART, BYTES])
@pytest.mark.parametrize("known", [COMPOSED, APART, BYTES])
def test_a_name_is_the_same_however_its_letters_are_written(written, known):
    model = small()
    model.class_names = ("bird", known, "dog")
    renumbered = pets((written, "dog"), (written, "dog")).numbered_as(model.class_names, "cvae")
    np.testing.assert_array_equal(renumbered.train.labels[:4], [1, 2, 1, 2])
    assert find_class(written, model.class_names, 3, "cvae") == 1
    with pytest.raises(DataError, match="class_names must be different"):
        pets((written, known), (written, known))


def test_a_name_with_half_a_character_stays():
    assert find_class("\ud800", ("a", "\ud800"), 2, "cvae") == 1


def test_folders_of_a_class_that_is_written_in_two_ways(tmp_path):
    for part, name in (("train", COMPOSED), ("test", APART)):
        write_folder(tmp_path / part, (name, "dog"), (name, "dog"), count=2)
    data = tinyae.data.load(tmp_path)
    assert data.class_names == (COMPOSED, "dog")
    np.testing.assert_array_equal(data.test.labels, data.train.labels)


# the command line


def call(*words, code=0):
    assert cli.main(list(map(str, words))) == code


def write_folder(path, names, true=PETS, count=24):
    image = pytest.importorskip("PIL.Image")
    for name in names:
        (path / name).mkdir(parents=True)
        for i in range(count):
            picture = images([true.index(name)])[0, :, :, 0]
            picture[0, 0] = i  # not all the same
            image.fromarray(picture).save(path / name / f"{i}.png")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Folders of pictures, and runs on one of them."""
    folder, before = tmp_path_factory.mktemp("pets"), os.getcwd()
    os.chdir(folder)
    write_folder(pathlib.Path("three"), PETS)
    write_folder(pathlib.Path("two"), ("cat", "dog"))
    write_folder(pathlib.Path("others"), ("cat", "cow"), ("cat", "cow"))
    write_folder(pathlib.Path("numbers"), ("2", "5", "7"), ("2", "5", "7"))
    options = ("--epochs", 60, "--batch-size", 20, "--no-pictures", "--set", "hidden=32", "--lr", "0.01")
    labelled = ("--set", "labelled=30", "--set", "units=8", "--set", "dropout=0")
    call("train", "semi-aae", "--data", "three", *options, *labelled, "--out", "semi")
    brief = ("--epochs", 1, "--no-pictures", "--set", "hidden=8")
    call("train", "cvae", "--data", "three", *brief, "--out", "cvae")
    call("train", "cvae", "--data", "numbers", *brief, "--out", "numbered")
    call("train", "vae", "--data", "three", *brief, "--without-class", "cat", "--out", "vae")
    yield folder
    os.chdir(before)


@pytest.fixture
def answer(here, capsys):
    """What a command answers with --json."""

    def ask(*words):
        capsys.readouterr()
        call(*words, "--json")
        return json.loads(capsys.readouterr().out)

    return ask


@pytest.fixture
def refused(here, capsys):
    """The one line on stderr with which a command is refused."""

    def refuse(*words):
        capsys.readouterr()
        call(*words, code=2)
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("tinyae: ") and said.err.count("\n") == 1
        return said.err.removeprefix("tinyae: ").rstrip("\n")

    return refuse


def test_another_folder_is_matched_by_name(answer):
    for split in ("train", "test"):
        assert answer("evaluate", "semi", "--data", "two", "--split", split)["classified"] == 1.0


@pytest.mark.parametrize(
    "command", ["evaluate", "encode", "reconstruct", "traverse", "transfer", "interpolate", "neighbours", "compare"]
)
def test_a_class_that_the_model_does_not_know_is_refused(command, refused):
    said = refused(command, "semi", "--data", "others")
    assert said == "others has classes that semi-aae does not have (cow): it has bird, cat, dog; leave the others " \
                   "out, or rename them"  # fmt: skip


def test_codes_are_written_with_the_models_numbers(here, tmp_path):
    call("encode", "cvae", "--data", "two", "--split", "test", "--out", tmp_path / "c.npz")
    assert set(np.load(tmp_path / "c.npz")["labels"]) == {1, 2}


@pytest.mark.parametrize("text, label", [("5", 1), ("2,7", (0, 2)), ("7,2", (2, 0))])
def test_a_number_that_is_a_name_means_the_name_on_every_command(text, label, answer, tmp_path):
    call("sample", "numbered", "--labels", text, "-n", 2, "--out", tmp_path / "s.npz")
    assert np.load(tmp_path / "s.npz")["labels"].tolist() == list(np.broadcast_to(label, 2))
    names = text.split(",")
    moved = answer("transfer", "numbered", "--to", *names, "--out", tmp_path / "t.npz")
    assert moved["labels"] == [label] if len(names) == 1 else list(label)
    if len(names) == 1:
        options = ("--index", 3, "--dims", 1, "--steps", 2, "--label", text)
        call("traverse", "numbered", *options, "--out", tmp_path / "w.npz")
        model = tinyae.load("numbered")
        with np.load(tmp_path / "w.npz") as found:
            codes = found["codes"].reshape(-1, model.latent_dim)
            expected = model.decode(codes, np.full(len(codes), label))
            np.testing.assert_allclose(found["x"].reshape(expected.shape), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("words", [("sample", "--labels", "1"), ("traverse", "--label", "1"), ("transfer", "--to", "1"),
                                   ("arithmetic", "--add", "1"), ("evaluate", "--held-out", "1")])  # fmt: skip
def test_a_number_is_no_place_where_names_are_numbers(words, refused):
    command, *options = words
    assert "'1': known: 2, 5, 7" in refused(command, "numbered", *options)


@pytest.mark.parametrize("text", ["dog", "2"])
def test_a_class_is_called_by_name_or_number(text, here, tmp_path):
    call("sample", "cvae", "--labels", text, "-n", 2, "--out", tmp_path / "s.npz")
    assert np.load(tmp_path / "s.npz")["labels"].tolist() == [2, 2]


def test_a_class_with_a_comma_in_its_name():
    from tinyae.commands.images import asked_classes

    model = small()
    model.class_names = ("a,b", "a", "b")
    assert asked_classes("a,b", model) == [0] and asked_classes("b,a", model) == [2, 1]
    with pytest.raises(ConfigError, match="unknown class of cvae 'c'"):
        asked_classes("a,c", model)


def test_the_class_that_was_left_out_is_known_by_its_name(answer):
    """The class cat has another number in the folder `two` than in the folder that the run was trained on."""
    for name, trained_on in (("cat", False), ("dog", True)):
        notes = answer("evaluate", "vae", "--data", "two", "--held-out", name)["notes"]
        assert (f"the model was trained on class {name} too (train --without-class)" in notes) is trained_on


def test_runs_with_other_classes_are_not_compared(refused):
    assert "have different classes" in refused("compare", "cvae", "numbered", "--data", "three", "--codes")


@pytest.mark.parametrize(
    "names, said",
    [(("a", "b", "b"), "mine: class_names must be different, one for each class, got"),
     ("abc", "class_names: expected a sequence of names, got 'abc'")],
)  # fmt: skip
def test_every_class_has_a_name_of_its_own(names, said):
    with pytest.raises(ValueError, match=said):
        Dataset("mine", Split(np.zeros((3, 4), "uint8"), np.arange(3)), class_names=names)
