"""Codes over their priors side by side: which codes, which draws, the picture's panels, and the command."""

import importlib
import json
import math

import numpy as np
import pytest

from tinyae import cli, models, plot
from tinyae.data.dataset import Split
from tinyae.errors import ConfigError, ShapeError
from tinyae.evaluation.codes_side_by_side import (
    check_comparable,
    chosen,
    codes_of,
    compare_codes,
    draw,
    draw_prior,
    of_the_prior,
)
from tinyae.traits import Vector

SMALL = dict(input_shape=(6, 5, 1), hidden=(5,))


@pytest.fixture
def x():
    return np.random.default_rng(0).random((40, 6, 5, 1), dtype="float32")


class Posterior:
    """q(z|x) = N(3, 4 I)."""

    code = Vector(gaussian=True)

    def label_arguments(self, labels):
        return {}

    def posterior(self, x):
        return np.full((len(x), 2), 3.0, "float32"), np.full((len(x), 2), math.log(4), "float32")


def test_codes_of_a_variational_model_are_draws_of_its_posterior():
    kind, z = codes_of(Posterior(), np.zeros(4000), None, seed=0)
    assert kind == "q(z|x)" and z.dtype == np.float32
    np.testing.assert_allclose(z.mean(axis=0), 3, atol=0.1)
    np.testing.assert_allclose(z.std(axis=0), 2, atol=0.1)
    assert np.array_equal(codes_of(Posterior(), np.zeros(4000), None, seed=0)[1], z)
    assert not np.array_equal(codes_of(Posterior(), np.zeros(4000), None, seed=1)[1], z)


def test_an_autoencoder_says_its_codes_itself(x):
    for model in (models.AE(**SMALL, latent_dim=3), models.AAE(**SMALL, units=(4,))):
        kind, z = codes_of(model, x, None, seed=0)
        assert kind == "z(x)" and np.array_equal(z, model.encode(x))


def test_labels_are_told_where_they_are_needed(x):
    model, labels = models.CVAE(**SMALL, latent_dim=2, classes=3), np.arange(40) % 3
    _, z = codes_of(model, x, labels, seed=0)
    assert z.shape == (40, 2) and not np.array_equal(z, codes_of(model, x, (labels + 1) % 3, seed=0)[1])
    with pytest.raises(ConfigError, match="cvae needs labels"):
        codes_of(model, x, None, seed=0)


def test_draws_are_those_of_each_prior():
    standard = draw_prior(models.VAE(**SMALL, latent_dim=2), 3000, seed=0)
    np.testing.assert_allclose([standard.mean(), standard.std()], [0, 1], atol=0.05)
    assert np.array_equal(draw_prior(models.AAE(**SMALL), 3000, seed=0), standard)
    wide = models.AAE(**SMALL, scale=5.0)
    assert np.array_equal(draw_prior(wide, 9, seed=3), wide.draw_prior(9, 3))
    assert draw_prior(models.AE(**SMALL), 9, seed=0) is None


@pytest.mark.parametrize("build, network", [
    (lambda backend: models.MixtureVAE((4, 4, 1), 2, classes=3, channels=(2,), units=4, backend=backend), "means"),
    (lambda backend: models.ClassMeanVAE((3, 3, 1), 2, classes=3, hidden=(4,), backend=backend), "prior"),
])  # fmt: skip
def test_a_prior_around_means_is_drawn_around_each(build, network, device):
    means = np.array([[0, 90], [90, 0], [-90, -90]], "float32")
    model = build(device.backend)
    model.store.tree[network]["weight"][...] = device.array(means)
    drawn = draw_prior(model, 3000, seed=0)
    nearest = np.linalg.norm(drawn[:, None] - means, axis=2).argmin(axis=1)
    for y in range(3):
        around = drawn[nearest == y] - means[y]
        assert len(around) == pytest.approx(1000, abs=100)
        np.testing.assert_allclose([around.mean(axis=0), around.std(axis=0)], [[0, 0], [1, 1]], atol=0.1)


