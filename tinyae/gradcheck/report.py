"""What a gradient check found."""

import math


class Report:
    """The outcome of a gradient check.

    Attributes:
        name: what was checked.
        passed: whether every error is within its limit, every promise is kept, and anything was checked at all.
        max_relative_error: the worst relative error; infinite where one is NaN or could not be measured.
        where: the array of the worst error or, if no array is wrong, the first line of `faults`.
        arrays: {name: worst relative error} of the input ("x"), of each parameter, and of "all together".
        wrong: the names in `arrays` whose error is above its limit.
        diagnoses: {name: Diagnosis} of the arrays that are wrong, None for one of too many coordinates to measure.
        faults: lines, each about a promise that is broken, such as gradients that are overwritten.
        checks: the number of comparisons.
        tolerance: the limit of an error unless `add` is given another.

    `repr` is one line; `str`, and so `print`, adds `table`.
    """

    def __init__(self, name, tolerance):
        self.name, self.tolerance = name, tolerance
        self.arrays, self.faults, self.checks, self.measured = {}, [], 0, True
        self.diagnoses = {}
        self._shares = {}  # {array: its worst error over the limit}

    def add(self, error, where, limit=None):
        """Count the relative error of the array `where`; a NaN counts as infinite. limit: by default `tolerance`."""
        limit = self.tolerance if limit is None else limit
        error = error if error == error else math.inf
        share = error / limit if limit else math.inf if error else 0.0
        self.checks += 1
        if where not in self._shares or share > self._shares[where]:
            self.arrays[where], self._shares[where] = error, share

    def fault(self, line, measured=True):
        """Count a broken promise, once. measured: False where it kept an error from being measured."""
        if line not in self.faults:
            self.faults.append(line)
        self.measured &= measured

    @property
    def passed(self):
        return self.checks > 0 and not self.faults and not self.wrong

    @property
    def wrong(self):
        return [name for name, share in self._shares.items() if share > 1]

    @property
    def max_relative_error(self):
        return max(self.arrays.values(), default=0.0) if self.measured else math.inf

    @property
    def where(self):
        single = [name for name in self.wrong if name != TOGETHER] or self.wrong
        if not single and self.faults:
            return self.faults[0]
        return max(single or self.arrays, key=self._shares.get, default="")

    @property
    def verdict(self):
        """ "passed", or "FAILED" and why, in one line."""
        if self.passed:
            return "passed"
        at = f" at {self.where}" if self.wrong or not self.faults else ""
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        return f"FAILED{at}" + (f": {self.faults[0]}{more}" if self.faults else "")

    def table(self, whole=True):
        """Lines: each broken promise; each array with its worst error, or without `whole` each that is wrong; and what
        is wrong with it."""
        names = list(self.arrays) if whole else self.wrong
        width = max(map(len, names), default=0)
        return [
            *(f"  {line}" for line in self.faults),
            *(f"  {name:<{width}}  {self.arrays[name]:8.2e}{'  WRONG' * (name in self.wrong)}" for name in names),
            *(f"  {line}" for found in self.diagnoses.values() if found for line in found.lines()),
        ]

    def __repr__(self):
        worst = f"worst relative error {self.max_relative_error:.2e}"
        return f"{self.name}: {worst} in {self.checks} checks, {self.verdict}"

    def __str__(self):
        return "\n".join((repr(self), *self.table()))


TOGETHER = "all together"  # the name of a direction through all arrays
