"""How much memory there is, and keeping what was freed in the process while training."""

import functools
import os
import pathlib
import sys

from ..errors import ConfigError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>


def keep_freed_memory():
    """Ask glibc to keep freed arrays of up to 32 MiB for the next one instead of giving their pages back to the system.

    A step allocates the same arrays again and again, and the first touch of a new page costs as much as the arithmetic
    on it. Elsewhere than on glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, (2 << 30) - 1)


@functools.cache
def physical():
    """Bytes of memory that this process may have: the machine's, or less where it or its container is limited."""
    limits = [sys.maxsize, *of_control_groups()]
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        pass  # Windows
    try:
        import resource

        limits += [limit for limit in (resource.getrlimit(resource.RLIMIT_AS)[0],) if limit > 0]
    except ImportError:
        pass
    return min(limits)


def of_control_groups(mount="/sys/fs/cgroup", own="/proc/self/cgroup"):
    """[bytes, ...]: the limits of Linux's control groups that this process is in, by which containers are limited.

    A group is also limited by those around it. In a container its path may be one outside, and the mount begins at the
    container's own group: paths that are not there are passed over. `own` has lines "0::/path" of version 2 and
    "5:cpu,memory:/path" of version 1.
    """
    limits = []
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        file = "memory/{}/memory.limit_in_bytes" if controllers else "{}/memory.max"
        path = pathlib.PurePosixPath(path.strip("/"))
        found = [_read(os.path.join(mount, file.format(each))) for each in (path, *path.parents)]
        limits += [int(text) for text in found if text.strip().isdecimal()]  # else "max", or there is no such file
    return limits


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def require(count, itemsize, what, remedy):
    """ConfigError, before anything is allocated, if `count` numbers take more memory than there is."""
    if count * itemsize > physical():
        taken, there = (f"{size / 2**30:.3g} GiB" for size in (count * itemsize, physical()))
        raise ConfigError(f"not enough memory: {what} would take {taken}, and there are {there}: {remedy}")
