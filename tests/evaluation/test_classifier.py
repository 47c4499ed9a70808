"""The classifier whose features drawn images are judged in, and the judge."""

import math

import numpy as np
import pytest
from oracles import cross_entropy_with_logits

import tinyae
from tinyae.data import Dataset, Split
from tinyae.errors import ConfigError, DataError
from tinyae.evaluation import classifier, judge
from tinyae.evaluation.classifier import Classifier, train_classifier
from tinyae.evaluation.judge import Judge, evenly, sharpness
from tinyae.models.context import Network

SMALL = {"CHANNELS": (4, 6), "UNITS": 12, "STEPS": 400, "BATCH": 32}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(classifier, name, value)


def stripes(n, seed):
    """Images (n, 6, 5, 1) of bytes: noise with a bright row, a bright column or neither: labels 0, 1, 2."""
    rng = np.random.default_rng(seed)
    x, labels = rng.integers(0, 80, (n, 6, 5, 1), dtype=np.uint8), rng.integers(0, 3, n)
    for image, label, place in zip(x, labels, rng.integers(1, 4, n), strict=True):
        if label < 2:
            image[(slice(None),) * label + (place,)] = 255
    return Split(x, labels)


@pytest.fixture(scope="module")
def data():
    return Dataset("stripes", stripes(300, 0), stripes(100, 1), ("row", "column", "neither"))


def batch(n=7, dtype="float64"):
    rng = np.random.default_rng(2)
    return {"x": rng.random((n, 6, 5, 1)).astype(dtype), "labels": rng.integers(0, 3, n)}


# the classifier


def test_sizes(monkeypatch):
    monkeypatch.undo()
    convolutions = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64)
    assert Classifier().param_count == convolutions + (49 * 64 * 128 + 128) + (128 * 10 + 10) == 421_642
    assert "classifier" not in tinyae.models.NAMES


def test_gradients(monkeypatch):
    assert tinyae.gradcheck(Classifier((6, 5, 2), 3)).passed
    backward = Network.backward
    monkeypatch.setattr(Network, "backward", lambda *given: 1.001 * backward(*given))
    assert not tinyae.gradcheck(Classifier((6, 5, 2), 3)).passed


def test_terms_are_those_of_the_definition():
    model, given = Classifier((6, 5, 1), 3, dtype="float64"), batch()
    terms = model.loss(given)
    logits = model.apply("head", model.features(given["x"]))
    assert float(terms["loss"]) == pytest.approx(cross_entropy_with_logits(logits, given["labels"]), rel=1e-12)
    right = [row.tolist().index(max(row)) == label for row, label in zip(logits, given["labels"], strict=True)]
    assert float(terms["accuracy"]) == pytest.approx(sum(right) / 7)
    np.testing.assert_array_equal(model.classes_of(model.features(given["x"])) == given["labels"], right)


def test_it_learns_and_the_seed_decides(data):
    model, accuracy = train_classifier(data, seed=1)
    assert accuracy > 0.9
    right = model.classes_of(model.features(data.test.x)) == data.test.labels
    assert accuracy == pytest.approx(right.mean())
    again, other = (train_classifier(data, seed)[0].store.flat for seed in (1, 2))
    np.testing.assert_array_equal(model.store.flat, again)
    assert not np.array_equal(model.store.flat, other)


def test_weights_are_those_of_the_seed(data, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 1)
    monkeypatch.setattr(classifier, "RATE", 1e-9)
    model, _ = train_classifier(data, seed=3)
    np.testing.assert_allclose(model.store.flat, Classifier((6, 5, 1), 3, seed=3).store.flat, atol=1e-7)


def test_features_are_those_of_evaluation_and_keep_their_dtype():
    for dtype in ("float32", "float64"):
        model, x = Classifier((6, 5, 1), 3, dtype=dtype), batch(dtype=dtype)["x"]
        features = model.features(x)
        assert features.shape == (7, 12) and features.dtype == dtype and features.min() == 0 < features.max()
        np.testing.assert_array_equal(features, model.features(x))


