"""What a message tells its reader to type: flags on the command line, arguments in a program."""

import contextlib
from contextvars import ContextVar

_command_line = ContextVar("command_line", default=False)


@contextlib.contextmanager
def on_the_command_line():
    """Messages that are made meanwhile speak to a user of the command line."""
    token = _command_line.set(True)
    try:
        yield
    finally:
        _command_line.reset(token)


def either(program, command_line):
    """One of two texts, by who reads the message."""
    return command_line if _command_line.get() else program


def flag(name, value=None):
    """An argument of `fit`, `load` or a method, and the flag of the same name: clip_norm and --clip-norm.

    value: named beside it, clip_norm=1 and --clip-norm 1, resume=True and --resume.
    """
    dashed = f"--{name.replace('_', '-')}"
    if value is None:
        return either(name, dashed)
    return either(f"{name}={value!r}", dashed if value is True else f"{dashed} {value}")


def setting(name, value="..."):
    """An option of a model: penalty, or ema=True; on the command line penalty (--set penalty=...), ema=true (...)."""
    plain = name if value == "..." else f"{name}={value}"
    text = f"{name}={str(value).lower() if isinstance(value, bool) else value}"
    return either(plain, f"{name if value == '...' else text} (--set {text})")


def number(value):
    """`value` in six digits, or in all of its digits where six round it to an integer that it is not: 1.0000002."""
    short = f"{value:g}"
    return str(value) if float(short).is_integer() and float(short) != value else short


def counted(count, noun):
    """A number of things: "1 value", "2,000 values"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def example(shape):
    """What an example of a shape is called: a row (D,), an image (H, W, C) or a map of codes (H, W)."""
    return {1: "row", 2: "map"}.get(len(shape), "image")


def install(extra):
    """The commands that bring an extra: to a checkout, as the README installs it, and to an installed package."""
    return f"pip install '.[{extra}]' in tinyae's checkout, or pip install 'tinyae[{extra}]'"
