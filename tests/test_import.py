"""What tinyae may lean on: NumPy alone, no gradients but its own, no chance but its own."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from import_graph import circles, import_graph

import tinyae

ROOT = Path(tinyae.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])

# What may be imported besides the standard library, and by an extra's name only inside a function.
REQUIRED = {"numpy", "tinyae"}
EXTRAS = {"cupy", "PIL", "matplotlib", "tqdm", "threadpoolctl"}
# The one file that reads scikit-learn's digits, to write the embedded data set from them.
MAKERS = {"data/embed.py": {"sklearn"}}


def python(code):
    """The output of a fresh interpreter, warnings as errors."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = """
import sys, numpy.random
sys.modules.update(dict.fromkeys({blocked}))  # None: as if it were not installed
before = set(sys.modules)
{code}
names = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(names - set(sys.stdlib_module_names)))
"""
USE = """
import tinyae
model = tinyae.models.VAE(input_shape=(8, 8, 1), hidden=(8,))
data = tinyae.data.load("digits")
tinyae.fit(model, data, epochs=1, batch_size=500, progress=False)
model.reconstruct(data.test.x[:2]), model.sample(2)
assert tinyae.gradcheck(tinyae.layers.Dense(3), (2,)).passed
"""


@pytest.mark.parametrize("code", ("import tinyae", "import tinyae.cli"))
def test_import_loads_nothing_but_numpy(code):
    assert set(python(LOADED.format(code=code, blocked=[])).split()) <= {"tinyae", "numpy"}


def test_all_the_essentials_work_without_the_extras():
    assert set(python(LOADED.format(code=USE, blocked=sorted(EXTRAS))).split()) <= {"tinyae", "numpy"}



def test_no_modules_import_each_other():
    graph = import_graph(ROOT)
    assert "tinyae.layers.base" in graph["tinyae.layers.dense"] and len(graph) == len(FILES)
    assert circles(graph) == []


def test_a_circle_is_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a", "f"}, "f": {"e"}}
    assert sorted(map(sorted, circles(graph))) == [["b", "c"], ["e", "f"]]


CORE = ("backend", "layers", "losses", "latent", "networks", "models", "checkpoint", "params", "optim")
WINGS = ("commands", "plot", "training", "evaluation", "cli", "explore")


def test_the_core_does_not_lean_on_the_wings():
    """Layers, losses, networks and models can be read without the loop, the commands and the pictures."""
    for module, imported in import_graph(ROOT).items():
        if module.split(".")[1:2] and module.split(".")[1] in CORE:
            assert not [name for name in imported if name.split(".")[1:2] and name.split(".")[1] in WINGS], module


def test_every_public_name_is_there():
    assert set(tinyae.__all__) <= set(dir(tinyae))
    for name in tinyae.__all__:
        assert getattr(tinyae, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tinyae.nothing


def test_gradcheck_is_a_function():
    assert callable(tinyae.gradcheck)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree):
    """(top-level package, whether inside a function) of every absolute import."""
    inside = {
        node for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in ast.walk(f)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0], node in inside


@each_file
def test_no_other_library_is_imported(path):
    """No autograd or tensor library runs inside tinyae, and an extra is imported where it is used."""
    allowed = MAKERS.get(path.relative_to(ROOT).as_posix(), set())
    for name, inside in imports(tree_of(path)):
        known = name in sys.stdlib_module_names or name in REQUIRED
        assert known or inside and name in EXTRAS | allowed, name


@each_file
def test_no_pickle(path):
    tree = tree_of(path)
    assert not {name for name, _ in imports(tree)} & {"pickle", "marshal", "shelve", "dill", "joblib"}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert node.value.value is False


@each_file
def test_no_global_random_state(path):
    """`numpy.random` serves generators with a seed of their own; the functions on its global state are not called."""
    tree = tree_of(path)
    assert "random" not in {name for name, _ in imports(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
            assert node.attr in ("Generator", "Philox", "default_rng")
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("random.default_rng"):
            assert node.args, "default_rng without a seed draws one from the system"


MATHEMATICS = [p for p in FILES if p.parent.name in ("layers", "models", "latent") or p.name == "losses.py"]


@pytest.mark.parametrize("path", MATHEMATICS, ids=[str(p.relative_to(ROOT)) for p in MATHEMATICS])
def test_mathematics_does_not_ask_which_device(path):
    """Layers and models follow their input's array module; a branch by device belongs to the backend's operations."""
    tree = tree_of(path)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    for node in ast.walk(tree):
        words = [node.value] if isinstance(node, ast.Constant) and node.value not in docstrings else []
        words += [getattr(node, field, None) for field in ("id", "attr", "name", "module")]
        assert not any("cupy" in word for word in words if isinstance(word, str)), f"line {node.lineno}"
        if isinstance(node, ast.Compare):
            sides = map(ast.unparse, (node.left, *node.comparators))
            assert not any(s in ("xp", "np", "self.xp") or s.startswith("array_module(") for s in sides), node.lineno


@each_file
def test_file_is_short_and_well_named(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 520
    assert "util" not in path.stem


def test_wings_are_there_without_an_import_of_their_own():
    code = "import tinyae; print(tinyae.explore.linear([0], [1], 2).ravel().tolist(), tinyae.evaluation.__name__)"
    assert python(code).strip() == "[0.0, 1.0] tinyae.evaluation"


PROBE = re.compile(r"""(has|get)attr\((self\.)?model(_class)?, |" (not )?in (self\.)?model\.networks""")


@each_file
def test_a_model_is_asked_what_it_declares(path):
    """Nobody looks for methods or networks of a model to find out what it is."""
    assert not [line for line in path.read_text("utf-8").splitlines() if PROBE.search(line)]
