"""Max-median filter: an edge survives the median along itself, a small target none of the four."""

from __future__ import annotations

import torch
from torch import Tensor

from detectors.classical import ClassicalDetector, check_odd, pad

_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


class MaxMedian(ClassicalDetector):
    """Max-median filter: the image minus the largest of four directional medians.

    Background: the maximum of the medians along the row, the column and the two diagonals through
    a pixel. Response max(f - background, 0). The image's border is repeated outwards.

    Args:
        size: pixels in each line, odd. A target wider than half of that is background; 15 (our
            default) keeps those up to 7 px wide.
        k: threshold in standard deviations (our default; see `ClassicalDetector`).

    Raises:
        UserError: `size` is even or less than 3.
    """

    name = "max_median"
    paper = "Max-mean and max-median filters for detection of small targets"
    venue = "SPIE 3809"
    year = 1999
    source = "Deshpande, Er, Venkateswarlu, Chan, Proc. SPIE 3809"

    def __init__(self, size: int = 15, k: float = 5.0) -> None:
        check_odd("max_median", "size", size)
        super().__init__(k)
        self.size = size

    def response(self, x: Tensor) -> Tensor:
        """Images to their excess over the directional medians, (B, 1, H, W)."""
        height, width = x.shape[-2:]
        half = self.size // 2
        padded = pad(x, half)
        medians = []
        for dy, dx in _DIRECTIONS:
            line = [
                padded[..., half + i * dy :, half + i * dx :][..., :height, :width]
                for i in range(-half, half + 1)
            ]
            medians.append(torch.stack(line, dim=-1).median(dim=-1).values)
        return (x - torch.stack(medians).amax(0)).clamp_min(0.0)
