"""Parzen windows, the quality of reconstructions, anomaly scores."""

import math

import numpy as np
import pytest

import tinyae
from tinyae.errors import ShapeError
from tinyae.evaluation import parzen as windows
from tinyae.evaluation.anomaly import roc_auc, scores
from tinyae.evaluation.likelihood import importance_weighted
from tinyae.evaluation.parzen import log_densities, parzen
from tinyae.evaluation.quality import errors, reconstruction_quality
from tinyae.losses.image import edges, ssim

# Parzen windows


def naive(samples, row, s):
    """log of the mean of the windows' densities, from the definition."""
    densities = [
        math.exp(math.fsum(-((float(a) - float(b)) ** 2) / (2 * s * s) for a, b in zip(row, sample, strict=True)))
        / (2 * math.pi * s * s) ** (len(row) / 2)
        for sample in samples
    ]
    return math.log(math.fsum(densities) / len(samples))


def test_log_densities_are_the_loop():
    rng = np.random.default_rng(0)
    samples, x = rng.random((7, 3)), rng.random((5, 3))
    expected = [[naive(samples, row, s) for row in x] for s in (0.2, 1.0)]
    np.testing.assert_allclose(log_densities(samples, x, (0.2, 1.0)), expected, rtol=1e-10)


def test_log_densities_far_from_every_sample_and_in_blocks(monkeypatch):
    samples, x = np.zeros((10, 784)), np.ones((9, 784))
    expected = -784 / (2 * 0.01) - 392 * math.log(2 * math.pi * 0.01)
    np.testing.assert_allclose(log_densities(samples, x, (0.1,)), np.full((1, 9), expected), rtol=1e-12)
    monkeypatch.setattr(windows, "BLOCK_VALUES", 20)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(log_densities(samples, x, (0.1,)), np.full((1, 9), expected), rtol=1e-12)
    images = rng.integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    np.testing.assert_allclose(
        log_densities(images, images, (0.3,)), log_densities(images / 255, images.reshape(6, 16) / 255, (0.3,))
    )


def test_parzen_finds_the_density_of_a_gaussian():
    """In two dimensions three thousand samples suffice; the bandwidth comes from the validation set alone."""
    rng = np.random.default_rng(0)
    samples, validation, test = (0.3 * rng.normal(size=(n, 2)) for n in (3000, 500, 1000))
    found = parzen(samples, validation, test)
    true = -(test**2).sum(axis=1) / (2 * 0.09) - math.log(2 * math.pi * 0.09)
    assert found["log_likelihood"] == pytest.approx(true.mean(), abs=0.03)
    assert found["standard_error"] == pytest.approx(true.std() / math.sqrt(1000), rel=0.1)
    assert 0.05 < found["bandwidth"] < 0.2 and not found["at_the_edge"]
    far = parzen(samples, validation, test + 3)
    assert far["bandwidth"] == found["bandwidth"] and far["log_likelihood"] < found["log_likelihood"] - 10
    assert parzen(samples, validation, test, (0.5, 0.6))["at_the_edge"]


def test_samples_of_another_size_are_refused():
    with pytest.raises(ShapeError, match="samples have 4 values, but the data have 9"):
        parzen(np.zeros((3, 2, 2)), np.zeros((3, 9)), np.zeros((3, 9)))


# the quality of reconstructions


@pytest.fixture(scope="module")
def data():
    return tinyae.data.load("fashion-mini")


class Blurred:
    """A "model" whose reconstruction is the image averaged over neighbouring columns."""

    input_shape, chunk, standardization = (28, 28, 1), 64, None

    def label_arguments(self, labels):
        return {}

    def reconstruct(self, x):
        x = tinyae.data.to_float(x)
        return (x + np.roll(x, 1, axis=2)) / 2


def test_quality_is_that_of_the_whole(data):
    x = data.test.x[:150]
    found = reconstruction_quality(Blurred(), x)
    target, y = x / 255, Blurred().reconstruct(x).astype("float64")
    error, strength = (y - target) ** 2, edges(target)
    assert found["rms"] == pytest.approx(math.sqrt(error.mean()), rel=1e-6)
    assert found["edge_rms"] == pytest.approx(math.sqrt((strength * error).sum() / strength.sum()), rel=1e-6)
    assert found["ssim"] == pytest.approx(ssim(y, target).mean(), rel=1e-6)
    assert found["edge_rms"] > 1.5 * found["rms"], "a blur errs at edges"
    np.testing.assert_allclose(errors(Blurred(), x), error.sum(axis=(1, 2, 3)), rtol=1e-5)


def test_quality_of_what_has_no_windows_or_is_no_image():
    small = tinyae.models.AE((8, 8, 1), 2, hidden=(4,))
    assert reconstruction_quality(small, np.zeros((3, 8, 8, 1), "float32")).keys() == {"rms", "edge_rms"}
    rows = tinyae.models.AE((6,), 2, hidden=(4,), loss="mse")
    assert reconstruction_quality(rows, np.zeros((3, 6), "float32")).keys() == {"rms"}


def test_standardised_columns_count_alike():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)) * [1, 1000, 0.01] + [0, 5, 7]
    model = tinyae.models.AE((3,), 2, hidden=(), loss="mse", dtype="float64")
    model.standardize(x)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    back = (model.reconstruct(x) - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(errors(model, x), ((back - z) ** 2).sum(axis=1), rtol=1e-5)
    assert float(model.loss({"x": x})["loss"]) == pytest.approx(errors(model, x).mean(), rel=1e-5)


# anomaly scores


def test_anomaly_scores_tell_an_unseen_class(data):
    """Trained on trousers and sneakers, a VAE finds bags odder; by the ELBO and by the error."""
    seen, odd = (1, 7), 8
    train, test = data.train, data.test
    model = tinyae.models.VAE(latent_dim=4, hidden=(64,))
    tinyae.fit(model, train.x[np.isin(train.labels, seen)], epochs=8, progress=False)
    chosen = np.isin(test.labels, (*seen, odd))
    x, positive = test.x[chosen], test.labels[chosen] == odd
    found = scores(model, x)
    assert found.keys() == {"elbo", "error"}
    assert all(roc_auc(values, positive) > 0.95 for values in found.values())
    np.testing.assert_array_equal(found["elbo"], -importance_weighted(model, x, 10).elbo)


def test_a_plain_autoencoder_has_an_error_alone(data):
    model = tinyae.models.AE(latent_dim=2, hidden=(8,))
    found = scores(model, data.test.x[:20])
    assert found.keys() == {"error"} and found["error"].shape == (20,)
