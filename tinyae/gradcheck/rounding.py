"""The rounding error of an operation in float32, compared with the same operation in float64, and its limit.

A sum of n products, in any order, is off by at most about n eps times the sum of the products' magnitudes (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), eps = 2^-23. That is the limit here: nothing is
tuned, and a wrong sign or a lost chunk is larger by orders of magnitude. An operation without sums has to be exact.
"""

import numpy as np

EPS = 2.0**-23


class Case:
    """An operation on drawn arrays.

    label: what is special about it. arrays: float32 by name. run(**arrays): the results by name. terms: how many
    numbers each result adds up, counting the roundings of what is added; 0 where it has to be exact; a dict where
    results differ. magnitudes(**arrays): the sums of magnitudes by result, by default `run` of the absolute values.
    """

    def __init__(self, label, arrays, run, terms, magnitudes=None):
        self.label, self.arrays, self.run, self.terms = label, arrays, run, terms
        self.magnitudes = magnitudes or (lambda **given: run(**{name: abs(value) for name, value in given.items()}))

    def check_rounding(self, report, way):
        """Add the errors of float32 to `report`. way: who computes."""
        exact_arrays = {name: value.astype("float64") for name, value in self.arrays.items()}
        exact, magnitudes = self.run(**exact_arrays), self.magnitudes(**exact_arrays)
        for name, found in self.run(**self.arrays).items():
            place, expected = f"{name} ({way}, {self.label})", exact[name]
            if np.shape(found) != np.shape(expected) or found.dtype.kind != expected.dtype.kind:
                report.fault(f"{place}: {found.dtype} {np.shape(found)}, expected {np.shape(expected)}")
            elif found.dtype == np.float64:
                report.fault(f"{place}: float64 from float32")
            else:
                terms = self.terms[name] if isinstance(self.terms, dict) else self.terms
                report.add(_worst(abs(found - expected), magnitudes[name]), place, terms * EPS)


def _worst(errors, magnitudes):
    """The largest ratio; what has the magnitude 0 must have the error 0."""
    zero = magnitudes == 0
    ratios = np.where(zero, np.where(errors == 0, 0.0, np.inf), errors / np.where(zero, 1, magnitudes))
    return float(ratios.max(initial=0))
