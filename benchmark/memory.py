"""How a worker deals with the memory that torch frees, on systems with glibc."""

from __future__ import annotations

import ctypes
import sys

KEEP_FREED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""Variables that make a process keep what it frees: a training step wants the same sizes again, and
fetching a feature map's memory from the system anew costs more than many an operation on it. Read
at the start of a process; unknown to other systems."""


def give_back() -> None:
    """Return what is free to the system.

    For a process that keeps it and computes on images of all sizes: what one frees does not fit the
    next, and all of it would add up.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
