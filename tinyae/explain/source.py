"""Docstrings and source code, as an explanation shows them."""

import inspect
import os
import re
import textwrap

from ..backend import operations

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def code(function):
    """{"name", "file", "line", "text"} of a function or method, unindented."""
    function = inspect.unwrap(function)
    lines, first = inspect.getsourcelines(function)
    path = os.path.relpath(inspect.getsourcefile(function), ROOT).replace(os.sep, "/")
    text = textwrap.dedent("".join(lines)).rstrip()
    return {"name": function.__qualname__, "file": path, "line": first, "text": text}


def operations_in(*texts):
    """The formulas for NumPy of the operations that some code calls, in the order of their first call."""
    called = dict.fromkeys(name for text in texts for name in re.findall(r"\b(\w+)\(", text))
    found = (getattr(operations, name, None) for name in called)
    return [code(f) for f in found if hasattr(f, "__wrapped__")]  # the door wraps the formula


def doc(thing):
    """(first paragraph in one line, the rest) of a docstring."""
    first, _, rest = (inspect.getdoc(thing) or "").partition("\n\n")
    return " ".join(first.split()), rest
