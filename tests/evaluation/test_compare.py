"""Models side by side: the figures, the rows of the picture, and the command."""

import json

import numpy as np
import pytest
from command_line import refused, run

import tinyae
from tinyae import cli, models
from tinyae.errors import ConfigError, ShapeError
from tinyae.evaluation import classifier, judge
from tinyae.evaluation import side_by_side as compare
from tinyae.traits import NoPrior, Vector


@pytest.fixture
def x():
    return np.random.default_rng(0).random((20, 6, 5, 1), dtype="float32")


class Copy:
    """A model whose code is its image."""

    code, prior, labels, input_shape, latent_dim = Vector(), NoPrior(), None, (6, 5, 1), 30

    def label_arguments(self, labels):
        return {}

    def encode(self, x):
        return x.reshape(len(x), -1)

    def decode(self, z):
        return z.reshape(-1, *self.input_shape)

    def reconstruct(self, x):
        return x


def test_a_copy_is_perfect_and_as_sharp(x):
    (figures,), rows = compare.side_by_side([("copy", Copy())], x)
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
    figures, rows = compare.side_by_side(runs, x, labels=labels)
    for i, (_, model) in enumerate(runs):
        back = model.reconstruct(x, **model.label_arguments(labels))
        assert figures[i]["rms"] == pytest.approx(float(np.sqrt(np.mean((back - x) ** 2))), rel=1e-5)
        walk, drawn = rows[3 * i + 2][1], rows[3 * i + 3][1]
        np.testing.assert_allclose(walk[0], back[0], atol=1e-6)
        np.testing.assert_allclose(drawn, model.sample(100)[:10], atol=1e-6)
    with pytest.raises(ConfigError, match="cvae needs labels"):
        compare.side_by_side(runs, x)


def test_draws_of_a_models_own_prior_are_called_samples(x):
    options = dict(input_shape=(6, 5, 1), latent_dim=2, hidden=(5,), units=(4,))
    uniform, normal = models.AAE(**options, prior="uniform"), models.VAE((6, 5, 1), latent_dim=2, hidden=(5,))
    drawn = dict(compare.side_by_side([("aae", uniform), ("vae", normal), ("copy", Copy())], x)[1])
    assert [label for label in drawn if label.endswith(("samples", "codes"))] == [
        "aae: samples", "vae: samples", "copy: random codes",
    ]  # fmt: skip
    np.testing.assert_allclose(drawn["aae: samples"], uniform.sample(100)[:10], atol=1e-6)


class Judge:
    """Remembers what it was asked about."""

    count, data = 130, {"frechet": 0.5, "nearest": 0.25}

    def __init__(self):
        self.seen = []

    def figures(self, drawn):
        self.seen.append(drawn)
        return {"frechet": 1.5, "nearest": 2.0}


@pytest.fixture
def drawers():
    """What draws images and reconstructs none, or not by itself: a GAN, a prior over codes, one over pixels."""
    prior = models.PixelCNN((2, 2), 4, width=3, blocks=1)
    prior.codec = models.VQVAE((6, 5, 1), codes=4, latent_dim=2)
    pixels = models.PixelCNN((6, 5, 1), 2, width=3, blocks=1)
    return [("gan", models.GAN((6, 5, 1), hidden=(4,))), ("prior", prior), ("pixels", pixels)]


def test_what_draws_and_does_not_reconstruct(x, drawers):
    gan, prior, pixels = (model for _, model in drawers)
    (of_gan, of_prior, of_pixels), rows = compare.side_by_side(drawers, x)
    assert of_gan["rms"] is None and of_gan["sharpness"] is None and of_pixels["rms"] is None
    back = prior.codec.reconstruct(x).clip(0, 1)
    assert of_prior["rms"] == pytest.approx(np.sqrt(np.mean((back - x) ** 2)), rel=1e-5)
    assert of_gan["random_rms"] > 0
    assert of_pixels["random_rms"] == pytest.approx(compare.nearest_rms(pixels.sample(100), x), rel=1e-6)
    drawn = dict(rows)
    assert list(drawn) == ["input", "gan: samples", "prior: reconstruction", "prior: samples", "pixels: samples"]
    np.testing.assert_allclose(drawn["prior: samples"], prior.images(prior.sample(100))[:10].clip(0, 1), atol=1e-6)
    np.testing.assert_array_equal(drawn["pixels: samples"], pixels.sample(100)[:10])


def test_a_judge_is_shown_as_many_as_it_asks_for(x, drawers):
    one, runs = Judge(), [("copy", Copy()), *drawers]
    plain, _ = compare.side_by_side(runs, x)
    figures, rows = compare.side_by_side(runs, x, judge=one)
    assert [drawn.shape for drawn in one.seen] == [(130, 6, 5, 1)] * 4
    for row, (label, images) in zip(one.seen, [pair for pair in rows if "recon" not in pair[0]][1:], strict=True):
        np.testing.assert_array_equal(row[:10], images, err_msg=label)
    assert [label for label, _ in rows][:3] == ["input", "copy: reconstruction", "copy: random codes"]
    for row, without in zip(figures, plain, strict=True):
        assert row == {**without, "random_rms": pytest.approx(without["random_rms"], rel=0.1)} | one.figures(None)


