"""Device and precision that a network computes with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmark.environment import cpu_computes_bf16


@dataclass(frozen=True)
class Compute:
    """A device and a precision.

    Args:
        device: where.
        precision: `fp32`, or `bf16` through autocast.
    """

    device: torch.device
    precision: str = "fp32"

    def autocast(self) -> torch.autocast:
        """The context of a forward pass."""
        enabled = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` means bf16 where the hardware multiplies it (CUDA; CPUs with AMX or AVX512-BF16)."""
    if precision != "auto":
        return precision
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_computes_bf16()
    return "bf16" if fast else "fp32"