def covered(points, others, k=5):
    """Whether each of points has one of others within the distance to its k-th neighbour."""
    for i, point in enumerate(points):
        radius = sorted(math.dist(point, other) for j, other in enumerate(points) if j != i)[k - 1]
        yield any(math.dist(point, other) <= radius for other in others)


def test_the_figures_are_shares_counted_in_loops(x):
    runs = [("a", models.VAE(**SMALL, latent_dim=2)), ("b", models.AE(**SMALL)), ("c", models.AAE(**SMALL))]
    figures, panels = compare_codes(runs, x, seed=2)
    assert [label for label, *_ in panels] == [found["run"] for found in figures] == ["a", "b", "c"]
    assert figures[1] == {"run": "b", "codes": "z(x)", "holes": None, "outside": None} and panels[1][2] is None
    for found, (_, z, drawn) in (*zip(figures[:1], panels[:1], strict=True), (figures[2], panels[2])):
        assert found["holes"] == pytest.approx(1 - np.mean(list(covered(drawn, z))))
        assert found["outside"] == pytest.approx(1 - np.mean(list(covered(z, drawn))))
    assert compare_codes(runs, x, seed=2)[0] == figures
    assert of_the_prior(40)["holes"] == pytest.approx(math.prod((40 - i) / (80 - i) for i in range(1, 6)))


def test_many_examples_are_thinned_evenly(monkeypatch):
    part = Split(np.arange(21.0).reshape(21, 1), np.arange(21))
    monkeypatch.setattr("tinyae.evaluation.codes_side_by_side.MOST", 5)
    x, labels = chosen(part)
    assert labels.tolist() == x[:, 0].tolist() == [0, 5, 10, 15, 20]
    assert chosen(Split(np.zeros((4, 1))))[1] is None


@pytest.mark.parametrize("model, why", [
    (models.GAN((6, 5, 1), hidden=(4,)), "it has no codes of examples"),
    (models.VQVAE((6, 5, 1), codes=4, latent_dim=2), "its codes are integers"),
    (models.PixelCNN((6, 5, 1), 2, width=3, blocks=1), "it has no codes of examples"),
])  # fmt: skip
def test_what_has_no_points_for_codes_is_refused(x, model, why):
    with pytest.raises(ConfigError, match=f"^other: {why}, and this compares vectors: leave this run out$"):
        check_comparable([("ae", models.AE(**SMALL)), ("other", model)], x)


def test_other_examples_are_refused(x):
    runs = [("ae", models.AE(**SMALL))]
    with pytest.raises(ShapeError, match=r"ae takes examples of shape \(6, 5, 1\), got \(5, 6, 1\)"):
        check_comparable(runs, x.transpose(0, 2, 1, 3))
    with pytest.raises(ShapeError, match="more than 5 examples, got 5"):
        check_comparable(runs, x[:5])
    with pytest.raises(ConfigError, match="different names"):
        check_comparable(runs * 2, x)


# the picture


@pytest.fixture
def figure(monkeypatch):
    """The matplotlib figures that were saved."""
    pytest.importorskip("matplotlib")
    seen = []
    module = importlib.import_module("tinyae.plot.codes_beside")
    save = module.save
    monkeypatch.setattr(module, "save", lambda path, figure: seen.append(figure) or save(path, figure))
    return seen


def test_a_panel_for_each_model(tmp_path, figure):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(200, 2)), 5 * rng.normal(size=(200, 2))
    panels = [("a", 0.5 * one, one), ("b", 3 * one, one.copy()), ("c", other, other), ("d", 9 * one, None)]
    path = plot.codes_beside(tmp_path / "a.png", panels, np.arange(200) % 4, ["k", "l", "m", "n"], "Codes")
    assert path.read_bytes().startswith(b"\x89PNG")
    axes = figure[0].axes
    assert [axis.get_title(loc="left")[0] for axis in axes] == ["a", "b", "c", "d"]
    assert [len(axis.collections[0].get_offsets()) for axis in axes] == [200, 200, 200, 0]  # the ground
    assert [len(axis.collections[1].get_offsets()) for axis in axes] == [200] * 4
    assert axes[0].get_xlim() == axes[1].get_xlim() and axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[0].get_xlim()[1] > 5 and len({axis.get_xlim() for axis in axes}) == 3
    legends = [axis.get_legend() for axis in axes]
    assert [text.get_text() for text in legends[2].get_texts()] == ["k", "l", "m", "n"]
    assert legends[0] is legends[1] is legends[3] is None


