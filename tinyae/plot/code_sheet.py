"""Pictures of maps of codes, and of the image that each single code decodes to."""

import numpy as np

from ..backend.indices import within
from ..data.examples import as_array
from ..errors import DataError, ShapeError
from ..options import Count, Having, Path, Shape, options
from .contact_sheet import grid, needs_viz

CODING = Having("a model of maps of codes, such as tinyae.models.VQVAE()", "code_shape", "decode")


def as_counts(counts, who, *axes):
    """Counts of codes as an array of finite numbers from 0 on, with one dimension for each of the names `axes`.

    Raises `ShapeError` and `DataError`.
    """
    counts = np.asarray(as_array(counts, "counts"))
    if counts.ndim != len(axes) or not counts.size:
        raise ShapeError(f"{who}: expected counts ({', '.join(axes)}), got an array of shape {counts.shape}")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise DataError(f"{who}: counts are numbers from 0 on")
    return counts


def code_colours(count):
    """A distinct colour for each of `count` codes, an array (count, 3) of uint8.

    Hues differ by the golden angle, which spaces any number of them evenly, and have three saturations in turn.
    """
    with needs_viz():
        from matplotlib.colors import hsv_to_rgb

    k = np.arange(count)
    hue = k * (np.sqrt(5) - 1) / 2 % 1
    saturation, value = np.array([[0.55, 0.95], [0.85, 0.75], [0.7, 0.5]])[k % 3].T
    return np.rint(255 * hsv_to_rgb(np.stack((hue, saturation, value), axis=1))).astype(np.uint8)


@options(count=Count(), shape=Shape())
def code_maps(codes, count, shape):
    """Show maps of codes as images: {name: images (N, H, W, 3)}, rows for `reconstructions`, one for each codebook.

    codes: integers in [0, count), (N, h, w) or (N, h, w, books). shape: (H, W, ...) of the encoded images. Each code is
    a square of one colour; squares that extend over the image's edge are cut.
    """
    codes = as_array(codes, "codes")
    if codes.ndim not in (3, 4) or not codes.size or len(shape) < 2:
        raise ShapeError(f"code_maps: expected codes (N, h, w) for images (H, W, ...), got {codes.shape} for {shape}")
    codes, _ = within(codes, count, "code_maps")
    maps = codes.reshape(*codes.shape[:3], -1)
    rows, columns = (np.arange(size) // -(-size // side) for size, side in zip(shape[:2], maps.shape[1:3], strict=True))
    images = code_colours(count)[maps[:, rows][:, :, columns]]
    books = images.shape[3]
    return {"codes" if books == 1 else f"codes {b + 1}": images[:, :, :, b] for b in range(books)}


@options(path=Path(), model=CODING, most=Count())
def codebook(path, model, counts, most=64):
    """Write a picture of the images that maps filled with a single code decode to, with the share of each code.

    model: a vq-vae with one codebook. counts: (K,), how often each code was used. most: the number of codes that are
    shown, in order of decreasing use.
    """
    counts = as_counts(counts, "codebook", "K")
    order = np.argsort(-counts, kind="stable")[:most]
    filled = np.broadcast_to(order.reshape(-1, *[1] * len(model.code_shape)), (len(order), *model.code_shape))
    captions = [f"{share:.2g} %" for share in 100 * counts[order] / max(1, counts.sum())]
    some = f"each of the {len(order)} most used of {len(counts)} codes" if most < len(counts) else "each code"
    return grid(path, model.decode(filled), title=f"What {some} decodes to, filling a map", captions=captions)
