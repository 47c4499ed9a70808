"""Models side by side: the figures, the rows of the picture, and the command."""

import json

import numpy as np
import pytest
from command_line import refused, run

import tinyae
from tinyae import compare
from tinyae.errors import ConfigError, ShapeError


@pytest.fixture
def x():
    return np.random.default_rng(0).random((20, 6, 5, 1), dtype="float32")


class Copy:
    """A model whose code is its image."""

    generative = standard_prior = uses_labels = discrete_codes = False
    input_shape, latent_dim = (6, 5, 1), 30

    def given(self, labels):
        return {}

    def encode(self, x):
        return x.reshape(len(x), -1)

    def decode(self, z):
        return z.reshape(-1, *self.input_shape)

    def reconstruct(self, x):
        return x


def test_a_copy_is_perfect_and_as_sharp(x):
    (figures,), rows = compare.compare([("copy", Copy())], x)
    assert figures["rms"] == 0 and figures["sharpness"] == 1
    assert [label for label, _ in rows] == [
        "input", "copy: reconstruction", "copy: from first to second", "copy: random codes",
    ]  # fmt: skip
    assert all(images.shape == (10, 6, 5, 1) for _, images in rows)
    np.testing.assert_allclose(rows[2][1][0], x[0], rtol=1e-6)
    np.testing.assert_allclose(rows[2][1][-1], x[1], rtol=1e-6)


def test_blur_lowers_sharpness(x):
    blurred = (x[:, 1:] + x[:, :-1]) / 2
    assert compare.sharpness(blurred) < 0.8 * compare.sharpness(x)
    assert compare.sharpness(np.ones((2, 3, 3, 1))) == 0


def test_nearest_rms_against_loops(x):
    drawn = np.random.default_rng(1).random((3, 6, 5, 1), dtype="float32")
    nearest = [min(np.sqrt(np.mean((a - b) ** 2)) for b in x) for a in drawn]
    assert compare.nearest_rms(drawn, x) == pytest.approx(np.mean(nearest), rel=1e-4)
    assert compare.nearest_rms(x[:5], x) < 1e-3


def test_random_codes_follow_the_prior_or_the_codes(x):
    vae = tinyae.models.VAE(input_shape=(6, 5, 1), latent_dim=3)
    prior = compare.random_codes(vae, x, 4000, seed=0)
    assert abs(prior.mean()) < 0.05 and abs(prior.std() - 1) < 0.05
    codes = compare.random_codes(Copy(), x, 4000, seed=0)
    np.testing.assert_allclose(codes.mean(axis=0), x.reshape(20, -1).mean(axis=0), atol=0.03)
    np.testing.assert_allclose(codes.std(axis=0), x.reshape(20, -1).std(axis=0), atol=0.03)


def test_models_that_know_labels_are_told_them(x):
    options = dict(input_shape=(6, 5, 1), latent_dim=2, classes=3, hidden=(5,))
    runs = [("told", tinyae.models.CVAE(**options)), ("means", tinyae.models.ClassMeanVAE(**options))]
    labels = np.arange(20) % 3
    figures, rows = compare.compare(runs, x, labels=labels)
    for i, (_, model) in enumerate(runs):
        back = model.reconstruct(x, **model.given(labels))
        assert figures[i]["rms"] == pytest.approx(float(np.sqrt(np.mean((back - x) ** 2))), rel=1e-5)
        walk, drawn = rows[3 * i + 2][1], rows[3 * i + 3][1]
        np.testing.assert_allclose(walk[0], back[0], atol=1e-6)
        np.testing.assert_allclose(drawn, model.sample(100)[:10], atol=1e-6)
    with pytest.raises(ConfigError, match="cvae needs labels"):
        compare.compare(runs, x)


def test_other_shapes_are_refused(x):
    with pytest.raises(ShapeError, match=r"copy takes \(6, 5, 1\), the images are \(5, 6, 1\)"):
        compare.compare([("copy", Copy())], x.transpose(0, 2, 1, 3))
    with pytest.raises(ShapeError, match="at least 10"):
        compare.compare([("copy", Copy())], x[:9])


def test_the_command(tmp_path):
    pytest.importorskip("PIL")
    for name in ("ae", "vae"):
        run("train", name, "--data", "digits", "--epochs", "1", "--out", name, "--no-pictures", cwd=tmp_path)
    answer = json.loads(run("compare", "ae", "vae", "--json", cwd=tmp_path).stdout)
    assert [figures["run"] for figures in answer["runs"]] == ["ae (ae)", "vae (vae)"]
    assert (tmp_path / "ae" / "comparison.png").stat().st_size > 1000
    assert "different names" in refused("compare", "ae", "ae", cwd=tmp_path)
