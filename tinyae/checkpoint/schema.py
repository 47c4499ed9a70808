"""What the JSON of a run may hold: declared as data, and checked once, before anything else looks at it.

    Record({"step": COUNT}, {"loss": NUMBER}).validate(value, "training")

raises Unfit, whose text names the place below "training", what is there and what belongs there, in one short line.
"""

import math
import reprlib


class Unfit(Exception):
    """A value is not what its schema declares."""


class Is:
    """A value for which `fits(value)` is true; `words` say what that means."""

    def __init__(self, words, fits):
        self.words, self.fits = words, fits

    def validate(self, value, where):
        if not self.fits(value):
            raise Unfit(f"{where} is {brief(value)}, expected {self.words}")


class Maybe:
    """None, or what `kind` declares."""

    def __init__(self, kind):
        self.kind = kind

    def validate(self, value, where):
        if value is not None:
            self.kind.validate(value, where)


class Each:
    """A list whose items are all of one kind."""

    def __init__(self, kind):
        self.kind = kind

    def validate(self, value, where):
        LIST.validate(value, where)
        for i, item in enumerate(value):
            self.kind.validate(item, f"{where}[{i}]")


class Row:
    """A list of as many items as there are kinds, each of its own kind."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.list = Is(f"a list of {len(kinds)}", lambda value: type(value) is list and len(value) == len(kinds))

    def validate(self, value, where):
        self.list.validate(value, where)
        for i, (kind, item) in enumerate(zip(self.kinds, value, strict=True)):
            kind.validate(item, f"{where}[{i}]")


class Either:
    """What one of several kinds declares, told apart by the value's type; `words` say what they are together."""

    def __init__(self, words, **by_type):
        self.by_type = by_type
        self.known = Is(words, lambda value: type(value).__name__ in by_type)

    def validate(self, value, where):
        self.known.validate(value, where)
        self.by_type[type(value).__name__].validate(value, where)


class Table:
    """A dict of any names, whose values are all of one kind."""

    def __init__(self, kind):
        self.kind = kind

    def validate(self, value, where):
        DICT.validate(value, where)
        for name, item in value.items():
            self.kind.validate(item, f"{where}[{brief(name)}]")


class Record:
    """A dict with the names that are required, and perhaps the optional ones.

    others: the kind of what has any other name, anything by default: a younger tinyae may write it.
    """

    def __init__(self, required, optional=None, others=None):
        self.required, self.kinds, self.others = required, required | (optional or {}), others or ANY

    def validate(self, value, where):
        DICT.validate(value, where)
        for name, kind in self.kinds.items():
            if name in value:
                kind.validate(value[name], f"{where}.{name}")
            elif name in self.required:
                raise Unfit(f"{where} lacks '{name}'")
        for name in value.keys() - self.kinds.keys():
            self.others.validate(value[name], f"{where}[{brief(name)}]")


def brief(value):
    """A value in at most some 60 printable characters."""
    return SHORT.repr(value)


SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxlong = SHORT.maxother = 60
SHORT.maxdict = SHORT.maxlist = SHORT.maxlevel = 3

ANY = Is("anything", lambda value: True)
DICT = Is("a dict", lambda value: type(value) is dict)
LIST = Is("a list", lambda value: type(value) is list)
BOOL = Is("true or false", lambda value: type(value) is bool)
INTEGER = Is("an integer of at most 4096 bits", lambda value: type(value) is int and value.bit_length() <= 4096)
COUNT = Is("an integer from 0 on, of at most 4096 bits", lambda value: INTEGER.fits(value) and value >= 0)
NUMBER = Is("a number", lambda value: type(value) is float or INTEGER.fits(value))
FINITE = Is("a finite number", lambda value: NUMBER.fits(value) and math.isfinite(value))
TEXT = Is("text of at most 4096 characters", lambda value: type(value) is str and len(value) <= 4096)
NAME = Is("a printable name", lambda value: type(value) is str and value.isprintable() and 0 < len(value) <= 200)
SHAPE = Is(
    "a shape: a list of at most 16 integers from 0 on",
    lambda value: type(value) is list and len(value) <= 16 and all(type(n) is int and 0 <= n <= 2**53 for n in value),
)
