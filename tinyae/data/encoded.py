"""Maps of codes in place of images: what a prior over the codes of a vq-vae is trained on."""

import zlib

import numpy as np

from .dataset import Dataset, Split


def codes_of(data, codec):
    """The Dataset `data` with the map of codes of each image in its place, as the vq-vae `codec` gives it.

    A map is (h, w), with several codebooks (h, w codebooks), where the codes of one place stand beside each other; the
    dtype is the least that holds the codes, uint8 for up to 256 of them. Labels and the names of classes are kept, and
    the origin says that these are codes, and whose (`checksum`).
    """
    parts = {name: split_of_codes(part, codec) for name, part in data.parts.items()}
    encoded = Dataset(
        f"codes of {data.name}", **parts, class_names=data.class_names, source=data.source, notes=data.notes
    )
    flat = (codec.backend.to_host(store.flat) for store in (codec.store, codec.state))
    encoded.origin = None if data.origin is None else data.origin | {"codes": True, "codec": checksum(*flat)}
    return encoded


def checksum(params, state):
    """Text that tells a vq-vae from others, of its flat arrays on the host."""
    return f"{zlib.crc32(state, zlib.crc32(params)):08x}"


def split_of_codes(part, codec):
    """The same of one Split."""
    codes = codec.encode(part.x).astype(np.min_scalar_type(codec.code_count - 1))
    return Split(codes.reshape(len(codes), codes.shape[1], -1), part.labels)
