"""Normalised Gaussian Wasserstein distance (NWD), adapted from boxes to masks."""

from __future__ import annotations

import torch
from torch import Tensor

from losses.base import Loss
from losses.moments import moments, profiles
from losses.soft_iou import soft_iou


def nwd(prob: Tensor, target: Tensor, constant: float = 12.8) -> Tensor:
    """exp(-W / constant) per image, W the 2-Wasserstein distance of two Gaussians.

    W^2 = |c_p - c_t|^2 + |s_p - s_t|^2 as for the paper's diagonal Gaussians, c the centre and s
    the half axes along x and y. The paper has c and s = (w, h) / 2 from a box. Ours, for a mask: c
    is its centre of mass and s = sqrt(3 (variance + 1/12)) along each axis, which for a filled
    rectangle is the paper's value exactly (1/12 is the variance within a pixel). All the targets
    of an image make one Gaussian.

    Without target there is nothing to compare with: such an image counts as 1, with zero gradient.
    Without prediction the Gaussian is that of a single pixel in the middle of the image.

    Args:
        prob: probabilities (B, 1, H, W).
        target: (B, 1, H, W) in [0, 1].
        constant: in pixels, the size of a typical object (C in the paper).

    Returns:
        (B,), in [0, 1]. It is blind to the mass: half the probability everywhere changes nothing.
    """
    predicted, true = profiles(prob), profiles(target)
    (c_p, v_p), (c_t, v_t) = moments(predicted), moments(true)
    s_p, s_t = ((3 * v + 1 / 4).sqrt() for v in (v_p, v_t))
    # vector_norm, unlike a root of a sum of squares, has gradient 0 where the distance is 0
    distance = torch.linalg.vector_norm(torch.cat([c_p - c_t, s_p - s_t], 1), dim=1)
    return torch.exp(-distance * (true.mass > 0) / constant)


class NWDLoss(Loss):
    """1 - NWD mixed half and half with 1 - soft IoU, averaged over images.

    Our adaptation to masks: a box is known from its centre and size, a mask is not, so NWD alone
    has no unique minimum (any map with the same mean and variance is one) and its gradient is
    faint from afar. The soft IoU decides the pixels, and is all that acts on images without target.

    Args:
        constant: C of the paper, in pixels; 12.8 is its value for AI-TOD, the mean object size.
        iou_weight: share of the soft IoU, in [0, 1]; 0 is NWD alone.
    """

    name = "nwd"
    paper = "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection"
    source = "arXiv:2110.13389; our adaptation to masks"

    def __init__(self, constant: float = 12.8, iou_weight: float = 0.5) -> None:
        super().__init__()
        self.constant = constant
        self.iou_weight = iou_weight

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:  # noqa: ARG002
        """Scalar loss in [0, 1]; the same at every epoch."""
        prob = torch.sigmoid(logits)
        distance = 1 - nwd(prob, target, self.constant)
        return torch.lerp(distance, 1 - soft_iou(prob, target), self.iou_weight).mean()
