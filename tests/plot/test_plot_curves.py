"""Curves of a training, read back as pixels, and what their panels are called."""

import numpy as np
import pytest
from pictures import history, read

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")

from tinyae import plot  # noqa: E402
from tinyae.errors import ConfigError  # noqa: E402
from tinyae.plot import training_curves  # noqa: E402


def has(picture, colour):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.count_nonzero((picture == rgb).all(axis=2))


@pytest.mark.parametrize("epochs", [1, 2, 7, 100])
def test_each_term_has_a_panel_with_ink(tmp_path, epochs):
    picture = read(plot.curves(tmp_path / "a.png", history(epochs)))
    for panel in np.array_split(picture, 3, axis=1):
        assert has(panel, plot.SERIES["train"]) > 5 and has(panel, plot.SERIES["validation"]) > 5
    picture = read(plot.curves(tmp_path / "a.png", history(epochs, validation=False)))
    assert has(picture, plot.SERIES["train"]) > 15 and not has(picture, plot.SERIES["validation"])


def panels(monkeypatch, tmp_path, terms, unit="nats"):
    """(title, unit) of each panel of records with these terms."""
    figures = []
    monkeypatch.setattr(training_curves, "save", lambda path, figure: figures.append(figure))
    plot.curves(tmp_path / "a.png", [{"epoch": e, "train": {k: v / e for k, v in terms.items()}} for e in (1, 2)], unit)
    return [(axes.get_title(loc="left"), axes.get_ylabel()) for axes in figures[0].axes]


def test_terms_of_an_adversary_have_their_own_units(tmp_path, monkeypatch):
    terms = {"loss": 3.0, "reconstruction": 3.0, "discriminator": 1.2, "accuracy": 0.5, "classified": 0.8, "kl": 1.0}
    assert panels(monkeypatch, tmp_path, terms, "squared error") == [
        ("loss", "squared error"), ("discriminator", "nats"), ("accuracy", "share"), ("classified", "share"),
        ("kl", "squared error"),
    ]  # fmt: skip
    critic = {"discriminator": -2.0, "distance": 3.0, "penalty": 1.0, "loss": 4.0}
    assert panels(monkeypatch, tmp_path, critic) == [(name, "") for name in critic]


def test_a_term_that_equals_the_loss_only_at_times_is_drawn():
    records = history(2)
    records[0]["train"]["reconstruction"] = records[0]["train"]["loss"]
    assert training_curves._terms(records) == ["loss", "reconstruction", "kl"]


def test_curves_without_records_are_refused(tmp_path):
    for records in ([], [{"epoch": 1}]):
        with pytest.raises(ConfigError, match="no records"):
            plot.curves(tmp_path / "a.png", records)


def limits(values):
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    axes.plot(np.arange(1, len(values) + 1), values)
    training_curves._cut(axes, np.stack((np.arange(1, len(values) + 1), values), axis=1))
    return axes.get_ylim(), axes.get_title(loc="right")


def test_a_huge_first_epoch_is_cut_and_the_panel_says_so():
    (low, high), note = limits([5000.0, 110, 108, 107, 106, 105, 104, 103, 102, 101])
    assert low < 101 and 110 < high < 130 and note == "cut: goes up to 5000"
    (low, high), note = limits([0.01, 10, 10.5, 10.2, 10.4, 10.3])
    assert 9 < low < 10 and high > 10.5 and note == "cut: goes down to 0.01"
    for calm in ([5.0, 4, 3, 2, 1], [5.0, 1, 1], [1.0] * 9, [np.nan] * 9, [np.nan, 3, 2, 1, 1, 1]):
        assert limits(calm)[1] == ""