def test_codes_beyond_the_frame_are_counted(tmp_path, figure):
    z = np.random.default_rng(0).normal(size=(2000, 2))
    far = z.copy()
    far[:3] = 1e6
    plot.codes_beside(tmp_path / "a.png", [("a", far, z), ("b", z, z)], title="Title")
    words = [[text.get_text() for text in axis.texts] for axis in figure[0].axes]
    assert words == [["3 codes outside the frame", "Title"], []]


@pytest.mark.parametrize("count, dim, classes", [(1, 1, 0), (2, 5, 30), (5, 2, 3)])
def test_any_number_of_models_and_dimensions(tmp_path, figure, count, dim, classes):
    z = np.random.default_rng(0).normal(size=(60, dim))
    plot.codes_beside(tmp_path / "a.png", [("a", z, z)] * count, np.arange(60) % classes if classes else None)
    assert len(figure[0].axes) == count and (tmp_path / "a.png").stat().st_size > 5000


def test_the_words_say_which_codes_they_are(tmp_path, figure):
    z = np.random.default_rng(0).normal(size=(30, 2))
    figures = [{"run": "vae", "codes": "q(z|x)", "holes": 0.256, "outside": 0.031},
               {"run": "ae", "codes": "z(x)", "holes": None, "outside": None}]  # fmt: skip
    draw(tmp_path / "a.png", figures, [("vae", z, z), ("ae", z, None)])
    assert [axis.get_title(loc="left") for axis in figure[0].axes] == [
        "vae\nsamples of q(z|x): 25.6% holes, 3.1% outside", "ae\ncodes z(x), no prior",
    ]  # fmt: skip
    assert "Codes of 30 examples" in figure[0].axes[0].texts[0].get_text()


# the command


def test_the_command(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    for name in ("ae", "vae", "gan"):
        words = ("--data", "digits", "--set", "hidden=8", "--epochs", "1", "--no-pictures", "--out", name)
        assert cli.main(["train", name, *words]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "vae", "ae", "--codes", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    picture = tmp_path / "vae" / "comparison-codes.png"
    assert picture.stat().st_size > 5000 and answer["picture"].endswith("comparison-codes.png")
    assert not (tmp_path / "vae" / "comparison.png").exists()
    of_vae, of_ae = answer["runs"]
    assert (of_vae["run"], of_vae["codes"], of_ae["codes"]) == ("vae (vae)", "q(z|x)", "z(x)")
    assert 0 < of_vae["holes"] < 1 and of_ae["holes"] is None
    assert answer["draws_of_the_prior"]["holes"] == of_the_prior(answer["codes"])["holes"]
    assert cli.main(["compare", "vae", "ae", "--codes", "--out", "beside.png"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["codes", "holes", "outside"] and said[-1] == "beside.png"
    assert said[2].split() == ["vae", "(vae)", "q(z|x)", f"{of_vae['holes']:.4f}", f"{of_vae['outside']:.4f}"]
    assert said[3].split() == ["ae", "(ae)", "z(x)", "-", "-"] and said[4].startswith("samples of the prior")
    for words, why in ((["gan"], "gan (gan): it has no codes of examples"), (["ae", "--frechet"], "one of them")):
        assert cli.main(["compare", *words, "--codes"]) == 2
        refused = capsys.readouterr()
        assert why in refused.err and refused.err.count("\n") == 1 and refused.out == ""
