"""The memory of a worker: its peak, what becomes of what torch frees (glibc only), its end."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`."""
OUT_OF_MEMORY = (
    "out of memory",
    "t allocate memory",  # "can't" and "cannot", of torch's allocator on the CPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""What a RuntimeError says where memory was short: torch wraps the failures of libraries so."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it was memory, of the host or of the device, that did not suffice."""
    # torch is looked up by name: importing it may be what failed
    kind = getattr(sys.modules.get("torch"), "OutOfMemoryError", MemoryError)
    if isinstance(error, (MemoryError, kind)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)


def peak_resident() -> int:
    """Largest resident memory of this process so far, bytes."""
    try:
        import resource
    except ImportError:  # Windows has none
        import psutil

        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def keep_freed() -> None:
    """Let this process keep what it frees (glibc; what its own variables say counts more).

    A training step wants the same sizes again, and fetching a feature map's memory from the system
    anew costs more than many an operation on it.
    """
    mallopt = _libc("mallopt")
    if mallopt is None:
        return
    if "MALLOC_MMAP_MAX_" not in os.environ:
        mallopt(M_MMAP_MAX, 0)
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt(M_TRIM_THRESHOLD, -1)  # never


def give_back() -> None:
    """Return what is free to the system.

    For a process that keeps it and computes on images of all sizes: what one frees does not fit the
    next, and all of it would add up.
    """
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def _libc(name: str) -> Any:
    """A function of the C library; None where there is no such (musl, other systems)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
