"""Defines `Drawn`: examples that are generated on demand, because an array with all of them would be too large."""

import zlib

import numpy as np

from ..errors import DataError

SAMPLE = 64  # examples in the checksum, enough to detect another way of drawing


class Drawn:
    """Examples that a function generates on demand, indexed like an array (N, ...) of uint8.

    draw: the function, from the numbers (n,) of examples to the examples (n, *shape), uint8. rows: (N,) integers, the
    numbers of the examples in this object. x[rows] generates examples: a slice or an array of integers gives
    (n, *shape), an integer gives (*shape,). x.select(rows) selects examples without generating them.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, draw, rows, shape):
        self.draw, self.rows, self.shape = draw, rows, (len(rows), *shape)

    def __len__(self):
        return len(self.rows)

    @property
    def ndim(self):
        return len(self.shape)

    def __getitem__(self, rows):
        numbers = self.rows[rows]
        return self.draw(numbers) if np.ndim(numbers) else self.draw(numbers[None])[0]

    def select(self, rows):
        """Select the examples of a slice or an array of integers without generating them."""
        return Drawn(self.draw, self.rows[rows], self.shape[1:])

    def checksum(self):
        """A checksum of the examples' numbers and of the first few examples, since all of them would take too long."""
        return zlib.crc32(self[:SAMPLE], zlib.crc32(np.ascontiguousarray(self.rows)))

    def __array__(self, dtype=None, copy=None):
        """Refuse to become an array: NumPy would generate every example and keep all of them in memory."""
        raise DataError(
            f"these {len(self):,} examples are generated on demand and would not fit into memory: take some rows, "
            "x[:1000], or the test split"
        )

    astype = __array__

    def __repr__(self):
        return f"Drawn({self.shape})"