def test_on_the_stand_in(strict_device):
    given = batch(dtype="float32")
    host, device = (Classifier((6, 5, 1), 3, backend=backend) for backend in ("numpy", "cupy"))
    (terms, grads), (told, found) = (model.loss_and_grads(given, seed=3) for model in (host, device))
    for name, value in terms.items():
        np.testing.assert_allclose(strict_device.host(told[name]), value, rtol=1e-5)
    for name, value in grads.items():
        np.testing.assert_allclose(strict_device.host(found[name]), value, atol=1e-5 * np.abs(value).max())
    classes = (model.classes_of(model.features(given["x"])) for model in (host, device))
    np.testing.assert_array_equal(*classes)


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(DataError, match="classifier has 2 classes, so labels are 0 to 1"):
        Classifier((6, 5, 1), 2).loss(batch())
    with pytest.raises(ConfigError, match="classifier needs labels"):
        Classifier((6, 5, 1), 2).loss({"x": batch()["x"]})
    with pytest.raises(ConfigError, match="takes images"):
        Classifier((30,), 2)


# the judge


@pytest.fixture(scope="module")
def judged(data):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(classifier, name, value)
        patch.setattr(judge, "NEAR", 20)
        return Judge(data)


def test_the_test_images_themselves_are_as_good_as_can_be(judged, data):
    x = (data.test.x / 255).astype("float32")
    found = judged.figures(x)
    assert judged.count == 100 and judged.accuracy > 0.9
    assert found["frechet"] == pytest.approx(0, abs=1e-6)
    assert found["sample_sharpness"] == pytest.approx(1) and found["diversity"] == pytest.approx(1)
    p = np.bincount(judged.classifier.classes_of(judged.classifier.features(x))) / 100
    assert found["class_entropy"] == pytest.approx(-sum(v * math.log(v) for v in p))
    train = data.train.x.reshape(300, -1) / 255
    nearest = [min(math.sqrt(np.mean((row - other) ** 2)) for other in train) for row in x.reshape(100, -1)]
    assert judged.data["nearest"] == pytest.approx(np.mean(nearest[:20]), rel=1e-5)


def test_the_datas_own_figures_are_those_of_training_images(judged, data):
    found = judged.figures(evenly(data.train.x, 100))
    assert found["nearest"] == pytest.approx(0, abs=1e-7)
    assert {**found, "nearest": judged.data["nearest"]} == judged.data
    assert judged.data["frechet"] > 0 < judged.data["nearest"]


def test_a_collapse_shows(judged, data):
    one = np.repeat(evenly(data.test.x, 1), 100, axis=0)
    found = judged.figures(one)
    assert found["diversity"] == pytest.approx(0, abs=1e-6) and found["class_entropy"] == 0
    assert found["frechet"] > 10 * judged.data["frechet"]


def test_blur_shows(judged, data):
    x = evenly(data.test.x, 100)
    blurred = (x + np.roll(x, 1, axis=1)) / 2
    found = judged.figures(blurred)
    assert found["sample_sharpness"] == pytest.approx(sharpness(blurred) / sharpness(x)) and sharpness(x) > 0
    assert found["sample_sharpness"] < 0.9 and found["frechet"] > judged.data["frechet"]


def test_what_is_judged_beside_nothing_is_refused(data):
    with pytest.raises(DataError, match="bare has none"):
        Judge(Dataset("bare", Split(data.train.x), Split(data.test.x)))
    with pytest.raises(DataError, match="half has none"):
        Judge(Dataset("half", data.train, None))
    rows = Split(np.zeros((4, 3), "float32"), np.array([0, 1, 0, 1]))
    with pytest.raises(ConfigError, match=r"wide has examples of shape \(3,\)"):
        Judge(Dataset("wide", rows, rows))
