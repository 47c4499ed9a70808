"""A folder of image files, through Pillow (extra `viz`)."""

import os
import warnings
from contextlib import contextmanager

import numpy as np

from tinyae.errors import DataError, MissingExtraError
from tinyae.wording import flag

from .arrays import holdout
from .dataset import Split
from .files import clear_errors, file_size, problem

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")


def load_folder(folder, size=None):
    """(train, test, class_names) from a folder of images, read recursively and sorted by path.

    Sub-folders directly below are classes, named in sorted order, if every image lies in one. If the only sub-folders
    are `train` and `test`, they are the two parts, each with its own class folders; otherwise `holdout` splits.
    x: uint8 `(N, H, W, C)`; C is 1 if every image file is grey, else 3. Transparency is laid over white. 16-bit grey is
    scaled to 8 bits, a camera's orientation is applied, hidden files are passed over, an animation gives one frame.

    size: (H, W) or int: resize every image (aspect ratio is not kept). Without it all images must have one size.
    Raises `DataError`, and `MissingExtraError` without Pillow.
    """
    size = _check_size(size)
    parts = [os.path.join(folder, part) for part in ("train", "test")]
    paths = _find(folder)
    in_parts = all(path.startswith((parts[0] + os.sep, parts[1] + os.sep)) for path in paths)
    if in_parts and all(os.path.isdir(part) for part in parts):
        both = [[path for path in paths if path.startswith(part + os.sep)] for part in parts]
    else:
        parts, both = [folder], [paths]
    for part, found in zip(parts, both, strict=True):
        if not found:
            raise problem(part, f"holds no images ({', '.join(SUFFIXES)}): put some there, or check the path")
    classes = [[_class_of(path, part) for path in found] for part, found in zip(parts, both, strict=True)]
    names = sorted({name for part in classes for name in part if name is not None})
    labelled = bool(names) and all(name is not None for part in classes for name in part)
    x = _read([path for found in both for path in found], size)
    number = {name: i for i, name in enumerate(names)}
    labels = np.array([number[name] for part in classes for name in part], np.int64) if labelled else None
    class_names = tuple(names) if labelled else None
    if len(parts) == 1:
        train, test = holdout(x, labels)
        return {"train": train, "test": test, "class_names": class_names}
    cut = len(both[0])
    splits = (Split(x[i], None if labels is None else labels[i]) for i in (slice(cut), slice(cut, None)))
    return dict(zip(("train", "test"), splits, strict=True)) | {"class_names": class_names}


def _check_size(size):
    """(H, W) or None from what the caller gave."""
    if size is None:
        return None
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and 1 <= n <= 65_535 for n in pair):
        raise DataError(f"size {size!r} is no image size: give one whole number or (height, width), each at least 1")
    return int(pair[0]), int(pair[1])


def _find(folder):
    """Sorted paths of the image files at any depth; hidden files and folders are left out, linked folders too."""

    def refuse(error):
        raise error

    found = []
    with clear_errors(folder):
        for parent, folders, files in os.walk(folder, onerror=refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            names = (name for name in files if not name.startswith(".") and name.lower().endswith(SUFFIXES))
            found.extend(os.path.join(parent, name) for name in names)
    return sorted(found)


def _class_of(path, folder):
    """The sub-folder directly below `folder` in which `path` lies, or None."""
    first, *rest = os.path.relpath(path, folder).split(os.sep)
    return first if rest else None


def _read(paths, size):
    """Two passes: the headers settle the one shape `(N, H, W, C)`, then each image is decoded into its place."""
    grey = True
    first = size
    for path in paths:
        with _opened(path) as image:
            grey = grey and image.mode in GREY_MODES
            shape = _upright_size(image)
        if first is None:
            first = shape
        if size is None and shape != first:
            here, there = (f"{h}x{w}" for h, w in (shape, first))
            shapes = f"is {here} (height x width), {paths[0]} is {there}"
            raise problem(path, f"{shapes}: pass {flag('size')} to resize them all")
    try:
        x = np.empty((len(paths), *first, 1 if grey else 3), np.uint8)
    except MemoryError as error:
        what = f"{len(paths):,} images of {first[0]}x{first[1]}"
        raise DataError(f"{what} exceed the memory: pass {flag('size')}") from error
    for i, path in enumerate(paths):
        with _opened(path) as image:
            x[i] = np.asarray(_decode(image, grey, first)).reshape(x.shape[1:])
    return x


@contextmanager
def _opened(path):
    """The image in the file, its pixels still unread; any failure, here or in the body, names the file."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("reading image files", "viz") from error
    file_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise problem(path, f"cannot be read as an image ({reason}): repair or remove it") from error


def _turned(image):
    """Whether a camera stored the image in another orientation; asking a PNG would decode it whole."""
    return image.format in ("JPEG", "MPO", "TIFF", "WEBP") and image.getexif().get(0x0112, 1) != 1


def _upright_size(image):
    """(height, width) after the camera's orientation is applied; 5 to 8 swap the two."""
    width, height = image.size
    return (width, height) if _turned(image) and image.getexif()[0x0112] >= 5 else (height, width)


def _decode(image, grey, size):
    """An upright, opaque 8-bit image, grey (L) or RGB, of `size` (height, width)."""
    from PIL import Image, ImageOps

    if _turned(image):
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65_535:
            raise ValueError("32-bit pixels")
        image = Image.fromarray(((wide + 128) // 257).astype(np.uint8))  # 65535 -> 255; Pillow's convert clips instead
    elif image.mode == "F":
        raise ValueError("floating-point pixels, save them as .npy")
    image = image.convert("L" if grey else "RGB")
    return image if image.size == size[::-1] else image.resize(size[::-1])
