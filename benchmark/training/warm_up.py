"""Another loss for the first epochs, and a prior on what a network predicts at its start."""

from __future__ import annotations

from torch import Tensor, nn

from detectors.base import Detector
from losses.base import Loss


class Warmed(Loss):
    """One loss for the first epochs, another one from then on.

    Args:
        first: loss of the epochs before `epochs`.
        then: loss of the others; it has the name, and a warm-up of its own (`warm_epoch`).
        epochs: that `first` is used for.
    """

    def __init__(self, first: Loss, then: Loss, epochs: int) -> None:
        super().__init__()
        self.first, self.then, self.epochs = first, then, epochs
        self.name = then.name
        self.capturable = first.capturable and then.capturable

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; the warm-up is that of the loss that follows."""
        super().__setattr__(name, value)
        if name == "warm_epoch":
            self.then.warm_epoch = value

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """Scalar loss of the epoch."""
        return (self.first if epoch < self.epochs else self.then)(logits, target, epoch)


def set_output_bias(detector: Detector, value: float) -> bool:
    """Let the output layers start from a prior, p = sigmoid(value) where their inputs add nothing.

    A random network calls half of all pixels targets; with targets on some 0.1 % of them the first
    steps do little but lower the bias ("Focal Loss for Dense Object Detection", section 4.1).

    Returns:
        False if the detector names no such layers (`Detector.outputs`), or one without a bias:
        then nothing was set.
    """
    every = dict(detector.named_modules())
    biases = [every[name].bias for name in detector.outputs if name in every]
    if not biases or any(bias is None for bias in biases):
        return False
    for bias in biases:
        nn.init.constant_(bias, value)
    return True
