"""How a target stands out from its surroundings: contrast and signal-to-clutter ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

NEIGHBOURHOOD = 20
"""Width of the local background around a target's bounding box, px: d of Gao et al., TIP 2013."""

Box = tuple[slice, slice]


class Contrast(NamedTuple):
    """Grey levels of one target and of its local background.

    Attributes:
        target: mean of the target's pixels.
        background: mean of the background; NaN where there is none.
        deviation: standard deviation of the background; 0 where it is flat, or there is none.
    """

    target: float
    background: float
    deviation: float

    @property
    def scr(self) -> float | None:
        """Signal-to-clutter ratio; None where the background is empty or flat.

        |mean of the target - mean of the background| / standard deviation of the background (Gao
        et al., TIP 2013).
        """
        if not self.deviation:
            return None
        return abs(self.target - self.background) / self.deviation


def contrasts(
    image: np.ndarray, mask: np.ndarray, labels: np.ndarray, boxes: Sequence[Box]
) -> list[Contrast]:
    """The contrast of every target of an image.

    The background is the pixels up to 20 px from the bounding box without all targets grown by
    1 px.

    Args:
        image: (H, W) uint8 or uint16.
        mask: (H, W) bool.
        labels: (H, W) int, the components of the mask: 0 background, k + 1 component k.
        boxes: of the components, in this order.
    """
    background = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)) == 0
    found = []
    for number, box in enumerate(boxes, start=1):
        window = widened(box, NEIGHBOURHOOD)
        around = image[window][background[window]].astype(np.float64)
        target = image[box][labels[box] == number].mean(dtype=np.float64)
        # Grey levels are integers, so a flat background has a deviation of exactly 0.
        mean, deviation = (around.mean(), around.std()) if around.size else (np.nan, 0.0)
        found.append(Contrast(float(target), float(mean), float(deviation)))
    return found


def widened(box: Box, margin: int) -> Box:
    """A box with a margin on every side, cut off at the first row and column."""
    rows, columns = (slice(max(side.start - margin, 0), side.stop + margin) for side in box)
    return rows, columns
