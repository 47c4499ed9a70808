"""Examples that are drawn when they are asked for, in a `Split` in place of an array that would be too large."""

import zlib

import numpy as np

from ..errors import DataError

SAMPLE = 64  # examples that tell one way of drawing from another


class Drawn:
    """The examples `rows` of a set that a function draws; it is indexed like an array (N, ...) of uint8.

    draw: (n,) numbers of examples -> (n, *shape) uint8. rows: (N,) integers, the numbers of these examples.
    x[rows] draws: a slice or an array of integers gives (n, *shape), an integer gives (*shape,). select(rows) is a part
    of the set that is not drawn yet.
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
        """The examples of a slice or an array of integers, not drawn yet."""
        return Drawn(self.draw, self.rows[rows], self.shape[1:])

    def checksum(self):
        """Of which examples there are and how the first of them look: the whole set is never drawn at once."""
        return zlib.crc32(self[:SAMPLE], zlib.crc32(np.ascontiguousarray(self.rows)))

    def __array__(self, dtype=None, copy=None):
        """NumPy would draw the examples one by one and keep them all."""
        raise DataError(
            f"these {len(self):,} examples are drawn as they are needed, never all at once: take some rows, x[:1000], "
            "or the test part"
        )

    astype = __array__

    def __repr__(self):
        return f"Drawn({self.shape})"
