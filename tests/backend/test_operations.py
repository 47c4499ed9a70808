"""The door to the operations: three modules of the same functions, and which of them a call takes."""

import inspect

import numpy as np
import pytest

from tinyae.backend import compiled_operations, cupy_operations, native, numpy_operations, operations

MODULES = numpy_operations, cupy_operations, compiled_operations
each_operation = pytest.mark.parametrize("name", operations.NAMES)


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
    assert all(getattr(numpy_operations, name).__doc__ for name in operations.NAMES)


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
    batch_norm(x4, *vectors, 0.1)  # of two dtypes
    batch_norm(np.asfortranarray(x4), *vectors4, 0.1)
    batch_norm(x4[:, ::2], *vectors4[:, :2].copy(), 0.1)
    batch_norm(x4.view(np.recarray), *vectors4, 0.1)  # a subclass may compute otherwise
    batch_norm(x4, *vectors4, np.float64(0.1))
    with pytest.raises(ValueError, match="broadcast"):
        batch_norm(x4, *vectors4[:, :3].copy(), 0.1)
    with native.off():
        batch_norm(x4, *vectors4, 0.1)
    assert found[2:] == ["numpy_operations"] * 8
