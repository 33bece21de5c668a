"""Another loss for the first epochs."""

from __future__ import annotations

from torch import Tensor

from benchmark.warm_up import WarmUp
from losses.base import Loss


class Warmed(Loss):
    """One loss for the first epochs, another one from then on.

    Args:
        first: loss of the epochs before `epochs`.
        then: loss of the others; it gives the name, and has a warm-up of its own.
        epochs: how many use `first`.
    """

    def __init__(self, first: Loss, then: Loss, epochs: int) -> None:
        super().__init__()
        self.first, self.then, self.epochs = first, then, epochs
        self.name = then.name
        self.capturable = first.capturable and then.capturable

    def follow(self, warm_up: WarmUp) -> None:
        """Pass the warm-up on to the loss that comes after."""
        super().follow(warm_up)
        self.then.follow(warm_up)

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """Scalar loss of the epoch."""
        return (self.first if epoch < self.epochs else self.then)(logits, target, epoch)
