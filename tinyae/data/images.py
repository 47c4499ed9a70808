"""Reads a folder of image files with Pillow (extra `viz`)."""

import math
import os
import warnings
from collections import Counter
from contextlib import contextmanager

import numpy as np

from tinyae.errors import ConfigError, DataError, MissingExtraError, suggest
from tinyae.wording import flag

from ..backend import memory
from .arrays import holdout
from .dataset import Split
from .files import DEFLATE_RATIO, clear_errors, file_size, listed, problem
from .layout import arrange, shown

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
FITS = ("stretch", "crop", "pad")
JUNK_FILES = ("thumbs.db", "desktop.ini")
UNKNOWN_SCALE = (
    "whose scale is unknown: scale them to 0..255 and save 8 bits, or save all images as one .npy of floats in [0, 1]"
)
ORIENTATION = 0x0112  # the EXIF tag: 1 is upright, 5 to 8 swap height and width


def load_folder(folder, size=None, fit=None):
    """Read a folder of images, recursively and sorted by path, and return the arguments of its `Dataset`.

    Folders called train, val and test are the splits, and their sub-folders are the classes, in sorted order (see
    `layout.arrange`). Without such folders, `holdout` makes the splits. The images become uint8 `(N, H, W, C)`; C is 1
    if every image file is grey, else 3. Transparent images are laid over white, a camera's orientation is applied,
    hidden files are skipped, and an animation gives its first frame. 16-bit grey is scaled to 8 bits, by the number of
    bits that the largest value of all images needs.

    size: int or (H, W) in pixels, to which every image is resized. Without it all images must have one size.
    fit: "stretch" each side (default), "crop" the longer side at both ends, or "pad" the shorter side with black.
    Raises `DataError`, and `MissingExtraError` without Pillow.
    """
    size = _check_size(size)
    if fit is not None and fit not in FITS:
        raise suggest("fit", fit, FITS)
    if fit is not None and size is None:
        raise ConfigError(f"{flag('fit', fit)} says how images are brought to a size: give {flag('size')}, too")
    images, folders, notes = _find(folder)
    found, remarks = arrange(folder, images, folders)
    survey = Survey([os.path.join(folder, *path) for pairs in found.values() for path, _ in pairs], size, fit)
    x = survey.read()
    names = sorted({name for pairs in found.values() for _, name in pairs if name is not None})
    number, parts, first = {name: i for i, name in enumerate(names)}, {}, 0
    for part, pairs in found.items():
        labels = None if pairs[0][1] is None else np.array([number[name] for _, name in pairs], np.int64)
        parts[part] = Split(x[first : first + len(pairs)], labels)
        parts[part].files = tuple(os.path.join(*path) for path, _ in pairs)
        first += len(pairs)
    if len(parts) == 1:
        whole = parts["train"]
        parts = dict(zip(("train", "test"), holdout(x, whole.labels), strict=True))
        for split in filter(None, parts.values()):
            split.files = tuple(whole.files[row] for row in split.rows)
    return parts | {"class_names": tuple(names) or None, "notes": remarks + notes + survey.notes}


def _check_size(size):
    """Convert a size, an int or (H, W) or None, to (H, W) or None."""
    if size is None:
        return None
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and 1 <= n <= 65_535 for n in pair):
        raise DataError(f"size {size!r} is no image size: give one integer or (height, width), each at least 1")
    return int(pair[0]), int(pair[1])


