"""The data of a run: one object holds all facts about them that the training loop needs."""

import numpy as np
import pytest

import tinyae
from tinyae.data import Dataset, Split
from tinyae.errors import ShapeError
from tinyae.training.prepared import Prepared


def columns(n, seed=0):
    return np.random.default_rng(seed).normal(3, 2, (n, 2)).astype("float32")


def table(**parts):
    return Dataset("table", Split(columns(20), np.arange(20) % 2), class_names=("a", "b"), notes=("a note",), **parts)


@pytest.fixture
def model():
    return tinyae.models.AE(input_shape=(2,), hidden=(), latent_dim=1, loss="mse")


def test_all_of_a_run_s_data_are_in_one_object(model):
    data = table(validation=Split(columns(4, 1), [0, 1, 0, 1]), test=Split(columns(6, 2), [0, 1] * 3))
    prepared = Prepared(model, data, batch_size=6, without_class="b", seed=3)
    assert (prepared.training.count, prepared.training.steps_per_epoch, prepared.training.seed) == (10, 2, 3)
    assert {name: feed.count for name, feed in prepared.watched.items()} == {"validation": 2, "test": 3}
    assert prepared.class_names == ("a", "b") and prepared.notes == ["a note"]
    assert prepared.settings["without_class"] == 1
    assert prepared.seen == {"dtype": "float", "low": data.train.x.min(), "high": data.train.x.max()}
    assert prepared.fingerprints.keys() == prepared.watched.keys()


def test_the_columns_are_those_of_the_part_that_is_trained_on_and_the_model_is_not_changed(model):
    prepared = Prepared(model, table(), standardize=True, validation=0.25, seed=1)
    trained_on = prepared.training.x
    assert len(trained_on) == 15 and model.standardization is None and model.class_names is None
    np.testing.assert_allclose(prepared.standardization.apply(trained_on).mean(axis=0), 0, atol=1e-6)


def test_what_the_model_refuses_is_named_by_its_part(model):
    with pytest.raises(ShapeError, match="^the test split: "):
        Prepared(model, table(test=Split(np.zeros((3, 5)))))
    with pytest.raises(ShapeError, match="^ae: "):
        Prepared(model, columns(5), test=np.zeros((3, 5)))
