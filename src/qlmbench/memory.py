"""The memory of this process: what it has held, and what it keeps."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from functools import cache

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


@cache
def keep_freed_memory() -> None:
    """Tell the allocator to keep what a training step frees, for the next step takes it again.

    By default glibc returns large tensors to the system, which then fills fresh pages with zeros:
    up to half of the time of a stack. Other systems have other allocators and are left alone.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**30)


def peak_memory_mb() -> float:
    """Return the most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024
