"""An explanation as lines of text, with colours or without."""

import textwrap

BOLD, DIM, CODE, OFF = "\033[1m", "\033[2m", "\033[36m", "\033[0m"
CODE_WIDTH = 66


def lines(found, colour=False):
    """The lines of a dict that `explain` gives."""
    paint = _paint if colour else _plain
    yield paint(BOLD, f"{found['name']}: {found['kind']}, in {found['file']}")
    yield from textwrap.wrap(found["summary"], 100)
    if found["formula"].strip():
        yield from ("", *found["formula"].rstrip().splitlines())
    for step in found["steps"] if found["kind"] == "model" else ():
        yield from _step(step, paint)
    for text in found.get("code", ()):
        yield from ("", paint(BOLD, f"{text['name']}, {text['file']} line {text['line']}"))
        yield from (paint(CODE, f"    {line}") if line else "" for line in text["text"].splitlines())
    if found["kind"] == "optimiser":
        yield from ("", paint(BOLD, "The first steps on L = |w|^2 / 2, whose gradient is w"))
        yield from _table([{k: _numbers(v) for k, v in row.items()} for row in found["steps"]])
    if "shapes" in found:
        example = f" of {found['example']} with a batch of 2" if "example" in found else ""
        yield from ("", paint(BOLD, f"Shapes in an example{example}"))
        width = max(map(len, found["shapes"]))
        yield from (f"    {name:<{width}}  {shape}" for name, shape in found["shapes"].items())
    if found.get("gradients"):
        yield from ("", paint(BOLD, "Gradients and central differences at the worst coordinate"))
        rows = [
            {
                "array": row["array"], "shape": str(tuple(row["shape"])), "at": str(row["index"]),
                "analytic": f"{row['analytic']:.8g}", "numeric": f"{row['numeric']:.8g}",
                "error": f"{row['error']:.1e}",
            }
            for row in found["gradients"]
        ]  # fmt: skip
        yield from _table(rows)
    if found.get("terms"):
        yield from ("", paint(BOLD, f"Terms of {found['example']}"), f"on a batch of {found['batch']} random examples:")
        yield from _table([{k: f"{v:.6g}" if k == "value" else v for k, v in row.items()} for row in found["terms"]])


def _step(step, paint):
    phase = f"Phase {step['phase']}: " if step["phase"] else ""
    yield ""
    yield paint(BOLD, f"{phase}{step['name']}, {step['file']} line {step['line']}")
    if step["phase"]:
        yield f"    trains {', '.join(step['trains'])}; minimises {step['minimises']}"
    for line in step["lines"]:
        shapes = ", ".join(f"{name} {shape}" for name, shape in line["sets"].items() if shape.startswith("("))
        reason = line["comment"].rpartition("as ")[1:] if "as " in line["comment"] else ()
        note = "; ".join(filter(None, (shapes, "".join(reason)))) if line["ran"] else "not run here"
        *before, last = line["code"].split("\n")
        if last.startswith("if net.needs_grads"):
            yield ""
        yield from (paint(CODE, f"    {text}") for text in before)
        gap = " " * max(2, CODE_WIDTH - len(last))
        yield (paint(CODE, f"    {last}") + paint(DIM, f"{gap}# {note}")) if note else paint(CODE, f"    {last}")


def _table(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[str(row.get(name, "")) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for row in (names, *cells):
        yield "    " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _numbers(value):
    return " ".join(f"{v:.5g}" for v in value) if isinstance(value, list) else value


def _paint(code, text):
    return f"{code}{text}{OFF}"


def _plain(code, text):
    return text