def _find(folder):
    """Find image files at any depth: returns (their sorted paths, the paths of all folders, notes).

    Each path is a tuple of names. Hidden files and folders are left out, and so are those in JUNK_FILES and
    `layout.JUNK`. Linked folders are not followed, and a note reports this.
    """

    def refuse(error):
        raise error

    images, folders, others, linked = [], [], Counter(), []
    with clear_errors(folder):
        for parent, inner, files in os.walk(folder, onerror=refuse):
            inner[:] = filter(shown, inner)
            above = () if parent == folder else tuple(os.path.relpath(parent, folder).split(os.sep))
            folders += [(*above, name) for name in inner]
            linked += [name for name in inner if os.path.islink(os.path.join(parent, name))]
            for name in files:
                if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                    images.append((*above, name))
                elif not name.startswith(".") and name.lower() not in JUNK_FILES:
                    others[os.path.splitext(name)[1].lower() or "no ending"] += 1
    kinds = listed([f"{count:,} {ending}" for ending, count in others.most_common()], 5)
    if not images:
        there = f"; there are {kinds}" if others else ""
        data = not {".npy", ".npz", ".csv"}.isdisjoint(others)
        advice = "give the path of the data file itself" if data else "put some there, or check the path"
        raise problem(folder, f"holds no images ({', '.join(SUFFIXES)}){there}: {advice}")
    notes = [f"files passed over: {kinds}"] if others else []
    notes += [f"linked folders are not followed: {listed(linked)}"] if linked else []
    return sorted(images, key=lambda path: os.sep.join(path)), folders, notes


