"""Keep freed memory in the process while training."""

import sys

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
