"""The warm-up of a training, as detectors and losses receive it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WarmUp:
    """The first epochs of a training, in which some detectors and losses do less.

    Args:
        last: its last epoch, counted from 0; -1: there is none.
    """

    last: int = -1

    def __contains__(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is part of it."""
        return epoch <= self.last
