"""Words advice in messages for its reader: flags for the command line, arguments for a Python program."""

import contextlib
from contextvars import ContextVar

_command_line = ContextVar("command_line", default=False)


@contextlib.contextmanager
def on_the_command_line():
    """Within this context, messages address a user of the command line."""
    token = _command_line.set(True)
    try:
        yield
    finally:
        _command_line.reset(token)


def either(program, command_line):
    """Choose one of two texts, for a Python program or for the command line."""
    return command_line if _command_line.get() else program


def flag(name, value=None):
    """Name an argument, such as clip_norm, or on the command line its flag, --clip-norm.

    A value is added to it: clip_norm=1 or --clip-norm 1, resume=True or --resume.
    """
    dashed = f"--{name.replace('_', '-')}"
    if value is None:
        return either(name, dashed)
    return either(f"{name}={value!r}", dashed if value is True else f"{dashed} {value}")


def setting(name, value="..."):
    """Name an option of a model, such as penalty or ema=True; on the command line, penalty (--set penalty=...)."""
    plain = name if value == "..." else f"{name}={value}"
    text = f"{name}={str(value).lower() if isinstance(value, bool) else value}"
    return either(plain, f"{name if value == '...' else text} (--set {text})")


def number(value):
    """Format a value in six digits, or in all digits if six would turn it into an integer, as for 1.0000002."""
    short = f"{value:g}"
    return str(value) if float(short).is_integer() and float(short) != value else short


def counted(count, noun):
    """Format a count with its noun: "1 value", "2,000 values"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def example(shape):
    """The noun for an example of this shape: row for (D,), image for (H, W, C), map (of codes) for (H, W)."""
    return {1: "row", 2: "map"}.get(len(shape), "image")


def install(extra):
    """The commands that install an extra, in a checkout (as in the README) and for an installed package."""
    return f"pip install '.[{extra}]' in tinyae's checkout, or pip install 'tinyae[{extra}]'"
