"""What is said at the terminal: printable lines on stderr. A line that cannot be written stops nothing."""

import os
import sys
from unicodedata import category


def printable(text):
    """The text as one line that only shows characters: line breaks, escape sequences and the like come out as \\x1b."""
    return "".join(c if c.isprintable() or category(c) == "Zs" else _escaped(c) for c in str(text))


def _escaped(character):
    return character.encode("unicode_escape").decode("ascii")


def say(text):
    """Write one line on stderr, above any bar of tqdm's. Returns the error where that cannot be done, else None."""
    screen, tqdm = Screen(), getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None:
        screen.write(printable(text) + "\n")
    else:
        tqdm.write(printable(text), file=screen)
    return screen.lost


class Screen:
    """The present sys.stderr, to write to: when a write fails, `lost` keeps the error and what follows is dropped.

    It equals the stream behind it, so that tqdm knows that its bars and its lines share one terminal.
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
            except Exception as error:  # a host's own stream may raise anything: what it was to show is not worth a run
                self.lost = error

    @property
    def columns(self):
        """The terminal's width (80 where it does not tell), or None where stderr is no terminal."""
        try:
            if not self.stream.isatty():
                return None
        except Exception:  # there is no stream, it is closed, or a host's own
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
