"""CIFAR-10's binary form: records of one label byte and 3072 pixel bytes, three 32x32 planes (red, green, blue).

Format: https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".
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
MAX_ARCHIVE = 1 << 28  # bytes, unpacked; the published one has 184 million
MAX_HEADER = 1 << 22


def find(folder):
    """Where CIFAR-10 stands in `folder`: a folder with batches, else the archive's path, else None."""
    for candidate in (folder, os.path.join(folder, "cifar-10-batches-bin")):
        if any(os.path.lexists(os.path.join(candidate, name)) for name in (*TRAIN, TEST)):
            return candidate
    archive = os.path.join(folder, ARCHIVE)
    return archive if os.path.lexists(archive) else None


def load(path):
    """(train, test), uint8 `(N, 32, 32, 3)`, from a folder with the six .bin files or their .tar.gz, or `DataError`."""
    batches = _read_folder(path) if os.path.isdir(path) else _read_archive(path)
    missing = [name for name in (*TRAIN, TEST) if name not in batches]
    if missing:
        raise problem(path, f"has no {', '.join(missing)}: CIFAR-10 needs all six .bin files")
    train = [batches[name] for name in TRAIN]
    return Split(*(np.concatenate(part) for part in zip(*train, strict=True))), Split(*batches[TEST])


def _parse(data, where):
    """(x, labels) of one batch."""
    if not data or len(data) % RECORD:
        raise problem(where, f"has {len(data):,} bytes, not a multiple of {RECORD}: cut short or no CIFAR-10 batch")
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
    """The stream for tarfile, which reads an extended header in one piece of the size it claims."""

    def __init__(self, stream, path):
        self.seek, self.tell, self._read, self._path = stream.seek, stream.tell, stream.read, path

    def read(self, size):
        if size > MAX_HEADER:
            raise problem(self._path, f"claims a header of {size:,} bytes: it is damaged or not what it says")
        return self._read(size)


def _read_archive(path):
    """Batches straight out of the archive; nothing is written to disk, so its members' paths cannot do harm."""
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
            stream.seek(MAX_ARCHIVE)  # reads on to the end, where gzip keeps its checksum
        except tarfile.TarError as error:
            raise problem(path, f"is damaged or no .tar.gz file ({error}): copy or download it again") from error
    return batches
