"""Builds the embedded data sets: python -m tinyae.data.embed [--check].

This needs scikit-learn (for its copy of UCI's digits) and Debian's package dataset-fashion-mnist. The files are IDX,
compressed by gzip without a time stamp, so that the same zlib writes the same bytes. With --check nothing is written:
the embedded files are compared with what would be written.
"""

import gzip
import io
import os
import sys

import numpy as np

from . import idx
from .sources import EMBEDDED, KNOWN


def digits():
    """Load UCI's digits (optdigits.tes), 1,797 images of 8x8: the first 1,437 train, the last 360 test.

    The grey values 0..16 are scaled to 0..255. The images are not shuffled before the split, because that would put
    images of each of the 13 writers into both splits.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    x = np.rint(data.images * 255 / 16).astype(np.uint8)
    labels = data.target.astype(np.uint8)
    cut = KNOWN["digits"].counts[0]
    return x[:cut], labels[:cut], x[cut:], labels[cut:]


def fashion_mini():
    """Take the first 500 training and 50 test images of each class of Fashion-MNIST, in their original order."""
    parts = idx.load_folder(KNOWN["fashion-mnist"].folder)
    chosen = []
    for part, count in zip(parts, KNOWN["fashion-mini"].counts, strict=True):
        firsts = np.concatenate([np.flatnonzero(part.labels == label)[: count // 10] for label in range(10)])
        firsts.sort()
        chosen += [part.x[firsts, :, :, 0], part.labels[firsts].astype(np.uint8)]
    return chosen


def encode(array):
    """Encode a uint8 array as the bytes of a .gz IDX file."""
    header = bytes([0, 0, 0x08, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(header + array.tobytes())
    return buffer.getvalue()


def main(arguments):
    """Write the files, or compare them if --check is given, and return the exit status."""
    status = 0
    for name, make in (("digits", digits), ("fashion-mini", fashion_mini)):
        for file, array in zip(idx.FILES, make(), strict=True):
            path = os.path.join(EMBEDDED, name, file + ".gz")
            if "--check" not in arguments:
                with open(path, "wb") as stream:
                    stream.write(encode(array))
            same = np.array_equal(idx.read(path), array)
            print(f"{name}/{file}.gz: {array.shape}, {os.path.getsize(path):,} bytes, {'right' if same else 'differs'}")
            status = status or int(not same)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
