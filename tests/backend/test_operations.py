"""The door to the operations: three modules of the same functions, and which of them a call takes."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from tinyae.backend import compiled_operations, cupy_operations, native, numpy_operations, operations

ROOT = Path(operations.__file__).parents[1]
MODULES = numpy_operations, cupy_operations, compiled_operations
OPERATIONS = [name for name, value in vars(operations).items() if hasattr(value, "__wrapped__")]
each_operation = pytest.mark.parametrize("name", OPERATIONS)


def test_every_formula_has_a_door_and_every_door_two_more_modules():
    own = {
        name
        for name, value in vars(numpy_operations).items()
        if inspect.isfunction(value) and value.__module__ == numpy_operations.__name__ and not name.startswith("_")
    }
    assert own == set(OPERATIONS) == set(cupy_operations.__all__)
    assert own == {name for name, value in vars(compiled_operations).items() if hasattr(value, "fits")}


@each_operation
def test_signatures_are_the_same(name):
    formula, *others = (inspect.signature(getattr(module, name)) for module in MODULES)
    assert others == [formula, formula] and inspect.signature(getattr(operations, name)) == formula


@each_operation
def test_conditions_of_the_compiled_function_take_its_arguments(name):
    assert inspect.signature(getattr(compiled_operations, name).fits) == inspect.signature(
        getattr(numpy_operations, name)
    )


def test_each_operation_is_documented_beside_its_formula():
    assert all(getattr(numpy_operations, name).__doc__ for name in OPERATIONS)


def ways(monkeypatch):
    """The names of the modules that are called, in order."""
    found = []
    for way in (numpy_operations, compiled_operations):
        function, name = way.batch_norm, way.__name__.rpartition(".")[2]

        def called(*arguments, function=function, name=name):
            found.append(name)
            return function(*arguments)

        called.fits, called.reads = getattr(function, "fits", None), getattr(function, "reads", None)
        called.__signature__ = inspect.signature(function)
        monkeypatch.setattr(way, "batch_norm", called)
    return found


def test_arrays_choose(library, monkeypatch):
    found = ways(monkeypatch)
    batch_norm, rng = operations._door("batch_norm"), np.random.default_rng(0)
    x, vectors = rng.standard_normal((6, 4)), rng.standard_normal((2, 4))
    x4, vectors4 = x.astype("f4"), vectors.astype("f4")
    batch_norm(x4, *vectors4, 0.1)
    batch_norm(x4, *vectors4, epsilon=0.1)
    assert found == ["compiled_operations"] * 2
    batch_norm(x, *vectors, 0.1)
    batch_norm(x4, *vectors, 0.1)  # x4 and vectors differ in dtype
    batch_norm(np.asfortranarray(x4), *vectors4, 0.1)
    batch_norm(x4[:, ::2], *vectors4[:, :2].copy(), 0.1)
    batch_norm(x4.view(np.recarray), *vectors4, 0.1)  # a subclass may compute otherwise
    batch_norm(x4, *vectors4, np.float64(0.1))
    with pytest.raises(ValueError, match="broadcast"):
        batch_norm(x4, *vectors4[:, :3].copy(), 0.1)
    with native.off():
        batch_norm(x4, *vectors4, 0.1)
    assert found[2:] == ["numpy_operations"] * 8


def test_a_parameter_by_name_arrives_though_one_before_it_is_left_out(monkeypatch):
    found = []

    def convolution(x, weight, geometry, bias=None, fast=True):
        found.append((bias, fast))

    monkeypatch.setattr(numpy_operations, "convolution", convolution)
    operations._door("convolution")(np.zeros((1, 2, 2, 1)), np.zeros((1, 1, 1, 1)), None, fast=False)
    assert found == [(None, False)]


def words(path):
    """The names in a file and the modules that it imports, part by part; no comments, and of texts only the type."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for field in ("id", "attr", "name", "module", "arg"):
            yield from re.split(r"\W+", getattr(node, field, None) or "")


def test_the_library_is_named_in_the_backend_alone():
    """Elsewhere `operations` is asked what one wants to know."""
    naming = {path.relative_to(ROOT).parts[0] for path in ROOT.rglob("*.py") if "native" in words(path)}
    assert naming == {"backend"}


def test_outside_of_the_backend_operations_come_through_the_door():
    behind = {"compiled_operations", "cupy_operations", "numpy_operations"}
    outside = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] != "backend"]
    assert {path.name: behind & set(words(path)) for path in outside if behind & set(words(path))} == {}


def test_what_a_training_asks(library):
    assert operations.compile_now() and operations.status() == native.status()
    assert operations.share_products(np.dtype("float32")) and not operations.share_products(np.dtype("float64"))
    w = np.zeros(9, "f4")
    assert operations.share_update(w, w) and not operations.share_update(w, w.astype(float))
    with operations.formulas_alone():
        assert not operations.compile_now() and not operations.share_products(w.dtype)
        assert not operations.share_update(w, w)
