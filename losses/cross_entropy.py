"""Losses that are sums over pixels: cross entropy, focal, and cross entropy with soft IoU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.base import Loss
from losses.soft_iou import soft_iou


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy per image, -(t log p + (1 - t) log(1 - p)) averaged over its pixels.

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W) in [0, 1].

    Returns:
        (B,), not negative and without an upper bound.
    """
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2, 3))


def focal(logits: Tensor, target: Tensor, alpha: float | None = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each pixel: cross entropy that counts less where the prediction is right.

    -alpha (1 - p)^gamma log p on the target and -(1 - alpha) p^gamma log(1 - p) elsewhere
    (equation 5 of the paper); a soft target mixes the two, as it does in cross entropy. The powers
    are taken of logarithms, so that value and gradient stay finite for every gamma >= 0.

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W) in [0, 1].
        alpha: weight of the target pixels; None leaves out both weights (equation 4).
        gamma: 0 is weighted cross entropy.

    Returns:
        (B, 1, H, W), not negative.
    """
    on, off = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    missed, raised = F.softplus(-logits), F.softplus(logits)  # -log p and -log(1 - p)
    return (
        on * target * torch.exp(-gamma * raised) * missed
        + off * (1 - target) * torch.exp(-gamma * missed) * raised
    )


class BCELoss(Loss):
    """Binary cross entropy, averaged over pixels and images."""

    name = "bce"
    paper = "The Regression Analysis of Binary Sequences"
    source = (
        "J. R. Stat. Soc. B 20 (1958) 215; checked against "
        "torch.nn.functional.binary_cross_entropy_with_logits"
    )

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss, not negative; the same at every epoch."""
        return bce(logits, target).mean()


class FocalLoss(Loss):
    """Focal loss, averaged over pixels and images.

    Args:
        alpha: weight of the target pixels, against 1 - alpha for the others; None for neither.
        gamma: how much less the well classified pixels count.
        per_target_pixel: divide the sum over the batch by its number of target pixels, at least 1,
            instead of by all its pixels, as LESPS does; for boxes the paper divides by the anchors
            assigned to objects. Without any target, nothing tames the sum over all pixels.
    """

    name = "focal"
    paper = "Focal Loss for Dense Object Detection"
    source = "arXiv:1708.02002, equations 4 and 5"

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, per_target_pixel: bool = False
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.per_target_pixel = per_target_pixel

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss, not negative; the same at every epoch."""
        pixels = focal(logits, target, self.alpha, self.gamma)
        if self.per_target_pixel:
            return pixels.sum() / target.sum().clamp(min=1)
        return pixels.mean()


class BCESoftIoULoss(Loss):
    """Cross entropy plus 1 - soft IoU, averaged over images.

    The first keeps a gradient on every pixel, images without target included; the second weighs
    an image with a target of 3 pixels like one with 100.
    """

    name = "bce_soft_iou"
    paper = "BASNet: Boundary-Aware Salient Object Detection"
    source = "CVPR 2019; its hybrid loss without the SSIM term, soft IoU smoothed by 1"

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss, not negative; the same at every epoch."""
        return (bce(logits, target) + 1 - soft_iou(torch.sigmoid(logits), target)).mean()
