"""Size and arithmetic of a detector."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import detectors

SIDE = 256
"""Side of the input at which MACs are counted, px."""


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_macs(name: str) -> tuple[int, str]:
    """Multiply-adds of one forward pass, and the input they were counted at.

    Convolutions and matrix products only; half of torch's FLOP count. Counted on the meta device,
    so nothing is computed.
    """
    with torch.device("meta"):
        detector = detectors.create_detector(name).eval()
        x = torch.empty(1, detector.in_channels, SIDE, SIDE)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector(x)
    return counter.get_total_flops() // 2, f"1x{detector.in_channels}x{SIDE}x{SIDE}"
