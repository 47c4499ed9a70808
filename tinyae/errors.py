"""What tinyae raises on bad input: one clear line that says what is wrong and what to do."""

from .terminal import printable
from .wording import install

LISTED = 50  # names that a message lists at most
LONGEST = 200  # characters of a name in a message


class TinyaeError(Exception):
    """Base of all errors that a user can cause; the command line prints its text and exits with 2."""

    def __str__(self):
        """One printable line, whatever a path or a server put into it."""
        return printable(super().__str__())


class BackendError(TinyaeError):
    """A backend is unknown, its package is missing, or it finds no device."""


class ShapeError(TinyaeError, ValueError):
    """An array's shape does not fit; names the layer, what it expected and what it got."""


class DataError(TinyaeError, ValueError):
    """A file or an array of data cannot be used."""


class ConfigError(TinyaeError, ValueError):
    """An option or a name is unknown or out of range."""


class CheckpointError(TinyaeError):
    """A checkpoint is corrupted, missing or made by something else."""


class NotImportedError(CheckpointError):
    """A checkpoint holds a layer of a user's own class, whose module is not imported."""


class StaleParamsError(TinyaeError, RuntimeError):
    """Backward was asked for through parameters that an optimiser step has changed since the forward pass."""


class DivergedError(TinyaeError, ArithmeticError):
    """A term of the loss is NaN or infinite."""


class MissingExtraError(TinyaeError, ImportError):
    """A feature needs a package of one of tinyae's extras."""

    def __init__(self, feature, extra):
        super().__init__(f"{feature} needs the extra '{extra}': {install(extra)}")


def suggest(kind, name, known):
    """ConfigError for an unknown name, with the nearest known one."""
    from difflib import get_close_matches

    known = list(known)
    near = get_close_matches(str(name), known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    more = f", and {len(known) - LISTED} more" if len(known) > LISTED else ""
    name = str(name) if len(str(name)) <= LONGEST else f"{str(name)[:LONGEST]}..."
    return ConfigError(f"unknown {kind} '{name}': {hint}known: {', '.join(known[:LISTED])}{more}")
