"""What options take, over the registries: NumPy scalars count as numbers, odd values are refused in one line."""

import inspect
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from tinyae import optim
from tinyae.backend import Noise, memory
from tinyae.errors import ConfigError, TinyaeError
from tinyae.layers import Conv2D, Dense, MaxPool2D, Reshape, Sequential
from tinyae.layers.base import REGISTRY
from tinyae.options import Choice, Count, Counts, Dtype, Number, Padding, Pair, Shape, shown

ODD = {
    "none": None, "minus": -1, "billion": 10**9, "huge": 10**20, "digits": 10**5000, "nan": math.nan, "inf": math.inf,
    "-inf": -math.inf, "half": 0.5, "-half": -0.5, "true": True, "text": "x", "empty": "", "digit": "3",
    "lines": "a\nb", "bytes": b"x", "list": [], "nested": [1, [2]], "nones": [None], "dict": {}, "keys": {"a": 1},
    "set": set(), "object": object(), "complex": 3 + 4j, "floats": np.array([1.5, math.nan]),
    "matrix": np.ones((2, 2), int), "function": len, "class": int,
}  # fmt: skip


def refusals(make, name):
    """The messages with which `make` refuses odd values of an option; nothing but a TinyaeError may come."""
    said = []
    for value in ODD.values():
        try:
            make(**{name: value})
        except TinyaeError as error:
            said.append(str(error))
    return said


def options_of(function):
    """The names of a function's arguments, except those that are collected."""
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [name for name, p in inspect.signature(function).parameters.items() if p.kind not in kinds]


GIVEN = dict(units=3, filters=2, kernel_size=3, mask="B", groups=1, factor=2, height=4, width=4, rate=0.5, shape=(4,))
GIVEN |= dict(count=5, size=2, lr=0.1, every=3, total=10, schedule=0.1, steps=2, name="cosine")
SCHEDULES = (optim.constant, optim.step_decay, optim.cosine, optim.warm_up, optim.schedule)
MAKERS = [*REGISTRY.values(), *optim.OPTIMIZERS.values(), *SCHEDULES]


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_odd_values_of_layers_and_optimisers_are_refused_in_one_line(maker):
    names = options_of(maker)
    needed = {name: GIVEN[name] for name in names if name in GIVEN}
    for name in names:
        said = refusals(lambda **odd: maker(**needed | odd), name)  # noqa: B023
        assert len(said) >= len(ODD) // 2, name
        assert all(line.isprintable() and len(line) < 400 for line in said), said


def test_layers_take_numpy_scalars_and_arrays():
    layer = Conv2D(np.int64(4), np.array([3, 1]), stride=np.array(2), padding=np.int32(1), bias=np.bool_(False))
    assert repr(layer) == repr(Conv2D(4, (3, 1), stride=2, padding=1, bias=False))
    assert {type(v) for v in (layer.filters, *layer.kernel_size, *layer.stride, layer.bias)} == {int, bool}
    assert MaxPool2D(np.uint8(2)).stride == (2, 2)
    assert Reshape(np.array([2, 3])).shape == (2, 3)
    assert Dense(np.int64(2), init=np.str_("he")).init_name == "he"


def test_optimisers_take_numpy_scalars():
    adam = optim.Adam(np.float32(0.5), beta1=np.array(0.25), beta2=np.float64(0.75))
    assert [(v, type(v)) for v in (adam.lr, adam.beta1, adam.beta2)] == [(0.5, float), (0.25, float), (0.75, float)]
    assert optim.SGD(0.5, 0.5, nesterov=np.bool_(True)).nesterov is True
    assert type(optim.SGD(optim.constant(np.float32(0.5))).rate()) is float


def test_a_schedule_that_gives_no_number_is_refused():
    with pytest.raises(ConfigError, match="^SGD: lr must be a number of at least 0, got None"):
        optim.SGD(lambda step: None).rate()


def test_only_layers_are_put_in_sequence():
    for odd in (3, None, "dense", Dense, [Dense(2)]):
        with pytest.raises(ConfigError, match="^Sequential: layers must be layers, one argument each, got "):
            Sequential(odd)


