"""Tversky loss: Dice with separate prices for false alarms and for misses."""

from __future__ import annotations

import torch
from torch import Tensor

from losses.base import Loss
from losses.soft_iou import overlap


def tversky(prob: Tensor, target: Tensor, alpha: float = 0.3, beta: float = 0.7) -> Tensor:
    """Smoothed Tversky index per image, (I + 1) / (I + alpha FP + beta FN + 1).

    FP = P - I are the false alarms and FN = T - I the misses, in pixels.
    alpha = beta = 1 is `soft_iou`; alpha = beta = 1/2 is Dice with smoothing 2.

    Args:
        prob: probabilities (B, 1, H, W).
        target: (B, 1, H, W) in [0, 1].
        alpha: price of a false alarm.
        beta: price of a miss.

    Returns:
        (B,), in (0, 1].
    """
    P, T, I = overlap(prob, target)  # noqa: E741 - the papers' symbol
    return (I + 1) / (I + alpha * (P - I) + beta * (T - I) + 1)


class TverskyLoss(Loss):
    """1 - Tversky index, averaged over images.

    Args:
        alpha: price of a false alarm; the paper's best pair is 0.3 and 0.7.
        beta: price of a miss; above alpha it favours recall, as rare small targets need.
    """

    name = "tversky"
    paper = (
        "Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional Deep Networks"
    )
    source = "arXiv:1706.05721, smoothing 1"

    def __init__(self, alpha: float = 0.3, beta: float = 0.7) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss in [0, 1); the same at every epoch."""
        return 1 - tversky(torch.sigmoid(logits), target, self.alpha, self.beta).mean()
