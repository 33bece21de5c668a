"""Dice loss, and the one that the MSHNet repository calls Dice."""

from __future__ import annotations

import torch
from torch import Tensor

from losses.base import Loss
from losses.soft_iou import overlap


def dice(prob: Tensor, target: Tensor) -> Tensor:
    """Smoothed Dice coefficient per image, (2 I + 1) / (P + T + 1): 1 for a perfect prediction.

    Args:
        prob: probabilities (B, 1, H, W).
        target: (B, 1, H, W) in [0, 1].

    Returns:
        (B,), in (0, 1].
    """
    P, T, I = overlap(prob, target)  # noqa: E741 - the papers' symbol
    return (2 * I + 1) / (P + T + 1)


def dice_mshnet(prob: Tensor, target: Tensor) -> Tensor:
    """(2 I + 1) / (P + T + I + 1) per image: the released formula, with I once more below.

    A perfect prediction of n pixels gives (2 n + 1) / (3 n + 1), about 2/3.

    Returns:
        (B,), in (0, 1].
    """
    P, T, I = overlap(prob, target)  # noqa: E741
    return (2 * I + 1) / (P + T + I + 1)


class DiceLoss(Loss):
    """1 - Dice, averaged over images."""

    name = "dice"
    paper = "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation"
    source = "arXiv:1606.04797, with P and T in place of their sums of squares, and smoothing 1"

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss in [0, 1); the same at every epoch."""
        return 1 - dice(torch.sigmoid(logits), target).mean()


class LegacyDiceLoss(Loss):
    """Legacy: the released Dice of MSHNet, which costs about 1/3 where the prediction is perfect.

    Kept to reproduce numbers obtained with it; the MSHNet trainer does not use it. Take `dice`.
    """

    name = "dice_mshnet"
    paper = "Infrared Small Target Detection with Scale and Location Sensitivity"
    source = "arXiv:2403.19366; checked against github.com/Lliu666/MSHNet@7c5194b"

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss in [0, 1); the same at every epoch."""
        return 1 - dice_mshnet(torch.sigmoid(logits), target).mean()