@pytest.mark.parametrize(
    "kind, value, expected",
    [
        (Count(), np.int64(3), 3), (Count(0), np.array(0), 0), (Count(0, None), 10**30, 10**30),
        (Counts(), 5, (5,)), (Counts(), [np.int8(5), 2], (5, 2)), (Counts(), np.array([5, 2]), (5, 2)),
        (Counts(), (), ()),
        (Shape(), range(1, 4), (1, 2, 3)), (Pair(), 2, (2, 2)), (Pair(), np.array([1, 2]), (1, 2)),
        (Padding(), np.int64(1), ((1, 1), (1, 1))), (Padding(), [[1, 0], (0, 2)], ((1, 0), (0, 2))),
        (Padding(), np.array([[1, 0], [0, 2]]), ((1, 0), (0, 2))), (Number(), np.float32(0.5), 0.5), (Number(), 4, 4),
        (Number(least=0, finite=False), np.inf, np.inf),
        (Number(), np.array(0.25), 0.25), (Choice(["a"]), np.str_("a"), "a"), (Dtype(), np.float64, "float64"),
        (Dtype(), np.dtype("float32"), "float32"),
    ],
)  # fmt: skip
def test_what_a_kind_makes_of_a_value(kind, value, expected):
    got = kind.check("option", value)
    assert (got, type(got)) == (expected, type(expected)) and json.dumps(got)


@pytest.mark.parametrize(
    "kind, value, message",
    [
        (Count(), 0, "n: expected an integer from 1 to 16777216, got 0"),
        (Count(), 2**24 + 1, "n: expected an integer from 1 to 16777216, got 16777217"),
        (Count(0, None), -1, "n: expected an integer of at least 0, got -1"),
        (Counts(1), [], r"n: expected 1 to 64 integers from 1 to 16777216, got \[\]"),
        (Counts(), [1] * 65, r"n: expected up to 64 integers from 1 to 16777216, got \[1, 1, "),
        (Shape(), (2**14, 2**15), r"n: expected positive integers with a product of at most 268435456, got \(16384, "),
        (Number(least=0, below=0.5), 0.5, "n: expected a number of at least 0 and below 0.5, got 0.5"),
        (Number(), 10**400, "n: expected a number, got 1000"),
        (Choice(["mean", "sum"]), "maen", "unknown n 'maen': did you mean 'mean'"),
        (Dtype(), None, "n: expected float32 or float64, got None"),
    ],
)
def test_what_a_kind_says_of_a_value_that_it_refuses(kind, value, message):
    with pytest.raises(ConfigError, match=rf"\A{message}[^\n]*\Z"):
        kind.check("n", value)


def test_a_value_is_shown_on_one_printable_line():
    assert shown("a\nb\x1b[2J") == r"'a\nb\x1b[2J'"
    assert shown(np.zeros((2, 2))) == "array([[0., 0.], [0., 0.]])"
    assert shown(10**5000) == "a very long int"
    assert len(shown("x" * 1000)) == 80


@pytest.mark.parametrize(
    "groups, files, limits",
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "2048\n", "memory.max": "4096\n"}, [2048, 4096]),
        ("0::/outside/of/it\n", {"memory.max": "1024\n"}, [1024]),
        ("3:cpu:/a\n2:hugetlb,memory:/a\n", {"memory/a/memory.limit_in_bytes": "512\n", "a/memory.max": "9\n"}, [512]),
        ("0::/\n", {}, []),
        (None, {"memory.max": "1024\n"}, []),
    ],
)
def test_the_limits_of_a_container(groups, files, limits, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if groups is not None:
        (tmp_path / "own").write_text(groups)
    assert memory.of_control_groups(tmp_path, tmp_path / "own") == limits


def test_memory_is_what_the_process_may_have():
    """In a process of its own: of its address space, and of its container."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); "
    code = limited + "from tinyae.backend import memory; assert memory.physical() <= 2**33"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "from tinyae.backend import memory as m; m.of_control_groups = lambda: [2**20]; assert m.physical() == 2**20"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_noise_that_memory_cannot_hold_is_refused_before_it_is_drawn():
    with pytest.raises(ConfigError, match="^not enough memory: .* random numbers would take .* GiB, .*: ask for fewer"):
        Noise(0).normal("z", (memory.physical(), 2))
    with pytest.raises(ConfigError):
        Dense(2**24).init((2**24,), 0)
