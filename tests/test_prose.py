"""The prose of package and benchmarks: no habit that hides its meaning, and docstrings with sections in one order."""

import ast
import doctest
import importlib
import inspect
import io
import re
import tokenize

import pytest
from command_line import ROOT

from tinyae.latent import gaussian, mixture, quantize, sparsity
from tinyae.layers import REGISTRY
from tinyae.losses import adversarial, image, pixel
from tinyae.models import NAMES
from tinyae.optim import clipping, optimizers, schedules

# {what must not stand in a comment, a docstring, a message or a help text: what to write}
HABITS = {
    r"\b(that|those) of\b": "the noun itself",
    r"\bbe (it|they)\b": "whether ... or",
    r"\blessen(s|ed|ing)?\b": "minimises, reduces",
    r"\bwhole numbers?\b": "integer",
    r"\bby heart\b": "memorised",
    r"\bforet(old|ells?|elling)\b": "predicted",
    r"\btwo and two\b": "pairs",
    r"\bhow-manieth\b": "rank",
    r"\bdamaged\b": "corrupted",
    r"\bbeside\b": "compared with, next to, with",
    r"\b(knows?|believes?) (of|that|how|nothing|its|the)\b": "has, is",
    r"\bdrawn? (from|out of) (the|a|its) (prior|posterior|Gaussian|normal)": "sampled from",
    r"\b(noise|codes?|samples?|labels?) (is|are|be|were) drawn\b": "sampled",
    r"\bpart of (a|the) data( set)?\b": "split of a data set",
    r"^#+:? *(of|which|what|whose|where|how)\b": "a sentence, or a noun",
}
UNLISTED = "self", "args", "kwargs", "layers", "options"  # names that need no line under Parameters
SECTIONS = "Parameters", "Returns", "Raises", "References", "Example"


def files():
    return sorted(path for folder in ("tinyae", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


def prose(path):
    """(line, text) of every comment and every string of a file, the fixed parts of f-strings among them."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, " ".join(node.value.split())


def habits(path):
    return [
        f"{path.name}:{line}: {found.group()!r}, write {better}: {text[:60]}"
        for line, text in prose(path)
        for habit, better in HABITS.items()
        if (found := re.search(habit, text))
    ]


def titles(doc):
    return re.findall(r"^ *(\w+)\n *-{4,}$", doc, re.MULTILINE)


def module_of(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return importlib.import_module(name.removesuffix(".__init__"))


def complete():
    """{name: object} of the public names whose docstrings must have all sections."""
    modules = pixel, image, adversarial, gaussian, quantize, mixture, sparsity, clipping, optimizers, schedules
    things = *REGISTRY.values(), *NAMES.values(), *(thing for module in modules for thing in defined(module))
    return {f"{thing.__module__}.{thing.__name__}": thing for thing in things}


def defined(module):
    """The public functions and classes that a module defines itself."""
    things = (thing for name, thing in vars(module).items() if callable(thing) and not name.startswith("_"))
    return [thing for thing in things if thing.__module__ == module.__name__]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_habit_hides_the_meaning(path):
    assert not habits(path)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_sections_stand_in_one_order(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            found = titles(ast.get_docstring(node) or "")
            assert found == [title for title in SECTIONS if title in found], getattr(node, "name", path.name)


@pytest.mark.parametrize("path", [p for p in files() if ">>> " in p.read_text(encoding="utf-8")], ids=lambda p: p.stem)
def test_examples_run(path):
    failed, _ = doctest.testmod(module_of(path), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert not failed


@pytest.mark.parametrize("thing", complete().values(), ids=complete())
def test_a_public_name_is_documented_whole(thing):
    """One line, a sentence; Parameters where there are any; what a function returns; an example that runs."""
    doc = inspect.getdoc(thing)
    first, found = doc.splitlines()[0], titles(doc)
    assert first[0].isupper() and first.endswith((".", ":")), first
    assert ">>> " in doc and "Example" in found
    names = [name for name in inspect.signature(thing).parameters if name not in UNLISTED]
    if names:
        parameters = doc.partition("Parameters\n")[2].partition("\n\n")[0]
        listed = ", ".join(re.findall(r"^([\w, ]+) : ", parameters, re.MULTILINE)).split(", ")
        assert set(names) <= set(listed), set(names) - set(listed)
    if inspect.isfunction(thing):
        assert "Returns" in found


@pytest.mark.parametrize("text", ("# a loss, be it what it may", "# as many as those of the encoder", "# of an epoch"))
def test_a_habit_is_found(tmp_path, text):
    (tmp_path / "file.py").write_text(f"x = 1  {text}\n")
    assert habits(tmp_path / "file.py")
