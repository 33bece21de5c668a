"""Soft IoU loss, with one ratio per image or one for the whole batch."""

from __future__ import annotations

import torch
from torch import Tensor

from losses.base import Loss


def overlap(prob: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft pixel counts of each image.

    Args:
        prob: probabilities (B, 1, H, W).
        target: (B, 1, H, W) in [0, 1].

    Returns:
        P (predicted), T (target) and I (their intersection), each (B,), in pixels.
    """
    return pixel_sum(prob), pixel_sum(target), pixel_sum(prob * target)


def pixel_sum(m: Tensor) -> Tensor:
    """Sum of each map of (B, 1, H, W), as (B,).

    Over rows, then over columns: faster on a CPU than over both at once.
    """
    return m.sum((1, 2)).sum(1)


def soft_iou(prob: Tensor, target: Tensor, whole_batch: bool = False) -> Tensor:
    """Smoothed IoU, (I + 1) / (U + 1) with U = P + T - I.

    Returns:
        One value per image (B,), or a scalar, from counts summed over the batch first.
    """
    P, T, I = overlap(prob, target)  # noqa: E741 - the papers' symbol
    U = P + T - I
    if whole_batch:
        I, U = I.sum(), U.sum()  # noqa: E741
    return (I + 1) / (U + 1)


class SoftIoULoss(Loss):
    """1 - soft IoU, averaged over images.

    Args:
        whole_batch: one ratio over the batch instead, as DNANet and ACM train with; it lets the
            large targets of a batch outweigh the small ones. The same for a batch of one.
    """

    name = "soft_iou"
    paper = "Optimizing Intersection-over-Union in Deep Neural Networks for Image Segmentation"
    source = (
        "Rahman and Wang, ISVC 2016 (without smoothing); "
        "checked against github.com/Lliu666/MSHNet@7c5194b (per image) and "
        "github.com/YeRen123455/Infrared-Small-Target-Detection@21584be (whole batch)"
    )

    def __init__(self, whole_batch: bool = False) -> None:
        super().__init__()
        self.whole_batch = whole_batch

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss in [0, 1); the same at every epoch."""
        return 1 - soft_iou(torch.sigmoid(logits), target, self.whole_batch).mean()


class BatchSoftIoULoss(SoftIoULoss):
    """1 - soft IoU of the whole batch: the loss that ACM, ALCNet and DNANet are published with."""

    name = "soft_iou_batch"

    def __init__(self) -> None:
        super().__init__(whole_batch=True)
