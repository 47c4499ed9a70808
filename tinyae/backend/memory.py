"""How much memory there is, and keeping what was freed in the process while training."""

import functools
import os
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
    """Bytes of memory that this process may have: the machine's, or less where the process is limited."""
    limits = [sys.maxsize]
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


def check(count, itemsize, what, remedy):
    """ConfigError, before anything is allocated, if `count` numbers take more memory than there is."""
    if count * itemsize > physical():
        taken, there = (f"{size / 2**30:.3g} GiB" for size in (count * itemsize, physical()))
        raise ConfigError(f"not enough memory: {what} would take {taken}, and there are {there}: {remedy}")
