"""MPCM: a target's patch is brighter than its neighbours on both sides in every direction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.classical import ClassicalDetector, check_odd, pad

_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


class MPCM(ClassicalDetector):
    """MPCM: multiscale contrast of a patch with its eight neighbours.

    With m the mean over l x l patches, d_i the difference between the patch at a pixel and its
    neighbour i at distance l, and opposite neighbours i and i + 4,

        C_l = min_i d_i d_{i+4},    response = max_l C_l.

    The product is positive for bright and for dark targets; here, as elsewhere in this benchmark,
    only bright ones count: a negative d_i counts as 0. The image's border is repeated outwards.

    Args:
        scales: sides l of the patches, px, each odd.
        k: threshold in standard deviations (our default; see `ClassicalDetector`).

    Raises:
        UserError: a scale that is even or less than 3.
    """

    name = "mpcm"
    paper = "Multiscale patch-based contrast measure for small infrared target detection"
    venue = "Pattern Recognition 58"
    year = 2016
    source = "Wei, You, Li, Pattern Recognition 58"

    def __init__(self, scales: Sequence[int] = (3, 5, 7, 9), k: float = 5.0) -> None:
        for scale in scales:
            check_odd("mpcm", "scales", scale)
        super().__init__(k)
        self.scales = tuple(scales)

    def response(self, x: Tensor) -> Tensor:
        """Images to the largest contrast over the scales, (B, 1, H, W)."""
        return torch.stack([_contrast(x, scale) for scale in self.scales]).amax(0)


def _contrast(x: Tensor, scale: int) -> Tensor:
    """C_l of bright targets for patches of side l = `scale`."""
    height, width = x.shape[-2:]
    rows = F.avg_pool2d(pad(x, scale + scale // 2), (scale, 1), stride=1)
    means = F.avg_pool2d(rows, (1, scale), stride=1)  # of patches up to l px outside of the image

    def excess(dy: int, dx: int) -> Tensor:
        """How much brighter the patch at each pixel is than the one `scale` px further."""
        top, left = scale + dy * scale, scale + dx * scale
        neighbour = means[..., top : top + height, left : left + width]
        return (centre - neighbour).clamp_min(0.0)

    centre = means[..., scale : scale + height, scale : scale + width]
    return torch.stack([excess(dy, dx) * excess(-dy, -dx) for dy, dx in _DIRECTIONS]).amin(0)