def test_the_table():
    figures = [{"run": "gan", "rms": None, "frechet": 1.23456}, {"run": "a long name", "rms": 0.5, "frechet": 200.0}]
    assert compare.table(figures) == [
        "                    rms   frechet",
        "gan                   -    1.2346",
        "a long name      0.5000  200.0000",
    ]
    above = compare.table([row | {"n": 1234} for row in figures], Judge.data)
    assert above[1].split() == ["training", "images", "-", "0.5000", "-"] and len(above) == 4
    assert above[-1].endswith(" 1,234")
    assert len({len(line) for line in above}) == 1


def test_other_shapes_are_refused(x):
    with pytest.raises(ShapeError, match=r"copy takes examples of shape \(6, 5, 1\), got \(5, 6, 1\)"):
        compare.side_by_side([("copy", Copy())], x.transpose(0, 2, 1, 3))
    with pytest.raises(ShapeError, match="at least 10"):
        compare.side_by_side([("copy", Copy())], x[:9])


def test_the_command(tmp_path):
    pytest.importorskip("PIL")
    for name in ("ae", "vae"):
        run("train", name, "--data", "digits", "--epochs", "1", "--out", name, "--no-pictures", cwd=tmp_path)
    answer = json.loads(run("compare", "ae", "vae", "--json", cwd=tmp_path).stdout)
    assert [figures["run"] for figures in answer["runs"]] == ["ae (ae)", "vae (vae)"]
    assert (tmp_path / "ae" / "comparison.png").stat().st_size > 1000
    assert "different names" in refused("compare", "ae", "ae", cwd=tmp_path)
    (tmp_path / "again").mkdir()
    (tmp_path / "ae").rename(tmp_path / "again" / "vae")
    answer = json.loads(run("compare", "vae", "again/vae", "--json", cwd=tmp_path).stdout)
    assert [figures["run"] for figures in answer["runs"]] == ["vae (vae)", "ae (again/vae)"]


def test_runs_of_different_data_are_not_compared_unless_told(tmp_path, monkeypatch, capsys):
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", np.random.default_rng(0).random((12, 8, 8, 1), dtype="float32"))
    train("gan", "hidden=8")
    train("ae", "hidden=8", "--data", "images.npy")
    capsys.readouterr()
    for kind in ([], ["--codes"]):
        assert cli.main(["compare", "gan", "ae", "--split", "train", *kind]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("tinyae: gan was trained on digits and ae was trained on ")
        assert said.err.count("\n") == 1
        assert said.err.endswith("images.npy: give the data to compare them on with --data\n") and said.out == ""
    assert cli.main(["compare", "gan", "ae", "--data", "digits"]) == 0


def test_the_command_with_a_judge(tmp_path, monkeypatch, capsys):
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    for module, name, value in ((classifier, "STEPS", 96), (classifier, "CHANNELS", (8, 8)), (judge, "COUNT", 60)):
        monkeypatch.setattr(module, name, value)
    for words in (("gan", "hidden=8"), ("vq-vae", "codes=8")):
        train(*words)
    train("pixelcnn", "width=4", "--codes", "vq-vae")
    capsys.readouterr()
    assert cli.main(["compare", "gan", "pixelcnn", "--frechet", "--json", "--out", "c.png"]) == 0
    answer = json.loads(capsys.readouterr().out)
    about, figures = answer["judge"], dict(zip(("gan", "pixelcnn"), answer["runs"], strict=True))
    assert about["classifier"]["images"] == 60 and 0.3 < about["classifier"]["accuracy"] < 1
    assert figures["gan"]["rms"] is None and figures["pixelcnn"]["rms"] > 0
    names = {"frechet", "sample_sharpness", "diversity", "class_entropy", "nearest"}
    assert set(about["training_images"]) == names < set(figures["gan"])
    assert about["training_images"]["frechet"] < min(row["frechet"] for row in figures.values())
    assert (tmp_path / "c.png").stat().st_size > 1000
    assert cli.main(["compare", "gan", "pixelcnn", "--frechet", "--out", "c.png"]) == 0
    said = capsys.readouterr().out
    assert f"(test accuracy {about['classifier']['accuracy']:.1%})" in said and "training images" in said


def test_a_judge_needs_labels(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", np.random.default_rng(0).random((12, 8, 8, 1), dtype="float32"))
    train("gan", "hidden=8", "--data", "images.npy")
    capsys.readouterr()
    assert cli.main(["compare", "gan", "--frechet", "--split", "train"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "needs labelled training and test images, and images has none" in said.err
    assert said.err.count("\n") == 1


def train(name, option, *words):
    data = () if words else ("--data", "digits")
    cli.main(["train", name, *data, *words, "--set", option, "--epochs", "1", "--no-pictures", "--out", name])
