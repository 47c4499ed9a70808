"""What a constructor or a function takes: one declared kind for each option, checked before its body runs.

    @options(units=Count(), bias=Flag(), init=Choice(INITIALISERS))
    def __init__(self, units, bias=True, init="glorot"): ...

The body gets plain Python values: a NumPy scalar or an array without axes counts as the number that it holds, an array
or a list of them as a tuple. Anything else is a ConfigError in one line. Integers have an upper bound, so that a typing
error is found before memory is taken or a long loop begins; `backend.memory` compares what a model takes with what
there is.
"""

import functools
import inspect
import math
import numbers
import operator
import os
from collections import namedtuple

import numpy as np

from .errors import ConfigError, suggest
from .wording import flag

MOST = 2**24  # the largest size that any option takes
LONG = 2**256  # the largest integer at all, so that JSON and messages can hold it
VALUES = 2**28  # the most numbers in one example: 1 GiB in float32
LONGEST = 64  # entries in a list of sizes
SHOWN = 80  # characters of a value in a message


def options(_naming=None, /, **kinds):
    """Decorate a function: its arguments of these names are checked by their kinds, and replaced by plain values.

    _naming: "owner" for messages that begin with the class, "flag" for names as flags on the command line.
    """

    def decorate(function):
        signature = functools.cache(lambda: inspect.signature(function))

        @functools.wraps(function)
        def checked(*args, **kwargs):
            try:
                bound = signature().bind(*args, **kwargs)
            except TypeError:
                return function(*args, **kwargs)  # it says itself which arguments are missing or unknown
            given = dict(bound.arguments)
            for name in kinds.keys() & given.keys():
                bound.arguments.update(kinds[name].implied(given[name], given.keys()) | given)
            bound.apply_defaults()
            owner = type(args[0]).__name__ if _naming == "owner" else None
            for name, value in bound.arguments.items():
                if name in kinds:
                    said = flag(name) if _naming == "flag" else name
                    bound.arguments[name] = kinds[name].check(said, value, owner)
            return function(*bound.args, **bound.kwargs)

        checked.kinds = kinds
        return checked

    return decorate


of_layer = functools.partial(options, "owner")  # a network has many layers: their messages begin with the layer's class


class Kind:
    """`wanted` says in words what an option takes; `convert` returns a plain value or raises one of `REFUSALS`."""

    wanted = "a value"
    REFUSALS = TypeError, ValueError, OverflowError, AttributeError

    def check(self, name, value, owner=None):
        try:
            return self.convert(plain(value))
        except self.REFUSALS:
            raise self.refusal(name, value, owner) from None

    def refusal(self, name, value, owner):
        said = f"{owner}: {name} must be" if owner else f"{name}: expected"
        return ConfigError(f"{said} {self.wanted}, got {shown(value)}")

    def convert(self, value):
        return value

    def implied(self, value, given):
        """{name: value} that this value stands for, of the options that are not among the names `given`."""
        return {}

    def stored(self, value):
        """The value as a checkpoint keeps it, JSON-ready."""
        return value


class Count(Kind):
    """An integer from `least` to `most`; None for one that no memory or loop depends on."""

    def __init__(self, least=1, most=MOST):
        self.least, self.most = least, LONG if most is None else most
        self.wanted = f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"

    def convert(self, value):
        if isinstance(value, bool):
            raise TypeError
        value = operator.index(value)
        if not self.least <= value <= self.most:
            raise ValueError
        return value


SEED = Count(0, None)


class Counts(Kind):
    """A tuple of positive integers, from one of them or a sequence of at least `fewest` and at most LONGEST."""

    def __init__(self, fewest=0):
        self.fewest, self.each = fewest, Count()
        self.wanted = f"{f'{fewest} to' if fewest else 'up to'} {LONGEST} integers from 1 to {MOST}"

    def convert(self, value):
        values = sequence(value) if is_sequence(value) else (value,)
        if not self.fewest <= len(values) <= LONGEST:
            raise ValueError
        return tuple(self.each.convert(plain(v)) for v in values)


class Shape(Counts):
    """The shape of an example: positive integers whose product is at most VALUES."""

    wanted = f"positive integers with a product of at most {VALUES}"

    def __init__(self):
        super().__init__(1)
        self.wanted = Shape.wanted

    def convert(self, value):
        shape = super().convert(value)
        if math.prod(shape) > VALUES:
            raise ValueError
        return shape


class Pair(Kind):
    """(rows, columns) from an integer of at least `least` or two of them."""

    def __init__(self, least=1):
        self.each = Count(least)
        self.wanted = f"an integer from {least} to {MOST}, or two of them"

    def convert(self, value):
        values = sequence(value) if is_sequence(value) else (value, value)
        if len(values) != 2:
            raise ValueError
        return tuple(self.each.convert(plain(v)) for v in values)


class Padding(Kind):
    """ "same", "valid", or ((top, bottom), (left, right)) from these or one integer."""

    wanted = '"same", "valid", an integer or ((top, bottom), (left, right))'

    def convert(self, value):
        if isinstance(value, str):
            if value not in ("same", "valid"):
                raise ValueError
            return str(value)
        if not is_sequence(value):
            return (Pair(0).convert(value),) * 2
        pairs = sequence(value)
        if len(pairs) != 2 or not all(map(is_sequence, pairs)):
            raise ValueError
        return tuple(map(Pair(0).convert, pairs))


