"""The benchmark of few labels: both methods see the same labelled images, and published errors are shown too."""

import json

import numpy as np

import tinyae
from benchmarks import labels
from benchmarks.__main__ import main
from tinyae.models import SemiAAE


def test_both_are_trained_and_judged_and_on_again(tmp_path, capsys):
    words = ["labels", "--data", "digits", "--labelled", "20", "50", "--epochs", "1", "--out", str(tmp_path / "out")]
    main([*words, "--json", str(tmp_path / "a.json")])
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "a.json").read_text())
    assert [(run["labelled"], run["method"]) for run in result["runs"]] == [
        (20, "semi-aae"), (20, "labelled images alone"), (50, "semi-aae"), (50, "labelled images alone"),
    ]  # fmt: skip
    data, folders = tinyae.data.load("digits"), tmp_path / "out" / "digits-50-0"
    models = [tinyae.load(folders / method) for method in ("semi-aae", "labelled-images-alone")]
    for model, run in zip(models, result["runs"][2:], strict=True):
        assert run["accuracy"] == np.mean(model.classify(data.test.x) == data.test.labels)
    np.testing.assert_array_equal(models[0].state.flat, models[1].state.flat)
    assert models[0].state.tree["labelled"]["labels"].tolist() == sorted(list(range(10)) * 5)
    assert f"{100 * (1 - result['runs'][0]['accuracy']):.2f} (" in said and "published: adversarial autoencoder" in said
    main([*words, "--json", str(tmp_path / "b.json")])  # finds the trained ones
    again = json.loads((tmp_path / "b.json").read_text())["runs"]
    assert [run | {"seconds": 0} for run in again] == [run | {"seconds": 0} for run in result["runs"]]


def test_alone_means_that_nothing_else_is_trained():
    options = dict(input_shape=(3, 3, 1), classes=3, labelled=6, hidden=(5,), units=(4,))
    semi, alone = SemiAAE(**options), labels.Alone(**options)
    assert [phase.name for phase in alone.phases] == ["classes"]
    assert alone.phases[0].trains == ("encoder",) and alone.phases[0].rate == semi.phases[-1].rate


def test_errors_are_shown_by_labels(capsys):
    runs = [
        {"labelled": count, "seed": seed, "method": "semi-aae", "accuracy": accuracy}
        for count, seed, accuracy in ((100, 0, 0.9), (100, 1, 0.94), (500, 0, 0.97), (500, 1, 0.97))
    ]
    labels.show({"runs": runs, "published_errors": labels.PUBLISHED})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-2:] == ["100", "500"]
    assert lines[1].split() == ["semi-aae", "8.00", "(6.00", "to", "10.00)", "3.00", "(3.00", "to", "3.00)"]
    assert lines[-1].split()[-1] == "1.9"  # published for 100 labels; nothing is published for 500