class Survey:
    """Reads the headers of all image files and chooses a common size, grey or colour, and a common scale.

    notes: one line for each change that is made to the images.
    """

    def __init__(self, paths, size, fit):
        self.paths, self.size, self.fit, self.grey, self.notes = paths, size, fit or "stretch", True, []
        stretched, largest, colour, moving = 0, 0, [], []
        for path in paths:
            with opened(path) as image:
                self.grey = self.grey and image.mode in GREY_MODES
                shape = _upright_size(image, path)
                if image.mode == "F":
                    raise problem(path, f"has floating-point pixels, {UNKNOWN_SCALE}")
                if image.mode.startswith("I"):
                    largest = max(largest, _wide(image, path).max())
                elif _sixteen_bits(image):
                    colour.append((np.asarray(image.convert("RGB")).max(), path))
                if getattr(image, "is_animated", False) and image.format != "MPO":  # an MPO adds previews
                    moving.append(os.path.basename(path))
            if self.size is None:
                self.size = shape
            if size is None and shape != self.size:
                here, there = (f"{h}x{w}" for h, w in (shape, self.size))
                shapes = f"is {here} (height x width), {paths[0]} is {there}"
                raise problem(path, f"{shapes}: pass {flag('size')} to resize them all")
            stretched += not _alike(shape, self.size)
        self.white = (1 << max(8, int(largest).bit_length())) - 1
        if largest:
            span = f"0 to {self.white:,} is scaled to 0..255"
            self.notes.append(f"16-bit grey images have values up to {largest:,}: {span}")
        if colour and max(colour)[0] < 128:
            most, path = max(colour)
            raise problem(
                path,
                f"has 16 bits per channel, all below {256 * (int(most) + 1):,}, and of colour images only the upper 8 "
                "bits are read: save it with 8 bits, scaled to 0..255",
            )
        if moving:
            self.notes.append(f"only the first of several images is read of {listed(moving)}")
        if stretched and fit is None:
            high, wide = self.size
            ways = f"{flag('fit', 'crop')} or {flag('fit', 'pad')} keeps them"
            what = f"{stretched:,} of {len(paths):,} images are stretched to {high}x{wide}"
            self.notes.append(f"{what}, out of their proportions: {ways}")

    def read(self):
        """Decode all images into one array (N, H, W, C), uint8."""
        shape = len(self.paths), *self.size, 1 if self.grey else 3
        what = f"{shape[0]:,} images of {shape[1]}x{shape[2]}"
        memory.require(math.prod(shape), 1, what, f"pass a smaller {flag('size')}")
        try:
            x = np.empty(shape, np.uint8)
        except MemoryError as error:
            raise DataError(f"{what} exceed the memory: pass a smaller {flag('size')}") from error
        for i, path in enumerate(self.paths):
            with opened(path) as image:
                x[i] = np.asarray(self._sized(self._decoded(image, path))).reshape(x.shape[1:])
        return x

    def _decoded(self, image, path):
        """Convert an image to upright, opaque 8 bits, grey (L) or RGB."""
        from PIL import Image, ImageOps

        if _orientation(image, path) != 1:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            eight = (np.arange(65_536) * 255 + self.white // 2) // self.white  # Pillow's convert clips instead
            if "transparency" in image.info:  # pixels of this value are transparent
                eight[image.info["transparency"]] = 255
            image = Image.fromarray(eight.astype(np.uint8)[_wide(image, path)])
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("L" if self.grey else "RGB")

    def _sized(self, image):
        from PIL import Image, ImageOps

        size = self.size[::-1]  # Pillow's order: width, height
        if image.size == size:
            return image
        if self.fit == "crop":
            return ImageOps.fit(image, size)
        if self.fit == "stretch":
            return image.resize(size)
        scale = min(to / side for to, side in zip(size, image.size, strict=True))
        inner = [min(to, max(1, round(side * scale))) for to, side in zip(size, image.size, strict=True)]
        padded = Image.new(image.mode, size, 0)
        padded.paste(image.resize(inner), tuple((to - side) // 2 for to, side in zip(size, inner, strict=True)))
        return padded


@contextmanager
def opened(path):
    """Open an image file without reading its pixels; every error, here or in the with block, names the file."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("reading image files", "viz") from error
    count = file_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                _refuse_bomb(image, count, path)
                yield image
    except DataError:
        raise
    except MemoryError as error:
        raise problem(path, "is an image too large for the memory: make it smaller") from error
    except Image.DecompressionBombError as error:
        most = f"more than {2 * Image.MAX_IMAGE_PIXELS // 10**6} megapixels"
        raise problem(path, f"has {most}, which Pillow takes for a decompression bomb: make it smaller") from error
    except Exception as error:  # Pillow's decoders may raise any exception on corrupted files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise problem(path, f"cannot be read as an image ({reason}): repair or remove it") from error


def _refuse_bomb(image, count, path):
    """Refuse an image if its file of `count` bytes cannot hold its pixels, at one bit each.

    Uncompressed images are always checked, compressed ones if they are so large that Pillow warns. Real photographs of
    that size pass.
    """
    from PIL import Image

    pixels = image.width * image.height
    packed = not image.tile or any(tile[0] != "raw" for tile in image.tile)
    large = pixels > (Image.MAX_IMAGE_PIXELS or pixels)
    if (large or not packed) and pixels > 8 * count * (DEFLATE_RATIO if packed else 1):
        what = f"promises {image.height}x{image.width} pixels in {count:,} bytes"
        raise problem(path, f"{what}: it is corrupted or a decompression bomb, remove it")


def _orientation(image, path):
    """The camera's orientation, 1 to 8. Pillow decodes a whole PNG to read it, so a PNG is first searched for EXIF."""
    if image.format == "PNG":
        with open(path, "rb") as file:
            content = file.read()
        if not any(mark in content for mark in (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")):
            return 1
    turned = image.getexif().get(ORIENTATION, 1)
    return turned if turned in range(1, 9) else 1


def _upright_size(image, path):
    """(height, width) after the camera's orientation is applied."""
    return image.size if _orientation(image, path) >= 5 else image.size[::-1]


def _wide(image, path):
    """The integer values of a 16-bit grey image. Raises `DataError` if their scale is unknown."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65_535:
        raise problem(path, f"has 32-bit pixels from {values.min():,} to {values.max():,}, {UNKNOWN_SCALE}")
    return values


def _sixteen_bits(image):
    """Whether the file has 16 bits per channel; Pillow reads only the upper 8."""
    return any(";16" in str(tile[3]) for tile in image.tile)


def _alike(shape, size):
    """Whether two sizes (height, width) have equal proportions, up to half a pixel of the second size."""
    scale = min(to / side for to, side in zip(size, shape, strict=True))
    return all(abs(side * scale - to) < 0.5 for to, side in zip(size, shape, strict=True))
