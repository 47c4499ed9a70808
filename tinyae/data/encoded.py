"""Replaces images by their maps of vq-vae codes, the training data of a prior over the codes."""

import zlib

import numpy as np

from .dataset import Dataset, Split


def codes_of(data, codec):
    """Return the Dataset `data` with each image replaced by its map of codes from the vq-vae `codec`.

    A map is (h, w), or (h, w codebooks) with several codebooks, where the codes of one position are adjacent. The dtype
    is the smallest that holds the codes, uint8 for up to 256 of them. Labels and class names are kept, and `origin`
    records the checksum of the vq-vae.
    """
    parts = {name: split_of_codes(part, codec) for name, part in data.parts.items()}
    encoded = Dataset(
        f"codes of {data.name}", **parts, class_names=data.class_names, source=data.source, notes=data.notes
    )
    flat = (codec.backend.to_host(store.flat) for store in (codec.store, codec.state))
    encoded.origin = None if data.origin is None else data.origin | {"codes": True, "codec": checksum(*flat)}
    return encoded


def checksum(params, state):
    """Compute a checksum that identifies a vq-vae, from its flat arrays on the host."""
    return f"{zlib.crc32(state, zlib.crc32(params)):08x}"


def split_of_codes(part, codec):
    """Replace the images of one Split by their maps of codes."""
    codes = codec.encode(part.x).astype(np.min_scalar_type(codec.code_count - 1))
    return Split(codes.reshape(len(codes), codes.shape[1], -1), part.labels)
