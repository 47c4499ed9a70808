"""Downloads known data sets: resumes interrupted downloads, and keeps only files whose sha256 is right."""

import os
from contextlib import contextmanager

from tinyae.errors import DataError
from tinyae.options import Function, Optional, Path, Text, options
from tinyae.wording import either

from . import sources
from .files import BLOCK, clear_errors, problem

TIMEOUT = 30  # seconds without a byte received


@options(
    name=Text(), folder=Optional(Path()), progress=Optional(Function()), mirror=Optional(Text()),
)
def fetch(name, folder=None, progress=None, mirror=None):
    """Download the data set `name` (mnist, fashion-mnist, cifar10) and return the folder that holds it.

    A file is downloaded as FILE.part. After an interruption, another call continues from there. A complete file is
    flushed to disk, its sha256 is compared with the published one, and only then it is renamed. Existing files with
    the right sha256 are kept.

    Parameters
    ----------
    name : str
        The name of the data set.
    folder : path, optional
        The folder for the files. By default, the folder called `name` in $TINYAE_DATA, else in ~/.cache/tinyae.
    progress : function, optional
        Called as progress(file name, bytes so far, bytes in total) after each block.
    mirror : str, optional
        A base URL from which the files are downloaded instead of their own.

    Returns
    -------
    folder : str or path

    Raises
    ------
    DataError
        If the server cannot be reached or refuses, a sha256 is wrong, or the disk cannot be written.
    """
    source = sources.get(name)
    if not source.files:
        use = either("load it", f"use it with --data {name}")
        raise DataError(f"data set '{name}' comes with tinyae: there is nothing to download, {use}")
    base = mirror or source.base_url
    if not base.startswith(("http://", "https://")):
        raise DataError(f"mirror {base!r} is not a web address: give one that begins with https:// or http://")
    folder = os.path.join(sources.store(), name) if folder is None else folder
    with _writing(folder):
        os.makedirs(folder, exist_ok=True)
    for file, size, sha256 in source.files:
        url = f"{base.rstrip('/')}/{file}"
        report = (lambda done, file=file, size=size: progress(file, done, size)) if progress else (lambda done: None)
        _fetch_file(url, os.path.join(folder, file), size, sha256, report)
    return folder


def _fetch_file(url, path, size, sha256, report):
    if os.path.lexists(path):
        if _sha256(path) != sha256:
            raise problem(path, "is not the published file (its sha256 differs): move it away and fetch again")
        report(size)
        return
    part = path + ".part"
    _download(url, part, size, report)
    if _sha256(part) != sha256:
        with _writing(part):
            os.remove(part)
        raise problem(url, "has the wrong sha256, it is not the published file; removed: fetch again, or from a mirror")
    with _writing(path):
        os.replace(part, path)
        _sync_folder(os.path.dirname(path) or ".")  # without this, a crash could lose the new name


def _download(url, part, size, report):
    """Append to the file `part` until it has `size` bytes; if the connection ends early, the file is kept."""
    with _writing(part):
        done = os.path.getsize(part) if os.path.lexists(part) else 0
        if done > size:
            os.remove(part)
            done = 0
    if done == size:
        return
    with _request(url, done) as response:
        if done and not _continues(response, done):
            done = 0  # the server sends the file from its beginning
        with _writing(part), open(part, "ab" if done else "wb") as file:
            try:
                while done <= size and (block := _receive(response, url)):
                    file.write(block)
                    done += len(block)
                    report(min(done, size))
            finally:
                file.flush()
                os.fsync(file.fileno())
    if done < size:
        raise problem(url, f"the connection ended after {done:,} of {size:,} bytes: fetch again to go on from there")
    if done > size:
        with _writing(part):
            os.remove(part)
        raise problem(url, f"sends more than the published {size:,} bytes; removed: fetch from a mirror")


def _continues(response, done):
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _request(url, done):
    """Open the response, from byte `done` on if the server supports ranges, else from the beginning."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    headers = {"User-Agent": "tinyae"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if done and error.code == 416:  # range not satisfiable
            return _request(url, 0)
        raise problem(url, f"the server answers {error.code} {error.reason}: try later, or use a mirror") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise problem(url, f"cannot be reached ({reason}): check the network, or fetch from a mirror") from error
    if done and response.status == 206 and not _continues(response, done):
        response.close()  # the server sent another range, which cannot be used
        return _request(url, 0)
    return response


def _receive(response, url):
    from http.client import HTTPException, IncompleteRead

    try:
        return response.read(BLOCK)
    except IncompleteRead as error:
        return error.partial  # the next read finds the end
    except (OSError, HTTPException) as error:
        raise problem(url, f"the connection broke ({error}): fetch again to go on from there") from error


def _sha256(path):
    import hashlib

    with clear_errors(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _writing(path):
    """Turn what writing `path` may raise into a `DataError` of one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise problem(path, f"cannot be written ({reason}): check the free space and the permissions") from error


def _sync_folder(folder):
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
