"""Every lesson runs, learns, and its own check finds a wrong sign in any line of its backward pass."""

import ast
import copy
import importlib
import subprocess
import sys

import numpy as np
import pytest
from test_rules import assignments, each_lesson, functions, is_zeros, read, targets

from tinyae import lessons


@each_lesson
def test_a_short_training_learns_and_the_check_holds(name, capsys):
    losses, error = importlib.import_module(f"tinyae.lessons.{name}").main(steps=60)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert error < 1e-6
    printed = capsys.readouterr().out
    assert "step    60" in printed
    assert f"finite-difference check: relative error {error:.1e}" in printed


def planted():
    """(lesson, number of a gradient's line in its backward functions)."""
    return [
        pytest.param(name, i, id=f"{name}-{i}-{'-'.join(targets(node))}")
        for name in lessons.NAMES
        for i, node in enumerate(gradients(read(name)[1]))
    ]


def gradients(tree):
    lines = [a for f in functions(tree, "backward") for a in assignments(f)]
    return [a for a in lines if all(t.startswith("d") for t in targets(a)) and not is_zeros(a)]


@pytest.mark.parametrize("name, number", planted())
def test_a_wrong_sign_in_any_line_is_caught_by_the_lesson_itself(name, number):
    text, tree = read(name)
    node = gradients(tree)[number]
    node.value = negated(node.value, several=isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple))
    module = importlib.import_module(f"tinyae.lessons.{name}")
    space = {"__name__": name, "__file__": module.__file__}
    exec(compile(ast.fix_missing_locations(tree), name, "exec"), space)
    _, error = space["main"](steps=0)
    assert error > 1e-4


def negated(value, several):
    if isinstance(value, ast.Tuple):
        return ast.Tuple([negated(copy.copy(part), False) for part in value.elts], ast.Load())
    if several:
        return ast.parse(f"(-part for part in {ast.unparse(value)})", mode="eval").body
    return ast.UnaryOp(ast.USub(), value)


def test_the_list_of_lessons():
    done = subprocess.run([sys.executable, "-m", "tinyae.lessons"], capture_output=True, text=True, check=True)
    assert "python -m tinyae.lessons.NAME" in done.stdout
    for name in lessons.NAMES:
        title = importlib.import_module(f"tinyae.lessons.{name}").__doc__.splitlines()[0]
        assert f"{name} " in done.stdout and title in done.stdout


def test_a_lesson_runs_by_its_name_and_as_a_file():
    path = importlib.import_module("tinyae.lessons.cross_entropy").__file__
    for command in (["-m", "tinyae.lessons.cross_entropy"], [path]):
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1].startswith("finite-difference check: relative error ")
