"""Generates dSprites: white shapes of known shape, scale, rotation and position, for measuring disentanglement.

The factors, their values and the order of the images follow Matthey, Higgins, Hassabis and Lerchner (2017),
https://github.com/google-deepmind/dsprites-dataset. The images are drawn here by the formulas below, so single pixels
differ from the original. All 737,280 images would take 2.8 GiB, so they are generated on demand.

    images = draw(factors(numbers))         # (N,) -> (N, 64, 64, 1), 0 or 255

A pixel is white if its centre lies inside the shape. Shape, scale and rotation select one of 720 masks of 33 x 33
pixels; a step in x or y moves the mask by one pixel. As in the original, the rotations go from 0 to 2 pi inclusive, so
the last rotation looks like the first.
"""

import functools
import math

import numpy as np

from ..backend import Noise
from ..errors import DataError
from .dataset import Split
from .drawn import Drawn

FACTORS = ("shape", "scale", "rotation", "x", "y")
SIZES = (3, 6, 40, 32, 32)  # the number of values of each factor; the last factor varies fastest
SHAPES = ("square", "ellipse", "heart")
COUNT = math.prod(SIZES)
SIDE, REACH = 64, 16  # pixels: the side of an image, and the distance from a mask's centre to its edge
TEST = 10_000  # the number of images that `load` holds out

# Sizes at scale 1, in pixels. No point lies farther than 16 from the centre, so no shape leaves the image.
SQUARE = 11.0  # half a side
ELLIPSE = 15.4, 8.6  # semi-axes
HEART = 12.4  # one unit of its equation
# The centre of rotation lies right and down of the middle pixel's centre, in pixels. Because of this offset, even a
# small square gets a different mask at each rotation.
CENTRE = 0.17, 0.31


def factors(numbers):
    """Compute the five factors of images from their numbers.

        number = (((shape * 6 + scale) * 40 + rotation) * 32 + x) * 32 + y

    numbers: (N,) integers in 0..737,279. Returns (N, 5) int64, the index of each factor's value.
    """
    numbers = np.asarray(numbers)
    if numbers.dtype.kind not in "iu" or numbers.size and not 0 <= numbers.min() <= numbers.max() < COUNT:
        raise DataError(f"dsprites: images are numbered from 0 to {COUNT - 1:,}")
    return np.stack(np.unravel_index(numbers, SIZES), axis=-1)


def numbers(factors):
    """Compute the numbers (N,) of images from their factors (N, 5), the inverse of `factors`."""
    return np.ravel_multi_index(tuple(_checked(factors).T), SIZES)


def values(factors):
    """Convert indices of factors to values (N, 5): shape 0..2, scale 0.5..1, rotation 0..2 pi, x and y 0..1."""
    ranges = (0, 2), (0.5, 1), (0, 2 * math.pi), (0, 1), (0, 1)
    columns = zip(_checked(factors).T, ranges, SIZES, strict=True)
    return np.stack([np.linspace(*ends, size)[column] for column, ends, size in columns], axis=1)


def draw(factors):
    """Draw the images (N, 64, 64, 1), uint8, 0 or 255, from the indices (N, 5) of their factors.

    x moves the shape to the right, y moves it down. The centre of the shape lies at pixel 16 + index of the 64 pixels.
    """
    shape, scale, rotation, x, y = _checked(factors).T
    images = np.zeros((len(x), SIDE, SIDE, 1), np.uint8)
    window = 2 * REACH + 1
    places = np.lib.stride_tricks.sliding_window_view(images[..., 0], (window, window), axis=(1, 2), writeable=True)
    places[np.arange(len(x)), y, x] = masks()[shape, scale, rotation]
    return images


def _checked(factors):
    factors = np.asarray(factors)
    if factors.ndim != 2 or factors.shape[1] != len(SIZES) or factors.dtype.kind not in "iu":
        raise DataError(f"dsprites: factors are integers (N, 5), of {', '.join(FACTORS)}, not {factors.shape}")
    wrong = ((factors < 0) | (factors >= SIZES)).any(axis=0)
    if wrong.any():
        which = int(wrong.argmax())
        raise DataError(f"dsprites: {FACTORS[which]} is an index from 0 to {SIZES[which] - 1}")
    return factors


@functools.cache
def masks():
    """Compute the masks (3, 6, 40, 33, 33), uint8: each shape at each scale and rotation, in the middle of its mask."""
    down, right = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    right, down = right - CENTRE[0], down - CENTRE[1]
    angle = np.linspace(0, 2 * math.pi, SIZES[2])[:, None, None]
    scale = np.linspace(0.5, 1, SIZES[1])[:, None, None, None]
    # The point (right, down) is the point (u, v) of the shape after rotation and scaling.
    u = (np.cos(angle) * right + np.sin(angle) * down) / scale
    v = (np.cos(angle) * down - np.sin(angle) * right) / scale
    # The heart is (a^2 + b^2 - 1)^3 = a^2 b^3, with b upwards. Its enclosing circle is centred at b = 0.25.
    a, b = u / HEART, 0.25 - v / HEART
    inside = (
        np.maximum(abs(u), abs(v)) <= SQUARE,
        (u / ELLIPSE[0]) ** 2 + (v / ELLIPSE[1]) ** 2 <= 1,
        (a**2 + b**2 - 1) ** 3 <= a**2 * b**3,
    )
    drawn = np.stack(inside).astype(np.uint8) * 255
    drawn.flags.writeable = False
    return drawn


def images(rows=None):
    """The images with the numbers `rows` as a `Drawn`; by default all images, in the original's order."""
    rows = np.arange(COUNT) if rows is None else rows
    return Drawn(_draw_numbers, rows, (SIDE, SIDE, 1))


def _draw_numbers(numbers):
    """Draw images from their numbers; a function of the module, since a nested function cannot be pickled."""
    return draw(factors(numbers))


def split():
    """Make the splits (train, test), labelled by shape, with the indices of all factors, (N, 5) uint8.

    The original has no test split. Here 10,000 randomly chosen images, in random order, form it and are kept in memory
    (40 MiB). The training images are a `Drawn`.
    """
    order = Noise(0).permutation(COUNT, "dsprites")
    test, train = order[:TEST], np.sort(order[TEST:])
    parts = (images(train), factors(train)), (draw(factors(test)), factors(test))
    return tuple(Split(x, known[:, 0].copy(), known.astype(np.uint8)) for x, known in parts)
