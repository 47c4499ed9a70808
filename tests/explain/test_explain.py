"""Explanations of everything in the registries: they say what the code does, and their numbers are right."""

import json

import numpy as np
import pytest
from command_line import refuses

from tinyae import cli, optim
from tinyae.explain import catalogue, explain
from tinyae.explain.text import lines
from tinyae.explain.trace import traced
from tinyae.gradcheck import functions
from tinyae.layers import REGISTRY
from tinyae.models import NAMES

ENTRIES = catalogue()
KINDS = "layer", "loss", "latent operation", "optimiser", "model"
BY_KIND = {kind: [name for name, entry in ENTRIES.items() if entry.kind == kind] for kind in KINDS}


def each(*kinds):
    return pytest.mark.parametrize("name", [name for kind in kinds for name in BY_KIND[kind]])


def test_everything_in_the_registries_is_explained():
    assert set(BY_KIND["layer"]) == {name for name, cls in REGISTRY.items() if cls.__module__.startswith("tinyae.")}
    assert set(BY_KIND["loss"]) | set(BY_KIND["latent operation"]) == functions().keys()
    assert {"SGD", "RMSprop", "Adam", "AdamW"} <= set(BY_KIND["optimiser"])
    assert BY_KIND["model"] == list(NAMES)
    assert all(entry.summary for entry in ENTRIES.values())


@each("layer", "loss", "latent operation")
def test_gradients_agree_with_central_differences(name):
    found = explain(name)
    assert found["gradients"] or name in ("Embedding",)
    for row in found["gradients"]:
        assert row["error"] < 1e-6, row
        analytic, numeric = (part[tuple(row["index"])] for part in found["arrays"][row["array"]])
        assert (row["analytic"], row["numeric"]) == (analytic, numeric)
    texts = [text["text"] for text in found["code"]]
    assert texts and all(text.startswith(("def ", "@")) for text in texts)
    shapes = found["shapes"]
    if ENTRIES[name].kind == "layer":
        assert any("def forward" in text for text in texts) and any("def backward" in text for text in texts)
        assert shapes["dy"] == shapes["y"] and shapes["x"].startswith("(2,")
        assert name in ("Embedding",) or shapes["dx"] == shapes["x"]
    else:
        assert shapes["loss"] == "()" and all(shapes[f"d{key}"] == shapes[key] for key in found["arrays"])


@each("model")
def test_each_line_of_a_step_has_the_shapes_of_a_run(name):
    found = explain(name)
    model = NAMES[name].examples()[0]
    assert [step["phase"] for step in found["steps"]] == [phase.name for phase in model.phases]
    for step in found["steps"]:
        ran = [line for line in step["lines"] if line["ran"]]
        assert any(line["code"].startswith("if net.needs_grads") for line in ran)
        assert any("add_grads" in line["code"] or "backward" in line["code"] for line in ran)
        assigned = [line for line in ran if " = " in line["code"].partition("(")[0]]
        assert assigned and not [line["code"] for line in assigned if not line["sets"]]
    values = {row["term"]: row["value"] for row in found["terms"]}
    assert set(values) <= set(model.terms) and np.isfinite(list(values.values())).all()
    parts = [value for term, value in values.items() if term != "loss"]
    if len(found["steps"]) == 1 and parts:
        assert sum(parts) == pytest.approx(values["loss"], rel=1e-5)
    assert {row["phase"] for row in found["norms"]} == {step["phase"] for step in found["steps"]}


def test_the_shapes_are_those_of_the_batch():
    (step,) = explain("vae", (6,), {"latent_dim": 3, "hidden": (4,)})["steps"]
    sets = {name: shape for line in step["lines"] for name, shape in line["sets"].items()}
    assert {name: sets[name] for name in ("h", "mu", "z", "out", "dz", "dh")} == {
        "h": "(5, 6)", "mu": "(5, 3)", "z": "(5, 3)", "out": "(5, 6)", "dz": "(5, 3)", "dh": "(5, 6)",
    }  # fmt: skip


@each("optimiser")
def test_the_steps_of_an_optimiser_are_its_own(name):
    steps = explain(name)["steps"]
    assert [row["step"] for row in steps] == list(range(5))
    assert all(row["g"] == row["w"] for row in steps)
    assert all(before["new w"] == after["w"] for before, after in zip(steps, steps[1:], strict=False))
    assert abs(steps[-1]["new w"][0]) < abs(steps[0]["w"][0])
    assert set(getattr(optim, name)(0.1).moments) <= steps[0].keys()


def test_a_trace_notes_what_each_line_sets():
    def function(x):
        """A function with lines that run and one that does not."""
        y = x + np.ones((2, 1))  # (2, 3), as y = x + 1
        if y.sum() < 0:
            y = None
        a, b = (
            y.T,
            y.sum(axis=0),
        )
        return a @ y, b

    found = traced(function, lambda: function(np.ones((2, 3))))
    assert [line["sets"] for line in found] == [{"y": "(2, 3)"}, {}, {}, {"a": "(3, 2)", "b": "(3,)"}, {}]
    assert [line["ran"] for line in found] == [True, True, False, True, True]
    assert found[0]["comment"] == "(2, 3), as y = x + 1" and found[3]["code"].count("\n") == 3


def test_colours_are_for_terminals_alone():
    found = explain("Dense")
    assert not any("\033" in line for line in lines(found))
    assert any("\033[1m" in line for line in lines(found, colour=True))


@pytest.mark.parametrize("name, same", [("VAE", "vae"), ("latent.gaussian.sample", "sample"), ("optim.Adam", "Adam")])
def test_classes_and_dotted_names_serve_too(name, same):
    assert explain(name)["name"] == same


def test_the_command(capsys):
    assert cli.main(["explain"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in ENTRIES)
    assert cli.main(["explain", "Conv2D", "--shape", "6,5,2", "--set", "filters=4", "--set", "kernel_size=3"]) == 0
    text = capsys.readouterr().out
    assert "Shapes in an example of Conv2D(4, (3, 3))" in text and "(2, 6, 5, 4)" in text
    assert "def convolution_weight_gradient" in text and "\033" not in text
    assert cli.main(["explain", "aae"]) == 0
    text = capsys.readouterr().out
    assert "Phase generator: AAE.generate" in text and "trains encoder; minimises generator" in text
    assert cli.main(["explain", "Adam", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "optimiser"
    assert cli.main(["explain", "BatchNorm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gradients"][0]["error"] < 1e-6


@pytest.mark.parametrize(
    "words, message",
    [
        (("Conv2d",), "'Conv2d': did you mean 'Conv2D'?"),
        (("vae", "--set", "hiden=3"), "vae: "),
        (("Dense", "--set", "units=0", "--shape", "3"), "units must be"),
        (("Dense", "--shape", "3,3,3"), "Dense(3): expected input"),
        (("mse", "--shape", "3"), "mse is a loss: --shape and --set are for layers and models"),
        (("Adam", "--shape", "3"), "Adam is an optimiser: --shape is for layers and models"),
        (("Adam", "--plot", "a.png"), "--plot is for layers, losses, latent operations and models"),
        (("Dense", "--plot", "a.jpg"), "--plot writes a .png"),
    ],
)
def test_mistakes_are_told_in_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refuses(("explain", *words), message, tmp_path, capsys)


@pytest.mark.parametrize("name", ("Conv2D", "BatchNorm", "sample", "vae", "aae"))
def test_a_picture_is_written(name, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.png"
    assert cli.main(["explain", name, "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG") and f"wrote {path}" in capsys.readouterr().out
