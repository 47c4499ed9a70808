"""Which module of a package imports which, read from the source: also what is imported inside functions."""

import ast


def import_graph(root):
    """{module: modules of the same package that it imports} for the package in the folder `root`.

    `from .a import b` is an import of a.b where that is a module, else of a.
    """
    files = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: _imported(name, path, files) - {name} for name, path in files.items()}


def _imported(name, path, files):
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found.update(full if (full := f"{base}.{alias.name}") in files else base for alias in node.names)
    return found & files.keys()


def circles(graph):
    """The sets of modules that import each other, directly or through others: strongly connected components.

    (Tarjan 1972.) `low` of a module is the earliest one on the stack that it reaches.
    """
    order, low, stack, found = {}, {}, [], []

    def visit(module):
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in graph[module]:
            if other not in order:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == order[module]:
            component = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(component) > 1:
                found.append(component)

    for module in graph:
        if module not in order:
            visit(module)
    return found
