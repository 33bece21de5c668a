"""Scale and location sensitive (SLS) loss of MSHNet (CVPR 2024), its two halves, and a variant."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from losses.base import Loss
from losses.moments import moments
from losses.soft_iou import overlap

EPS = 1e-8


def iou_term(prob: Tensor, target: Tensor) -> Tensor:
    """I / U per image, without smoothing; 1 where the union is empty.

    Args:
        prob: probabilities (B, 1, H, W).
        target: (B, 1, H, W) in [0, 1].

    Returns:
        (B,), in [0, 1].
    """
    P, T, I = overlap(prob, target)  # noqa: E741 - the paper's symbol
    return _ratio(I, P + T - I)


def scale_term(prob: Tensor, target: Tensor) -> Tensor:
    """alpha * IoU per image: IoU weighted by how well the sizes P and T agree.

    alpha = (min(P, T) + V) / (max(P, T) + V), V = ((P - T) / 2)^2 the variance of the two sizes.
    It is 1 for equal sizes, about 2/3 at worst, and near 1 again when they differ hugely.

    Returns:
        (B,), in [0, 1].
    """
    P, T, I = overlap(prob, target)  # noqa: E741
    V = ((P - T) / 2) ** 2
    alpha = _ratio(torch.minimum(P, T) + V, torch.maximum(P, T) + V)
    return alpha * _ratio(I, P + T - I)


def location_term(prob: Tensor, target: Tensor) -> Tensor:
    """Distance of the two "centres" per image, in polar coordinates from the top-left corner.

    (4 / pi^2) * (angle_p - angle_t)^2 + 1 - min(d_p, d_t) / max(d_p, d_t). As in the released
    code a centre is the first moment divided by the number of pixels, not by the mass of the map,
    and d has EPS under its root: the term mixes mass and place, and is nearly blind for targets of
    a few pixels at full resolution.

    Returns:
        (B,), in [0, 2).
    """
    angle_p, d_p = _polar_centre(prob)
    angle_t, d_t = _polar_centre(target)
    length = 1 - torch.minimum(d_p, d_t) / (torch.maximum(d_p, d_t) + EPS)
    return length + 4 / math.pi**2 * (angle_p - angle_t) ** 2


def centroid_term(prob: Tensor, target: Tensor) -> Tensor:
    """Distance of the centres of mass per image, divided by its diagonal; ours, not the paper's.

    |c_p - c_t| / sqrt(H^2 + W^2), c = sum((x, y) * m) / (sum(m) + EPS) in pixels. Unlike
    `location_term` it does not change with the mass of the map, the size of the target or a flip
    of the image. The targets of an image still share one centre. 0 where there is no target.

    Returns:
        (B,), in [0, 1).
    """
    (c_p, _), (c_t, _) = moments(prob), moments(target)
    # vector_norm, unlike a root of a sum of squares, has gradient 0 where the distance is 0
    distance = torch.linalg.vector_norm(c_p - c_t, dim=1) / math.hypot(*prob.shape[-2:])
    return distance * (target.sum((1, 2, 3)) > 0)


class SLSLoss(Loss):
    """1 - IoU during the warm-up, then 1 - alpha * IoU plus the location term.

    An image without target and without any prediction contributes 0 (the released code gives
    NaN). Without target but with a prediction, the scale term is 1 with zero gradient, so by
    itself it cannot suppress false alarms: `empty_penalty` can.

    Args:
        warm_epoch: last warm-up epoch, counted from 0; the official 5 gives six of them.
        with_location: add the location term (the released code calls this `with_shape`).
        empty_penalty: weight of P / (P + 1) on images without target; 0 is the official loss.
    """

    name = "sls"
    paper = "Infrared Small Target Detection with Scale and Location Sensitivity"
    source = "arXiv:2403.19366; checked against github.com/Lliu666/MSHNet@7c5194b"

    def __init__(
        self, warm_epoch: int = 5, with_location: bool = True, empty_penalty: float = 0.0
    ) -> None:
        super().__init__()
        self.warm_epoch = warm_epoch
        self.with_location = with_location
        self.empty_penalty = empty_penalty

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """Scalar loss, in [0, 3) without the empty penalty."""
        prob = torch.sigmoid(logits)
        if epoch <= self.warm_epoch:
            loss = 1 - iou_term(prob, target)
        else:
            loss = 1 - scale_term(prob, target)
            if self.with_location:
                loss = loss + self.location(prob, target)
        if self.empty_penalty:
            P, T, _ = overlap(prob, target)
            loss = loss + self.empty_penalty * (T == 0) * P / (P + 1)
        return loss.mean()

    def location(self, prob: Tensor, target: Tensor) -> Tensor:
        """The location term (B,) of the main phase."""
        return location_term(prob, target)


class ScaleIoULoss(SLSLoss):
    """SLS without its location term: 1 - IoU during the warm-up, then 1 - alpha * IoU.

    Args:
        warm_epoch: as in SLS, so that the two differ in the location term only.
        empty_penalty: as in SLS.
    """

    name = "scale_iou"

    def __init__(self, warm_epoch: int = 5, empty_penalty: float = 0.0) -> None:
        super().__init__(warm_epoch, with_location=False, empty_penalty=empty_penalty)


class SLSCentroidLoss(SLSLoss):
    """SLS with the distance of the centres of mass as location term: ours, not the paper's.

    Options are those of SLS. Images without target get no location term, so nothing acts on their
    false alarms unless `empty_penalty` does (in SLS the location term pulls their mass to 0).
    """

    name = "sls_centroid"
    paper = "none: a variant made for this benchmark"
    source = "our variant of arXiv:2403.19366; only the location term differs from `sls`"

    def location(self, prob: Tensor, target: Tensor) -> Tensor:
        """The location term (B,) of the main phase."""
        return centroid_term(prob, target)


class LocationLoss(Loss):
    """1 - IoU during the warm-up, then the location term of SLS alone.

    The term compares two numbers per image (angle and length of a moment), so it cannot say which
    pixels are the target: a network trained with it from the start learns a map of the right
    moment and nothing more. After the warm-up of SLS it shows what the term does by itself to a
    network that has found the targets, and differs from `sls` and `scale_iou` in the main phase
    only.

    Args:
        warm_epoch: last warm-up epoch, counted from 0; -1 for none.
    """

    name = "location"
    paper = "Infrared Small Target Detection with Scale and Location Sensitivity"
    source = "arXiv:2403.19366; checked against github.com/Lliu666/MSHNet@7c5194b"

    def __init__(self, warm_epoch: int = 5) -> None:
        super().__init__()
        self.warm_epoch = warm_epoch

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """Scalar loss, in [0, 1] during the warm-up and [0, 2) after it."""
        prob = torch.sigmoid(logits)
        if epoch <= self.warm_epoch:
            return (1 - iou_term(prob, target)).mean()
        return location_term(prob, target).mean()


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 1 with zero gradient where b is 0: selecting after a 0/0 would leave NaN."""
    empty = b == 0
    return torch.where(empty, 1.0, a / torch.where(empty, 1.0, b))


def _polar_centre(m: Tensor) -> tuple[Tensor, Tensor]:
    """Angle and length (B,) of the mean of m * (x, y), x = column / W and y = row / H."""
    h, w = m.shape[-2:]
    x = torch.arange(w, device=m.device, dtype=m.dtype) / w
    y = torch.arange(h, device=m.device, dtype=m.dtype)[:, None] / h
    cx, cy = (x * m).mean((1, 2, 3)), (y * m).mean((1, 2, 3))
    return torch.atan(cy / (cx + EPS)), torch.sqrt(cx**2 + cy**2 + EPS)
