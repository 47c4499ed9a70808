"""The rules that every lesson keeps: plain NumPy, short, a shape on each line, and the line that a gradient is of."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tinyae import lessons

FOLDER = Path(lessons.__file__).parent
each_lesson = pytest.mark.parametrize("name", lessons.NAMES)
ORDER = ("forward", "backward", "train", "check", "main")


def read(name):
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    return text, ast.parse(text)


def functions(tree, word):
    """The functions with `word` in their name, as in conv_forward."""
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and word in node.name.split("_")]


def assignments(function):
    return [node for node in ast.walk(function) if isinstance(node, (ast.Assign, ast.AugAssign))]


def targets(node):
    """The names that an assignment sets: `dW[u, v] += ...` sets dW."""
    aims = node.targets if isinstance(node, ast.Assign) else [node.target]
    while aims:
        aim, *aims = aims
        if isinstance(aim, ast.Tuple):
            aims = [*aim.elts, *aims]
        else:
            yield (aim.value if isinstance(aim, ast.Subscript) else aim).id


def comment(text, node):
    """The comment on the last line of a statement."""
    return text.splitlines()[node.end_lineno - 1].partition("  # ")[2]


def test_names_are_the_files():
    assert sorted(lessons.NAMES) == sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_"))


@each_lesson
def test_lesson_imports_numpy_and_the_standard_library_alone(name):
    _, tree = read(name)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module.partition(".")[0])
    assert found <= sys.stdlib_module_names | {"numpy"}
    assert "numpy" in found


@each_lesson
def test_lesson_is_short_and_has_no_class(name):
    text, tree = read(name)
    assert len(text.splitlines()) <= 120
    assert max(map(len, text.splitlines())) <= 120
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


@each_lesson
def test_lesson_explains_before_it_computes(name):
    _, tree = read(name)
    title, blank, *rest = ast.get_docstring(tree).splitlines()
    assert title.endswith(".") and not blank and len(rest) >= 10
    assert all(ast.get_docstring(f) for f in tree.body if isinstance(f, ast.FunctionDef))


@each_lesson
def test_functions_are_in_the_order_forward_backward_training_check(name):
    _, tree = read(name)
    lines = [functions(tree, word)[-1].lineno for word in ORDER]
    assert lines == sorted(lines)
    assert functions(tree, "forward")[0].lineno < functions(tree, "backward")[0].lineno


@each_lesson
def test_forward_and_backward_say_the_shape_on_each_line(name):
    text, tree = read(name)
    lines = [a for word in ("forward", "backward") for f in functions(tree, word) for a in assignments(f)]
    assert len(lines) >= 8
    missing = [ast.unparse(a) for a in lines if not re.match(r"\(.*\)", comment(text, a))]
    assert not missing


@each_lesson
def test_each_gradient_names_the_forward_line_that_it_differentiates(name):
    text, tree = read(name)
    lines = [a for f in functions(tree, "backward") for a in assignments(f)]
    gradients = [a for a in lines if all(t.startswith("d") for t in targets(a)) and not is_zeros(a)]
    assert len(gradients) >= 3
    missing = [ast.unparse(a) for a in gradients if ", as " not in comment(text, a)]
    assert not missing


def is_zeros(node):
    """Whether an assignment only makes room for sums: dx = np.zeros(...)."""
    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    return all(isinstance(v, ast.Call) and ast.unparse(v.func).startswith("np.zeros") for v in values)
