"""Prints messages on stderr, one printable line each. A line that cannot be written does not stop the program."""

import os
import sys
from unicodedata import category


def printable(text):
    """Escape the text into one printable line: an escape character, for example, becomes \\x1b."""
    return "".join(c if c.isprintable() or category(c) == "Zs" else _escaped(c) for c in str(text))


def _escaped(character):
    return character.encode("unicode_escape").decode("ascii")


def say(text):
    """Write one line on stderr, above any tqdm bar. Returns the error if writing failed, else None."""
    screen, tqdm = Screen(), getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None:
        screen.write(printable(text) + "\n")
    else:
        tqdm.write(printable(text), file=screen)
    return screen.lost


class Screen:
    """A writer to the current sys.stderr that survives errors: `lost` keeps the first one, and later text is dropped.

    It compares equal to the stream that it writes to, so that tqdm recognises that bars and lines share a terminal.
    """

    def __init__(self):
        self.stream, self.lost = sys.stderr, None

    def write(self, text):
        self._try("write", text)
        self.flush()

    def flush(self):
        self._try("flush")

    def _try(self, method, *arguments):
        if self.lost is None and hasattr(self.stream, method):  # None where stderr was closed before the start
            try:
                getattr(self.stream, method)(*arguments)
            except Exception as error:  # a replaced stream may raise anything, and a message must not stop a run
                self.lost = error

    @property
    def columns(self):
        """The width of the terminal in characters (80 if it is unknown), or None if stderr is not a terminal."""
        try:
            if not self.stream.isatty():
                return None
        except Exception:  # the stream is missing or closed, or it has been replaced
            return None
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        except (AttributeError, OSError, ValueError):
            return 80

    @property
    def encoding(self):
        return getattr(self.stream, "encoding", None)

    def fileno(self):
        return self.stream.fileno()

    def __eq__(self, other):
        return self.stream is getattr(other, "stream", other)

    __hash__ = None