class Number(Kind):
    """A number between `above` and `below`, both excluded, or from `least` to `most`; finite unless told otherwise."""

    def __init__(self, above=-math.inf, least=-math.inf, below=math.inf, most=math.inf, finite=True):
        self.finite = finite
        ends = above, below  # infinity where there is no bound, and then infinity itself is within
        self.fits = lambda value: (
            (above < value < below or math.isinf(value) and value in ends) and least <= value <= most
        )
        bounds = (" above", above), (" of at least", least), (" and below", below), (" and at most", most)
        self.wanted = "a number" + "".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))

    def convert(self, value):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError
        value = int(value) if isinstance(value, numbers.Integral) else float(value)
        if self.finite and not math.isfinite(float(value)) or not self.fits(value):
            raise ValueError
        return value


RATE = Number(above=0)
SHARE = Number(above=0, below=1)
WEIGHT = Number(least=0)


class Flag(Kind):
    wanted = "True or False"

    def convert(self, value):
        if not isinstance(value, bool):
            raise TypeError
        return value


class Choice(Kind):
    """One of the names in `known`; `what` names the option where its own name does not say enough."""

    def __init__(self, known, what=None):
        self.known, self.what = known, what
        self.wanted = ", ".join(f'"{name}"' for name in known)

    def convert(self, value):
        if not isinstance(value, str) or value not in self.known:
            raise ValueError
        return str(value)

    def refusal(self, name, value, owner):
        short = isinstance(value, str) and value.isprintable() and len(value) <= SHOWN
        error = suggest(self.what or name, value if short else shown(value), self.known)
        return ConfigError(f"{owner}: {error}") if owner else error


# A published code: the options of the model that reproduce it; the options of `fit`, as its text has them; and whether
# its loss is the mean over the numbers of an example, where ours is their sum.
Source = namedtuple("Source", "options fit mean", defaults=(False,))


class Sources(Choice):
    """ "none", or the name of a published code, {name: Source}: its options hold where no other value is given."""

    def __init__(self, sources):
        super().__init__(("none", *sources), "source")
        self.sources = sources

    def implied(self, value, given):
        known = isinstance(value, str) and value in self.sources
        return self.sources[value].options if known else {}


class Text(Kind):
    wanted = "text"

    def convert(self, value):
        if not isinstance(value, str):
            raise TypeError
        return str(value)


class Path(Kind):
    wanted = "a path"

    def convert(self, value):
        value = os.fspath(value)
        if not isinstance(value, str) or "\0" in value:
            raise TypeError
        return value


class Dtype(Kind):
    wanted = "float32 or float64"

    def convert(self, value):
        name = None if value is None else np.dtype(value).name
        if name not in ("float32", "float64"):
            raise ValueError
        return name


class Having(Kind):
    """An object that has some attributes, and is no class; `wanted` says what it is."""

    def __init__(self, wanted, *attributes):
        self.wanted, self.attributes = wanted, attributes

    def convert(self, value):
        if isinstance(value, type) or not all(hasattr(value, name) for name in self.attributes):
            raise TypeError
        return value


MODEL = Having("a model, such as tinyae.models.VAE()", "loss_and_grads")
DATASET = Having('a Dataset, such as tinyae.data.load("digits")', "parts", "class_count")


class Sequence(Kind):
    """A tuple of values of one kind, from a sequence of at least `fewest` of them."""

    def __init__(self, each, wanted, fewest=0):
        self.each, self.wanted, self.fewest = each, wanted, fewest

    def convert(self, value):
        if not is_sequence(value) or len(value) < self.fewest:
            raise ValueError
        return tuple(self.each.convert(plain(v)) for v in sequence(value))


class Tuple(Kind):
    """A tuple of one value of each of some kinds."""

    def __init__(self, wanted, *kinds):
        self.wanted, self.kinds = wanted, kinds

    def convert(self, value):
        if not is_sequence(value):
            raise TypeError
        return tuple(kind.convert(plain(v)) for kind, v in zip(self.kinds, sequence(value), strict=True))


class Name(Kind):
    """What something is called: text, or what is written as text, such as a number."""

    wanted = "a name"

    def convert(self, value):
        if not isinstance(value, (str, numbers.Number)):
            raise TypeError
        return str(value)


NAMES = Sequence(Name(), "a sequence of names")


class Function(Kind):
    wanted = "a function"

    def convert(self, value):
        if not callable(value):
            raise TypeError
        return value


class Optional(Kind):
    """None, or what a kind takes."""

    def __init__(self, kind):
        self.kind = kind

    def check(self, name, value, owner=None):
        return None if value is None else self.kind.check(name, value, owner)


class Either(Kind):
    """What one of two kinds takes."""

    def __init__(self, *kinds):
        self.kinds, self.wanted = kinds, " or ".join(kind.wanted for kind in kinds)

    def convert(self, value):
        first, second = self.kinds
        try:
            return first.convert(value)
        except self.REFUSALS:
            return second.convert(value)


def plain(value):
    """A NumPy scalar, or an array or tensor without axes, as the Python value that it holds; the rest as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def is_sequence(value):
    """Whether a value is a list of values in an order: text, sets and dicts are none."""
    return isinstance(value, (tuple, list, range)) or len(getattr(value, "shape", ())) > 0


def sequence(value):
    return tuple(value.tolist()) if hasattr(value, "tolist") else tuple(value)


def shown(value):
    """A value as a message shows it: on one printable line of bounded length."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # Python refuses to write integers of thousands of digits, and an object's own repr may fail
        text = f"a very long {type(value).__name__}"
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
