"""Parts that come with the data: which arrays of a .npz they are, and what training makes of a validation part."""

import numpy as np
import pytest
from data_errors import refused

import tinyae
from tinyae.data import Dataset, Split, load
from tinyae.errors import ConfigError
from tinyae.training.prepared import parts


def rows(count, first=0):
    """Rows (count, 2) of floats in [0, 1] that begin with `first` / 100."""
    return np.arange(2 * first, 2 * (first + count)).reshape(-1, 2) / 200


def labels_of(data):
    return {name: None if part.labels is None else part.labels.tolist() for name, part in data.parts.items()}


@pytest.mark.parametrize("word", ("val", "valid", "validation"))
def test_npz_with_a_validation_part(tmp_path, word):
    path = tmp_path / "a.npz"
    names = {"x_train": rows(12), "y_train": np.arange(12) % 3, f"x_{word}": rows(2, 50), f"y_{word}": [1, 2]}
    np.savez(path, **names)
    data = load(path)
    assert len(data.train) == 12 and data.test is None
    np.testing.assert_array_equal(data.validation.x, np.float32([[0.5, 0.505], [0.51, 0.515]]))
    assert labels_of(data) == {"train": [0, 1, 2] * 4, "validation": [1, 2]}
    np.savez(path, **names, x_test=rows(1, 90), y_test=[4])
    data = load(path)
    assert labels_of(data) == {"train": [0, 1, 2] * 4, "validation": [1, 2], "test": [4]} and data.class_count == 5


def test_npz_names_in_any_case(tmp_path):
    np.savez(tmp_path / "a.npz", X_train=rows(3), Y_Train=[0, 1, 2], X_VAL=rows(1), X_test=rows(2), y_TEST=[2, 0])
    assert labels_of(load(tmp_path / "a.npz")) == {"train": [0, 1, 2], "validation": None, "test": [2, 0]}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": rows(3), "y_val": [1]}, ("y_val without x_val",)),
        ({"x": rows(3), "factors_val": [[1]]}, ("factors_val without x_val",)),
        ({"x": rows(3), "x_val": rows(1), "x_valid": rows(1)}, ("both x_val and x_valid",)),
        ({"x": rows(3), "x_val": np.zeros((2, 3))}, ("unlike x_val", "(2, 3)")),
        ({"x": rows(3), "x_val": rows(2), "y_val": [1]}, ("array y_val", "1 labels for 2")),
        ({"x": rows(3), "X": rows(3)}, ("two arrays named x",)),
    ],
)
def test_npz_with_a_wrong_validation_part(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(lambda: load(tmp_path / "a.npz"), "a.npz", *words)


def test_npz_says_what_it_does_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=rows(3), y_vall=[1, 2, 3], mask=rows(3))
    assert load(tmp_path / "a.npz").notes == ("not read, as the name says no part or label: mask, y_vall",)


@pytest.mark.parametrize("bit", (1, 128))
def test_no_flipped_bit_in_a_npz_loses_a_part_or_labels(tmp_path, bit):
    """In the directory at the end, where the checksums of the arrays do not reach."""
    path = tmp_path / "a.npz"
    np.savez(path, x_train=rows(3), y_train=[0, 1, 2], x_val=rows(1), x_test=rows(2))
    whole, expected = path.read_bytes(), labels_of(load(path))
    refusals = 0
    for place in range(whole.index(b"PK\x01\x02"), len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            data = load(path)
        except tinyae.errors.DataError:
            refusals += 1
        else:
            assert labels_of(data) == expected
    assert refusals > 100


def test_the_best_epoch_is_that_of_the_datas_own_validation_part(tmp_path):
    """The training loss falls with each epoch; on examples that are the opposite, the loss rises."""
    train = np.full((32, 4), 0.9, np.float32)
    data = Dataset("mine", Split(train), Split(train[:4]), validation=Split(1 - train[:8]))
    model = tinyae.models.AE(input_shape=(4,), hidden=(), latent_dim=1)
    history = tinyae.fit(model, data, epochs=4, batch_size=8, lr=0.05, progress=False, out=tmp_path)
    assert [sorted(record)[-2:] for record in history.records] == [["train", "validation"]] * 4
    assert {"test", "train", "validation"} < set(history.records[0])
    losses = [record["validation"]["loss"] for record in history.records]
    assert losses == sorted(losses) and losses[0] < losses[-1] and history.best["epoch"] == 1
    trained = [record["train"]["loss"] for record in history.records]
    assert trained == sorted(trained, reverse=True)


def test_a_share_is_not_held_out_beside_a_validation_part():
    data = Dataset("mine", Split(rows(20)), validation=Split(rows(5)))
    model = tinyae.models.AE(input_shape=(2,), hidden=(), latent_dim=1)
    before = model.store.flat.copy()
    with pytest.raises(ConfigError, match="validation split of their own"):
        tinyae.fit(model, data, epochs=1, validation=0.1, progress=False)
    np.testing.assert_array_equal(model.store.flat, before)


def test_a_class_left_out_is_left_out_of_the_validation_part():
    data = Dataset("mine", Split(rows(4), np.array([0, 0, 1, 1])), validation=Split(rows(3), np.array([0, 1, 1])))
    settings = {"binarize": None, "without_class": 1, "validation": 0.0, "seed": 0}
    training, watched = parts(data.train.x, data.train.labels, None, settings, validation=data.validation)
    assert training[1].tolist() == [0, 0] and watched["validation"][1].tolist() == [0]


@pytest.mark.parametrize("name", ("validation", "test"))
def test_a_part_that_the_model_refuses_is_named(name):
    parts = {"validation": Split(rows(3), [0, 1, 0]), "test": Split(rows(3), [0, 1, 0])}
    data = Dataset("mine", Split(rows(4), [0, 1, 0, 1]), **(parts | {name: Split(rows(3))}))
    model = tinyae.models.CVAE(input_shape=(2,), hidden=(4,), latent_dim=1, classes=2)
    with pytest.raises(tinyae.errors.TinyaeError, match=f"the {name} split: cvae needs labels"):
        tinyae.fit(model, data, epochs=1, progress=False)
