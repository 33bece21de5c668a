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


def count_macs(name: str, side: int = SIDE) -> tuple[int | None, str | None]:
    """Multiply-adds of one forward pass, and the input they were counted at, e.g. `1x3x256x256`.

    Convolutions and matrix products only, so FLOPs = 2 x MACs; torch counts the FLOPs. Counted on
    the meta device, so nothing is computed. Methods without weights spend their time elsewhere
    (sorting, morphology, ...): for them both are None.

    Args:
        name: of the detector, with variant and options.
        side: height and width of the image, px.
    """
    with torch.device("meta"):
        detector = detectors.create_architecture(name).eval()
        x = torch.empty(1, detector.in_channels, side, side)
    if not detector.trained:
        return None, None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector(x)
    return counter.get_total_flops() // 2, "x".join(map(str, x.shape))
