"""What every loss is: a thin module over a pure function of logits and target."""

from __future__ import annotations

from typing import ClassVar

from torch import nn


class Loss(nn.Module):
    """Base of all losses.

    `forward(logits, target, epoch) -> scalar`, logits and target (B, 1, H, W), target in [0, 1],
    epoch counted from 0. Computed in float32 whatever the autocast type (calling the module sees
    to that); finite, with a finite gradient, for empty targets and logits of +-100.
    """

    name: ClassVar[str]
    """Registry key."""
    paper: ClassVar[str] = ""
    """Where the loss was proposed."""
    source: ClassVar[str] = ""
    """arXiv number or address, and what the implementation was checked against."""

    warm_epoch: int = -1
    """Last warm-up epoch, counted from 0 (-1: none); set by the harness."""
