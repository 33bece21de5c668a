"""Scale and location sensitive (SLS) loss of MSHNet (CVPR 2024), its two halves, and a variant."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.warm_up import WarmUp
from losses.base import Loss
from losses.moments import Profiles, moments, profiles
from losses.regions import find_regions
from losses.soft_iou import pixel_sum

EPS = 1e-8
REACH = 8
"""How far from a target its region goes, px; chosen, not tuned. Most targets are smaller."""


class Pair(NamedTuple):
    """Predictions and targets, and the sums that all terms start from, taken once.

    Attributes:
        prob, target: (B, 1, H, W), in [0, 1].
        predicted, true: their sums over rows and columns.
        P, T, I: pixels predicted, of targets, and in both, (B,) each.
    """

    prob: Tensor
    target: Tensor
    predicted: Profiles
    true: Profiles
    P: Tensor
    T: Tensor
    I: Tensor  # noqa: E741 - the paper's symbol

    @classmethod
    def of(cls, prob: Tensor, target: Tensor) -> Pair:
        """Read both once, and their product once."""
        predicted, true = profiles(prob), profiles(target)
        overlap = pixel_sum(prob * target)
        return cls(prob, target, predicted, true, predicted.mass, true.mass, overlap)


def iou_term(pair: Pair) -> Tensor:
    """I / U per image, without smoothing; 1 where the union is empty.

    Returns:
        (B,), in [0, 1].
    """
    return _ratio(pair.I, pair.P + pair.T - pair.I)


def scale_term(pair: Pair) -> Tensor:
    """alpha * IoU per image: IoU weighted by how well the sizes P and T agree.

    Returns:
        (B,), in [0, 1].
    """
    return size_weight(pair.P, pair.T) * iou_term(pair)


def size_weight(P: Tensor, T: Tensor) -> Tensor:
    """alpha = (min(P, T) + V) / (max(P, T) + V), V = ((P - T) / 2)^2 the variance of the two.

    It is 1 for equal sizes, least where they differ by some pixels, and near 1 again where they
    differ hugely. How low it falls depends on T: an empty prediction has T / (T + 4), which is 0.43
    for 3 px, 0.69 for 9 and 0.96 for 100.
    """
    V = ((P - T) / 2) ** 2
    return _ratio(torch.minimum(P, T) + V, torch.maximum(P, T) + V)


def location_term(pair: Pair) -> Tensor:
    """Distance of the two "centres" per image, in polar coordinates from the top-left corner.

    (4 / pi^2) * (angle_p - angle_t)^2 + 1 - min(d_p, d_t) / max(d_p, d_t). As in the released
    code a centre is the first moment divided by the number of pixels, not by the mass of the map,
    and d has EPS under its root: the term mixes mass and place, and is nearly blind for targets of
    a few pixels at full resolution.

    Returns:
        (B,), in [0, 2).
    """
    angle_p, d_p = _polar_centre(pair.predicted)
    angle_t, d_t = _polar_centre(pair.true)
    length = 1 - torch.minimum(d_p, d_t) / (torch.maximum(d_p, d_t) + EPS)
    return length + 4 / math.pi**2 * (angle_p - angle_t) ** 2


def centroid_term(pair: Pair) -> Tensor:
    """Distance of the centres of mass per image, divided by its diagonal; ours, not the paper's.

    |c_p - c_t| / sqrt(H^2 + W^2), c = sum((x, y) * m) / (sum(m) + EPS) in pixels. Unlike
    `location_term` it does not change with the mass of the map, the size of the target or a flip
    of the image. The targets of an image still share one centre. 0 where there is no target.

    Returns:
        (B,), in [0, 1).
    """
    (c_p, _), (c_t, _) = moments(pair.predicted), moments(pair.true)
    # vector_norm, unlike a root of a sum of squares, has gradient 0 where the distance is 0
    distance = torch.linalg.vector_norm(c_p - c_t, dim=1) / math.hypot(*pair.prob.shape[-2:])
    return distance * (pair.T > 0)


def target_centroid_term(prob: Tensor, target: Tensor, reach: int = REACH) -> Tensor:
    """Distance of centres of mass target by target, averaged over those of an image; ours.

    For target k with its region R_k (itself, and what is within `reach` px of it and not nearer to
    another: `find_regions`), its centre c_k and the pixels z = (x, y):

        e_k = |sum_{R_k} (z - c_k) p| / ((sum_{R_k} p + EPS) * max_{R_k} |z - c_k|)

    0 where the prediction in the region is centred on the target, 1 where all of it is at the
    farthest point. Predictions outside all regions do not count, and a region without any gives 0
    with a finite gradient: misses and false alarms are the scale term's. So at the border of its
    region a wrong prediction is pushed out, not back. 0 without targets.

    Args:
        prob: (B, 1, H, W), probabilities.
        target: (B, 1, H, W) in [0, 1]; what is not 0 belongs to a target.
        reach: px.

    Returns:
        (B,), in [0, 1].
    """
    region = find_regions(target, reach)
    images, count, w = len(prob), len(region.image), prob.shape[-1]
    place = torch.stack([region.pixel % w, region.pixel // w % prob.shape[-2]], 1).to(prob.dtype)
    p, t = (m.flatten()[region.pixel, None] for m in (prob, target))

    def add(values: Tensor) -> Tensor:  # of the pixels of each target
        return values.new_zeros(count, values.shape[1]).index_add(0, region.target, values)

    offset = place - (add(place * t) / add(t))[region.target]
    farthest = offset.new_zeros(count).scatter_reduce(
        0, region.target, offset.norm(dim=1), "amax", include_self=False
    )
    mean = add(offset * p) / (add(p) + EPS)
    # an image of one pixel has no other place
    error = torch.linalg.vector_norm(mean, dim=1) / farthest.clamp(min=0.5)
    total = error.new_zeros(images).index_add(0, region.image, error)
    return total / torch.bincount(region.image, minlength=images).clamp(min=1)


class SLSLoss(Loss):
    """1 - IoU during the warm-up, then 1 - alpha * IoU plus the location term; mean over images.

    For an image without target, T = 0, this is defined as follows (the released code's values,
    where they are not NaN).

    - The IoU is 0 and the scale term 1 whatever is predicted: its gradient is exactly 0. During the
      warm-up such an image teaches nothing.
    - In the main phase the location term acts, against a "centre" of angle 0 and length 1e-4. It
      is 1 - 1e-4 / d_p + (4 / pi^2) * angle_p^2: it lowers the mass, faintly (the slope goes
      with 1e-4 / d_p^2), and turns the predicted centre towards the top row, for which it also
      *raises* nearly all pixels above the line from the corner through that centre.
    - Where sigmoid underflows to P = 0 too (0/0, NaN in the released code, in the gradients of the
      whole batch as well), IoU and alpha are 1: the image contributes 0 with zero gradient.

    So SLS cannot suppress false alarms in target-free crops; `empty_penalty` can.

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
        self.warm_up = WarmUp(warm_epoch)
        self.with_location = with_location
        self.empty_penalty = empty_penalty

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """Scalar loss, in [0, 3) without the empty penalty."""
        pair = Pair.of(torch.sigmoid(logits), target)
        if epoch in self.warm_up:
            loss = 1 - iou_term(pair)
        else:
            loss = 1 - scale_term(pair)
            if self.with_location:
                loss = loss + self.location(pair)
        if self.empty_penalty:
            loss = loss + self.empty_penalty * (pair.T == 0) * pair.P / (pair.P + 1)
        return loss.mean()

    def location(self, pair: Pair) -> Tensor:
        """The location term (B,) of the main phase."""
        return location_term(pair)


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

    Images without target get no location term, so nothing acts on their false alarms unless
    `empty_penalty` does.

    Args:
        warm_epoch: as in SLS.
        with_location: as in SLS.
        empty_penalty: as in SLS.
        per_target: compare every target with the prediction near it (`target_centroid_term`)
            instead of all targets with the whole prediction (`centroid_term`).
    """

    name = "sls_centroid"
    paper = "none: a variant made for this benchmark"
    source = "our variant of arXiv:2403.19366; only the location term differs from `sls`"

    def __init__(
        self,
        warm_epoch: int = 5,
        with_location: bool = True,
        empty_penalty: float = 0.0,
        per_target: bool = False,
    ) -> None:
        super().__init__(warm_epoch, with_location, empty_penalty)
        self.per_target = per_target
        self.capturable = not per_target  # the number of targets is a shape there

    def location(self, pair: Pair) -> Tensor:
        """The location term (B,) of the main phase."""
        if self.per_target:
            return target_centroid_term(pair.prob, pair.target)
        return centroid_term(pair)


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
        self.warm_up = WarmUp(warm_epoch)

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """Scalar loss, in [0, 1] during the warm-up and [0, 2) after it."""
        pair = Pair.of(torch.sigmoid(logits), target)
        if epoch in self.warm_up:
            return (1 - iou_term(pair)).mean()
        return location_term(pair).mean()


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 1 with zero gradient where b is 0: selecting after a 0/0 would leave NaN."""
    empty = b == 0
    return torch.where(empty, 1.0, a / torch.where(empty, 1.0, b))


def _polar_centre(m: Profiles) -> tuple[Tensor, Tensor]:
    """Angle and length (B,) of the mean of m * (x, y), x = column / W and y = row / H."""
    w, h = (profile.shape[1] for profile in m)
    x, y = (torch.arange(n, device=m.rows.device, dtype=m.rows.dtype) / n for n in (w, h))
    cx, cy = (x * m.columns).sum(1) / (h * w), (y * m.rows).sum(1) / (h * w)
    return torch.atan(cy / (cx + EPS)), torch.sqrt(cx**2 + cy**2 + EPS)
