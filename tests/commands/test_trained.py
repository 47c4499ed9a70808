"""What the commands on a trained run share: they take values, not argparse's Namespace."""

import ast
from pathlib import Path

import numpy as np
import pytest

from tinyae import cli, commands
from tinyae.commands.trained import load_data, load_run, output_file, what_to_load
from tinyae.errors import ConfigError

NOTE = "made: not read, as the name says no part or label: mask"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of vae, on images that the loader has a note about."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    images = {f"x_{part}": rng.random((n, 5, 5, 1), "float32") for part, n in (("train", 30), ("test", 12))}
    labels = {"y_train": np.arange(30) % 3, "y_test": np.arange(12) % 3}
    np.savez(folder / "made.npz", **images, **labels, mask=np.zeros(3))
    options = "--epochs 1 --latent-dim 2 --set hidden=8 --no-pictures --threads 1".split()
    assert cli.main(["train", "vae", "--data", str(folder / "made.npz"), "--out", str(folder / "run"), *options]) == 0
    return folder / "run"


def test_no_function_but_a_command_takes_the_namespace():
    names = {function.__name__ for function, _ in cli.COMMANDS.values()}
    assert names == {
        node.name
        for path in Path(commands.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and "arguments" in [argument.arg for argument in node.args.args]
    }


def test_options_of_the_data_become_keyword_arguments():
    parse = cli.build_parser().parse_args
    asked = parse(["encode", "run", "--data", "mine", "--size", "4x5", "--label-column", "2"]).data_options
    assert asked == {"data": "mine", "size": (4, 5), "label_column": "2"}
    assert parse(["neighbours", "run", "--split", "train"]).data_options == {"split": "train"}
    assert parse(["neighbours", "run"]).data_options == {}


def test_what_is_not_given_is_the_run_s_own():
    known = {"data": "mine", "size": (4, 5), "fit": "crop"}
    own = {"name_or_path": "mine", "size": (4, 5), "fit": "crop", "header": None, "label_column": None}
    assert what_to_load(known) == own
    assert what_to_load(known, size=(6, 6)) == own | {"size": (6, 6)}
    assert what_to_load(known, "other") == {"name_or_path": "other"} | dict.fromkeys(list(own)[1:])
    assert what_to_load(known, "other", size=(6, 6))["fit"] == "crop"


@pytest.mark.parametrize("split, name, count", ((None, "test", 12), ("train", "train", 30), ("all", "all", None)))
def test_the_part_that_is_asked_about(split, name, count, run):
    model, origin = load_run(run)
    loaded = load_data(origin, model, split=split)
    assert loaded.split == name and len(loaded.data.train) == 30
    assert loaded.part is None if count is None else len(loaded.part) == count


def test_a_part_that_the_data_do_not_have(run):
    model, origin = load_run(run)
    with pytest.raises(ConfigError, match="^made has no validation split: use --split test or train$"):
        load_data(origin, model, split="validation")


def test_the_file_to_answer_in(run, tmp_path):
    assert output_file(None, str(run), "a.npz", (".npz",)) == (str(run / "a.npz"), ".npz")
    assert output_file(None, str(run / "last.npz"), "a.npz", (".npz",)) == (str(run / "a.npz"), ".npz")
    assert output_file(str(tmp_path / "B.NPY"), str(run), "a.npz", (".npz", ".npy"))[1] == ".npy"


def told_on_stderr(command, run, folder, capsys):
    """The lines that a command on the run writes to stderr; its answer is a file in `folder`, or on stdout."""
    name, *options = command.split()
    out = {"reconstruct": "a.npy", "compare": "a.png"}.get(name, "a.npz")
    options += [] if name == "evaluate" else ["--out", str(folder / out)]
    runs = [str(run), str(run / "best.npz")] if name == "compare" else [str(run)]
    capsys.readouterr()
    assert cli.main([name, *runs, *options]) == 0
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    "command",
    ("encode", "reconstruct", "evaluate", "evaluate --json", "compare", "neighbours --index 0 -k 2",
     "interpolate --index 0 1 --steps 2", "traverse --steps 2 --index 0", "arithmetic --add 1"),
)  # fmt: skip
def test_notes_on_the_data_are_told_once_and_last(command, run, tmp_path, capsys):
    told = told_on_stderr(command, run, tmp_path, capsys)
    assert told.count(NOTE) == 1 and told[-1] == NOTE


def test_no_note_is_told_on_data_that_are_not_read(run, tmp_path, capsys):
    assert told_on_stderr("manifold --side 2", run, tmp_path, capsys) == []
