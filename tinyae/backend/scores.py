"""The scores of codes, s = |e|^2 / 2 - z.e, by which the nearest one is found: how far rounding moves them; shapes."""

import numpy as np

from ..errors import ShapeError
from .modules import array_module


def check_codebook(z, codebook):
    """Raise ShapeError unless z is (M, D) and the codebook (K, D), with a code at least."""
    if z.ndim != 2 or codebook.ndim != 2 or z.shape[1] != codebook.shape[1] or not len(codebook):
        raise ShapeError(
            f"nearest_code: expected z (M, D) and a codebook (K, D) with K > 0, got {z.shape} and {codebook.shape}"
        )


def check_codes(z, codes):
    """Raise ShapeError unless z is (M, D) and there is a code for each row."""
    if z.ndim != 2 or codes.shape != z.shape[:1]:
        raise ShapeError(f"code_sums: expected z (M, D) and codes (M,), got {z.shape} and {codes.shape}")


def slack(squares, half, size):
    """How far above the best score the nearest code's may be, from |z|^2 (M,) and the largest |e|^2 / 2.

    A sum of D products, in any order, is off by at most about D u sum |z_d e_d| <= D u |z| |e| (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, section 3.1); |e|^2 / 2 and the difference add a few u of what they are,
    distances in float64 D 2^-53 (|z| + |e|)^2. Two scores are compared; `tiny` is what squares lose by underflow.
    Infinite where a score may overflow.
    """
    xp, eps = array_module(squares), float(np.finfo(squares.dtype).eps)
    lost = size * float(np.finfo(squares.dtype).tiny)
    longest, lengths = xp.sqrt(2 * half + lost), xp.sqrt(squares + lost)
    return (2 * (longest + 2.0**-52 / eps * lengths) * (longest + lengths)) * ((size + 4) * eps)
