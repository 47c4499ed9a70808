"""Reads the binary version of CIFAR-10 from its folder or its archive.

A record is one label byte and 3072 pixel bytes: three planes of 32x32 pixels, red, green, blue. The format is
described at https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".
"""

import os

import numpy as np

from .arrays import check_labels
from .dataset import Split
from .files import clear_errors, file_size, open_file, problem, read_exactly

TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
ARCHIVE = "cifar-10-binary.tar.gz"
RECORD = 1 + 3 * 32 * 32
MAX_ARCHIVE = 1 << 28  # bytes, unpacked; the published archive has 184 million
MAX_HEADER = 1 << 22


def find(folder):
    """Find CIFAR-10 in `folder`: returns the folder of its .bin files, else the path of its archive, else None."""
    for candidate in (folder, os.path.join(folder, "cifar-10-batches-bin")):
        if any(os.path.lexists(os.path.join(candidate, name)) for name in (*TRAIN, TEST)):
            return candidate
    archive = os.path.join(folder, ARCHIVE)
    return archive if os.path.lexists(archive) else None


def load(path):
    """Read (train, test), uint8 `(N, 32, 32, 3)`, from a folder with the six .bin files or from their .tar.gz.

    Raises `DataError`.
    """
    batches = _read_folder(path) if os.path.isdir(path) else _read_archive(path)
    missing = [name for name in (*TRAIN, TEST) if name not in batches]
    if missing:
        raise problem(path, f"has no {', '.join(missing)}: CIFAR-10 needs all six .bin files")
    train = [batches[name] for name in TRAIN]
    return Split(*(np.concatenate(part) for part in zip(*train, strict=True))), Split(*batches[TEST])


def _parse(data, where):
    """Decode one .bin file of bytes into (x, labels): uint8 (N, 32, 32, 3) and int64 (N,)."""
    if not data or len(data) % RECORD:
        raise problem(
            where,
            f"has {len(data):,} bytes, not a multiple of {RECORD}: it is cut short or not a CIFAR-10 file, "
            "copy or download it again",
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    x = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x), check_labels(records[:, 0], len(records), where, classes=10)


def _read_folder(folder):
    batches = {}
    for name in (*TRAIN, TEST):
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            size = file_size(path)
            with clear_errors(path), open(path, "rb") as stream:
                batches[name] = _parse(read_exactly(stream, size, path), path)
    return batches


class _Bounded:
    """A stream that refuses huge headers: tarfile reads an extended header at once, however large it claims to be."""

    def __init__(self, stream, path):
        self.seek, self.tell, self._read, self._path = stream.seek, stream.tell, stream.read, path

    def read(self, size):
        if size > MAX_HEADER:
            raise problem(self._path, f"claims a header of {size:,} bytes: it is corrupted, copy or download it again")
        return self._read(size)


def _read_archive(path):
    """Read the .bin files from the archive in memory: nothing is written to disk, so a member's path can do no harm."""
    import tarfile

    batches = {}
    with open_file(path) as (stream, _):
        try:
            with tarfile.open(fileobj=_Bounded(stream, path), mode="r:") as archive:
                for member in archive:
                    if member.offset_data + member.size > MAX_ARCHIVE:
                        raise problem(path, f"unpacks to more than {MAX_ARCHIVE:,} bytes: it is not CIFAR-10")
                    name = os.path.basename(member.name)
                    if member.isreg() and name in (*TRAIN, TEST):
                        where = f"{path}, {name}"
                        batches[name] = _parse(read_exactly(archive.extractfile(member), member.size, where), where)
            stream.seek(MAX_ARCHIVE)  # this reads to the end, where gzip verifies its checksum
        except tarfile.TarError as error:
            raise problem(path, f"is corrupted or not a .tar.gz file ({error}): copy or download it again") from error
    return batches
