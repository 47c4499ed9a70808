"""The pictures of a run: which of them a model has."""

import numpy as np
import pytest
from pictures import FASHION, history, images

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")


from tinyae import plot  # noqa: E402
from tinyae.errors import ConfigError  # noqa: E402
from tinyae.models import AE, VAE  # noqa: E402
from tinyae.plot import report  # noqa: E402


def names(paths):
    return [path.name for path in paths]


def test_a_report_draws_what_applies(tmp_path):
    x = (images(60, 6, 6) * 255).astype(np.uint8)
    labels = np.arange(60) % 10
    model = VAE(input_shape=(6, 6, 1), latent_dim=2, hidden=(8,))
    x.flags.writeable = False
    written = plot.training_report(tmp_path / "new" / "folder", model, x, labels, FASHION, history(3))
    assert names(written) == ["reconstructions.png", "samples.png", "manifold.png", "codes.png", "curves.png"]
    assert all(path.stat().st_size > 1000 for path in written)
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 5

    model = VAE(input_shape=(6, 6, 1), latent_dim=3, hidden=(8,))
    assert names(plot.training_report(tmp_path, model, x)) == ["reconstructions.png", "samples.png", "codes.png"]
    model = AE(input_shape=(6, 6, 1), latent_dim=2, hidden=(8,))
    flat = x.reshape(60, 36)
    assert names(plot.training_report(tmp_path, model, flat, labels)) == ["reconstructions.png", "codes.png"]


@pytest.mark.parametrize("shape", [(7,), (4, 4, 2)])
def test_a_report_on_what_is_no_image(tmp_path, shape):
    x = np.random.default_rng(0).normal(size=(30, *shape)).astype(np.float32)
    model = VAE(input_shape=shape, latent_dim=2, hidden=(5,), likelihood="gaussian")
    expected = ["columns.png"] * (len(shape) == 1) + ["codes.png", "curves.png"]
    assert names(plot.training_report(tmp_path, model, x, records=history(2))) == expected


def test_a_report_leaves_out_what_a_model_refuses(tmp_path):
    class Coded(VAE):
        def decode(self, z):
            raise ConfigError("decode needs labels")

        def encode(self, x):
            raise ConfigError("encode needs labels")

    model = Coded(input_shape=(4, 4, 1), latent_dim=2, hidden=(5,))
    assert names(plot.training_report(tmp_path, model, images(12, 4, 4))) == ["reconstructions.png"]


def test_examples_are_spread_over_the_classes():
    labels = np.array([0] * 50 + [3] * 2 + [7] * 40 + [1])
    chosen = report._spread(labels, len(labels))
    assert len(set(chosen.tolist())) == 10
    assert np.bincount(labels[chosen], minlength=8).tolist() == [4, 1, 0, 2, 0, 0, 0, 3]
    assert (np.diff(labels[chosen]) >= 0).all()
    assert report._spread(np.arange(100) % 10, 100).tolist() == list(range(10))
    assert report._spread(None, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("loss, unit", [("bce", "nats"), ("mse", "squared error")])
def test_curves_of_a_report_are_in_the_units_of_the_loss(tmp_path, monkeypatch, loss, unit):
    model = AE(input_shape=(4, 4, 1), latent_dim=2, loss=loss)
    seen = []
    monkeypatch.setattr(report, "curves", lambda path, records, unit, per: seen.append(unit))
    plot.training_report(tmp_path, model, np.zeros((12, 4, 4, 1), "float32"), records=history(2))
    assert seen == [unit]
