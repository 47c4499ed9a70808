"""Opens files from unknown sources safely: reads are bounded, and each error is reported in one line.

The size in a file's header is compared with what the file can hold before memory is allocated, and the data are read in
blocks. So a false header or a decompression bomb takes no more memory than a correct file of the same size.
"""

import os
import stat
from contextlib import contextmanager

from tinyae.errors import DataError

BLOCK = 1 << 20  # bytes read at a time
DEFLATE_RATIO = 1100  # deflate expands at most 1032-fold, so a header that promises more is false
GZIP_MAGIC = b"\x1f\x8b"


def problem(where, text):
    """Make a `DataError` with one line: the place (a path, or a path and an array's name), then what is wrong."""
    where = os.fsdecode(where)
    return DataError(f"{where if where.isprintable() else repr(where)}: {text}")


def listed(names, most=8):
    """List a user's names in one short, printable line: "a, b and 3 more", or "nothing" if there are none."""
    names = [name if name.isprintable() else repr(name) for name in names]
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in names[:most]]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return (", ".join(shown) or "nothing") + more


@contextmanager
def clear_errors(path):
    """Turn any error from reading `path` into a `DataError` of one line."""
    import zlib

    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise problem(path, "no such file or folder: check the path") from error
    except PermissionError as error:
        raise problem(path, "permission denied: make it readable (chmod u+r, and u+x on its folders)") from error
    except (EOFError, zlib.error) as error:
        raise problem(path, f"corrupted or cut short ({error}): copy or download it again") from error
    except OSError as error:  # gzip.BadGzipFile is one, without a strerror
        raise problem(path, f"cannot be read ({error.strerror or error}): copy or download it again") from error
    except RecursionError as error:
        raise problem(path, "has folders too deep in each other: give one of the inner ones") from error
    except MemoryError as error:
        raise problem(path, "does not fit into memory: use fewer or smaller examples") from error


def file_size(path):
    """The size of the regular file `path` in bytes. Raises `DataError` for a folder, a pipe or a device."""
    with clear_errors(path):
        status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise problem(path, "is a folder where a file was expected: give the file")
    if not stat.S_ISREG(status.st_mode):
        raise problem(path, "is not a regular file: give a file on disk")  # opening a pipe could wait for ever
    return status.st_size


@contextmanager
def open_file(path):
    """Open `path` for reading bytes, decompressed if it is a gzip file, and yield (stream, limit).

    `limit` bounds the bytes that the stream can deliver: the file's size, times deflate's largest ratio for gzip.
    """
    size = file_size(path)
    with clear_errors(path), open(path, "rb") as raw:
        compressed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if compressed:
            import gzip

            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream, size * DEFLATE_RATIO
        else:
            yield raw, size


def read_exactly(stream, count, where, begun=b"", last=True):
    """Read exactly `count` bytes from `stream` into a bytearray. Raises `DataError`.

    begun: the first bytes, if they have been read already. last: whether the stream must end after these bytes.

    The buffer grows with the bytes that arrive, so a false header cannot make it allocate too much.
    """
    wanted = count + 1 if last else count  # reading one more byte also makes gzip and zip verify their checksums
    data = bytearray(begun)
    while len(data) < wanted:
        block = stream.read(min(BLOCK, wanted - len(data)))
        if not block:
            break
        data += block
    if len(data) < count:
        raise problem(where, f"ends after {len(data):,} of {count:,} promised bytes: copy or download it again")
    if len(data) > count:
        raise problem(where, f"holds more than the {count:,} bytes that its header promises: it is not what it says")
    return data
