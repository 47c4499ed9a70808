"""A grid of images with titles and labels, laid out with Pillow (extra `viz`).

Pixels are magnified by an integer factor and never resampled.
"""

import functools
import math
import os
import pathlib
import sys
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np

from ..backend import memory
from ..data.examples import as_array
from ..errors import ConfigError, MissingExtraError, ShapeError
from ..options import NAMES, Count, Optional, Path, Text, options

WIDTH = HEIGHT = 1400  # the largest size of a grid in pixels, unless it is larger at scale 1
LARGEST_CELL = 360  # pixels, the largest side of a magnified image
MARGIN = 16  # pixels around a grid
INK = "#222222"


@options(
    path=Path(), columns=Optional(Count()), scale=Optional(Count()), title=Optional(Text()),
    column_labels=Optional(NAMES), row_labels=Optional(NAMES), captions=Optional(NAMES), x_label=Optional(Text()),
    y_label=Optional(Text()), gap=Count(0),
)  # fmt: skip
def grid(
    path, images, columns=None, scale=None, title=None, column_labels=None, row_labels=None, captions=None,
    x_label=None, y_label=None, gap=4,
):  # fmt: skip
    """Write a picture of images in a grid, row by row, with titles and labels.

    images: (N, H, W, C) with C of 1 or 3, floats in [0, 1] (clipped) or uint8. columns: by default, the grid is nearly
    square. scale: the magnification, an integer; by default the largest that fits. gap: pixels between images.
    column_labels are above the columns, row_labels to the left of the rows, and captions (N strings, "" for none) below
    the images; x_label and y_label name the sides. Long texts are wrapped, and then cut with an ellipsis. Raises
    `ShapeError` for other images or a wrong number of labels.
    """
    with needs_viz():
        from PIL import Image, ImageDraw, ImageFont

    images = pixels(images)
    title, x_label, y_label = (text and drawable(text) for text in (title, x_label, y_label))
    n, h, w, _ = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    column_labels = _texts(column_labels, columns, "column")
    row_labels, captions = _texts(row_labels, rows, "row"), _texts(captions, n, "image")

    font, large = load_font(ImageFont, 15), load_font(ImageFont, 20)
    line = sum(font.getmetrics())
    leading = line - font.getbbox("A")[3]  # Pillow's height of a line ends at the baseline
    beside = [fit(text, font, 180) for text in row_labels]
    left = MARGIN + (line + 6 if y_label else 0)
    left += math.ceil(max((font.getlength(part) for text in beside for part in text), default=-10)) + 10
    if scale is None:
        across = (WIDTH - left - MARGIN - gap * (columns - 1)) / (columns * w)
        scale = max(1, int(min(across, HEIGHT / (rows * h), LARGEST_CELL / max(h, w))))
    cell_h, cell_w = h * scale, w * scale

    # The title comes first, then the column labels, then each row with its captions.
    above = [fit(text, font, cell_w) for text in column_labels]
    below = [fit(text, font, cell_w) for text in captions]
    top = MARGIN + (sum(large.getmetrics()) + 10 if title else 0)
    lines = max(map(len, above))
    top += line * lines + 4 if lines else 0
    tops, bottom = [], top
    for row in range(rows):
        tops.append(bottom)
        lines = max(map(len, below[row * columns : (row + 1) * columns]))
        bottom += cell_h + (line * lines + 8 if lines else 0) + gap
    bottom -= gap
    right = left + columns * (cell_w + gap) - gap
    heading = large.getlength(title) if title else 0
    width = math.ceil(max(right, left + heading) + MARGIN)
    height = bottom + (line + 6 if x_label else 0) + MARGIN

    memory.require(3 * height * width, 1, f"a picture of {height}x{width} pixels", "give a smaller scale")
    canvas = np.full((height, width, 3), 255, np.uint8)
    corners = [(tops[i // columns], left + i % columns * (cell_w + gap)) for i in range(n)]
    for image, (y, x) in zip(images, corners, strict=True):
        canvas[y : y + cell_h, x : x + cell_w] = image.repeat(scale, axis=0).repeat(scale, axis=1)

    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)

    def write(x, y, text, anchor, align="center"):
        if text:
            draw.multiline_text((x, y), "\n".join(text), INK, font, anchor, spacing=leading, align=align)

    if title:
        draw.text((left, MARGIN), title, INK, large)
    for column, text in enumerate(above):
        write(left + column * (cell_w + gap) + cell_w / 2, top - 4, text, "md")
    for y, text in zip(tops, beside, strict=True):
        write(left - 10, y + cell_h / 2, text, "rm", "right")
    for (y, x), text in zip(corners, below, strict=True):
        write(x + cell_w / 2, y + cell_h + 3, text, "ma")
    if x_label:
        write((left + right) / 2, bottom + 6, [_shorten(x_label, font, right - left)], "ma")
    if y_label:
        y_label = _shorten(y_label, font, bottom - top)
        upright = ImageFont.TransposedFont(font, Image.Transpose.ROTATE_90)
        draw.text((MARGIN - 4, (top + bottom - font.getlength(y_label)) / 2), y_label, INK, upright)
    return replace(path, lambda file: picture.save(file, "PNG"))


def _texts(texts, count, kind):
    """`texts`, checked to be `count`, or as many empty ones. kind: what they label, for the message."""
    if texts is None:
        return [""] * count
    if len(texts) != count:
        raise ShapeError(f"grid: {len(texts)} labels for {count} {kind}{'s' * (count != 1)}")
    return texts


def pixels(images):
    """Convert images (N, H, W, 1 or 3), floats in [0, 1] or uint8, to uint8. NaN becomes black."""
    images = np.asarray(as_array(images, "images"))
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        raise ShapeError(f"pictures show images of shape (N, H, W, 1) or (N, H, W, 3), got {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise ShapeError(f"pictures show uint8 or floats in [0, 1], got {images.dtype}")
    return np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype(np.uint8)


def load_font(ImageFont, size):
    """Load DejaVu Sans, which comes with matplotlib and has more alphabets than Pillow's own font."""
    file = _font_file()
    return ImageFont.load_default(size) if file is None else ImageFont.truetype(str(file), size)


def _font_file():
    """The file of DejaVu Sans, or None without matplotlib."""
    found = find_spec("matplotlib")  # finds the folder without importing matplotlib
    file = found and pathlib.Path(found.submodule_search_locations[0], "mpl-data/fonts/ttf/DejaVuSans.ttf")
    return file if file and file.exists() else None


def drawable(text):
    """Escape what a picture cannot show: bytes that are no UTF-8 (\\xe9), control characters (\\n), missing letters.

    The letters are those that DejaVu Sans lacks, such as \\u732b.
    """
    return "".join(c if c.isascii() and c.isprintable() or _has_glyph(c) else _escaped(c) for c in str(text))


def _escaped(c):
    if "\udc80" <= c <= "\udcff":  # Python's representation of such a byte in a file name
        return f"\\x{ord(c) - 0xDC00:02x}"
    return c.encode("unicode_escape").decode()


def _has_glyph(c):
    """Whether the font has a character. Without matplotlib the font is Pillow's own, which has Latin letters."""
    if not c.isprintable():
        return False
    if c <= "\u00ff":
        return True
    return _font_file() is not None and bool(_charmap()(ord(c)))


@functools.cache
def _charmap():
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(_font_file())).get_char_index


def fit(text, font, width, most=2):
    """Wrap `text` into lines of at most `width` pixels. A paragraph longer than `most` lines ends with an ellipsis."""
    lines = []
    for paragraph in str(text).split("\n"):
        wrapped, words = [], drawable(paragraph).split()
        while words and len(wrapped) < most:
            taken = 1
            while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
                taken += 1
            wrapped.append(" ".join(words[:taken]))
            words = words[taken:]
        if words:
            wrapped[-1] += "…"
        lines += [_shorten(line, font, width) for line in wrapped]
    return lines


def _shorten(line, font, width):
    while font.getlength(line) > width and len(line) > 1:
        line = line.removesuffix("…")[:-1] + "…"
    return line


def check_viz():
    """Raise `MissingExtraError` if Pillow or matplotlib is missing, before a long computation begins."""
    with needs_viz():
        import matplotlib.figure  # noqa: F401
        import PIL.Image  # noqa: F401


@contextmanager
def needs_viz():
    """A context for imports of Pillow and matplotlib, which turns failures into errors of one line.

    It raises `MissingExtraError` if they are missing, and `ConfigError` if matplotlib's settings prevent its import. A
    notebook sets a backend of matplotlib for its shell that may not be installed there; pictures in files need none.
    """
    backend = os.environ.get("MPLBACKEND", "")
    module = backend.removeprefix("module://")
    hidden = module != backend and "matplotlib" not in sys.modules and find_spec(module.partition(".")[0]) is None
    if hidden:
        del os.environ["MPLBACKEND"]
    try:
        yield
    except ImportError as error:
        raise MissingExtraError("drawing", "viz") from error
    except ValueError as error:
        reason = str(error).partition("\n")[0][:200]
        raise ConfigError(f"matplotlib cannot be imported with its present settings: {reason}") from error
    finally:
        if hidden:
            os.environ["MPLBACKEND"] = backend


def replace(path, write):
    """Write a file by write(temporary path), then move it to `path` in one step. The folder is created if needed."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
