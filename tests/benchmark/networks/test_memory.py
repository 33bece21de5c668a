"""What workers do with freed memory, and how they tell that there was too little."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import psutil
import pytest
import torch

from benchmark.networks.memory import is_out_of_memory, peak_resident
from tests.e2e.commands import ROOT

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from benchmark.networks.memory import give_back, keep_freed

def resident():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024

keep_freed()
give_back()
before = resident()
maps = [np.ones(1_000_000) for _ in range(50)]  # 8 MB each
del maps
kept = resident() - before
give_back()
print(kept, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this")
@pytest.mark.parametrize("of_the_user", [False, True])
def test_kept_until_given_back(of_the_user):
    """But not where the user's own variables say otherwise."""
    own = {"MALLOC_MMAP_MAX_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"} if of_the_user else {}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT, env=dict(os.environ) | own, capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept, left = map(int, result.stdout.split())
    assert kept < 20 if of_the_user else kept > 350  # MB
    assert left < 20


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has a ..."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate "
            "memory)"
        ),
        torch.AcceleratorError(
            "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at ..."
        ),
        RuntimeError("unable to mmap 1024 bytes from file </x>: Cannot allocate memory (12)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
    ids=lambda error: str(error)[-40:],
)
def test_out_of_memory(error):
    assert is_out_of_memory(error)


def test_real_allocations_that_fail():
    with pytest.raises(RuntimeError) as torch_error:
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(MemoryError) as error:
        bytearray(2**62)
    assert is_out_of_memory(torch_error.value)
    assert is_out_of_memory(error.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate`"),
        ValueError("an option called 'out of memory'"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_out_of_memory_is_told_without_torch():
    script = """
import sys
from benchmark.networks.memory import is_out_of_memory
print(is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("CUDA out of memory.")),
      is_out_of_memory(ImportError("libtorch.so")), "torch" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["True", "True", "False", "False"]


def test_the_peak_is_in_bytes_and_never_falls():
    before = peak_resident()
    values = np.ones(20_000_000)
    now = psutil.Process().memory_info().rss
    del values
    # the counters of the system lag behind by some pages a thread
    assert max(before, now - 2**22) <= peak_resident() < psutil.virtual_memory().total
