"""Torch's flags: what is scored, trained and timed runs under the same ones."""

from __future__ import annotations

from typing import Any

import cv2
import torch

from benchmark.environment import driver_version


def configure(threads: int) -> None:
    """Set up torch for this process: reproducible, fp32 as fp32, `threads` threads on the CPU."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, changes no result
    torch.backends.cudnn.benchmark = False  # it may choose another algorithm in every process
    # fp32 means fp32. Torch's newer names of these two cannot be mixed with them, and torch
    # itself still reads the old ones.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe(device: torch.device) -> dict[str, Any]:
    """What the record says of the libraries and flags, by field of `record.Environment`."""
    gpu = device.type == "cuda"
    cudnn = torch.backends.cudnn.version() if gpu else None
    return {
        "driver": driver_version() if gpu else None,
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "tf32": torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32,
    }
