"""Runs a function and notes, for each of its lines, the values that the line set."""

import ast
import inspect
import sys
import textwrap

from .shapes import described


def traced(function, run):
    """[{"code", "comment", "sets": {name: shape}, "ran"}] of a function's lines while run() calls it.

    Statements of several lines are one entry. A line that a run passes over has ran = False.
    """
    function = inspect.unwrap(function)
    lines, first = inspect.getsourcelines(function)
    statements = _statements(lines)
    ran, sets, last = set(), {}, []

    def local(frame, event, argument):
        if last:  # the line before this event has been run to its end
            found = sets.setdefault(last.pop(), {})
            found |= {name: described(value) for name, value in frame.f_locals.items()}
        if event == "line":
            last.append(frame.f_lineno - first)
            ran.add(last[0])
        return local

    def tracer(frame, event, argument):
        return local if frame.f_code is function.__code__ else None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        run()
    finally:
        sys.settrace(before)
    return [_entry(lines, statement, ran, sets) for statement in statements]


def _statements(lines):
    """[(first line, last line, names that it sets)] of each statement of a function's body, of a block its header.

    Lines are numbered from the `def`.
    """
    tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    body = tree.body[1:] if ast.get_docstring(tree) else tree.body
    found = []

    def walk(nodes):
        for node in nodes:
            inner = getattr(node, "body", None)
            stop = inner[0].lineno - 1 if inner else node.end_lineno
            names = () if inner else [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and is_set(n)]
            found.append((node.lineno - 1, stop - 1, tuple(dict.fromkeys(names))))
            walk(inner or [])
            if getattr(node, "orelse", None):
                walk(node.orelse)

    walk(body)
    return found


def is_set(name):
    return isinstance(name.ctx, ast.Store)


def _entry(lines, statement, ran, sets):
    start, stop, names = statement
    margin = len(lines[0]) - len(lines[0].lstrip()) + 4
    text = "".join(lines[start : stop + 1]).rstrip("\n")
    text = "\n".join(line[margin:] for line in text.split("\n"))
    code, _, comment = text.partition("  # ") if "\n" not in text else (text, "", "")
    values = {}
    for line in range(start, stop + 1):
        values |= sets.get(line, {})
    found = {name: values[name] for name in names if name in values}
    was_run = not ran.isdisjoint(range(start, stop + 1))
    return {"code": code.rstrip(), "comment": comment.strip(), "sets": found, "ran": was_run}
