"""Targets: a shape of a drawn area at a sub-pixel place, seen through the optics, and its mask."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import label

from datasets.scenes.optics import render
from datasets.scenes.shapes import Sources, draw_sources
from datasets.scenes.windows import Box

MASK_LEVEL = 0.3
"""A pixel is target where the noise-free target signal exceeds this fraction of its own peak.

In SIRST the outermost mask pixels have 0.5 of their target's peak above the local background, and
the pixels next to them outside 0.14 (medians of the training images), so the cut is between."""
AREA = (1, 80)
"""Smallest and largest area of a mask, px."""

_REACH = 4.0  # deviations of the optics after which nothing is left


class Profile(NamedTuple):
    """A target alone, in a window of its own.

    Attributes:
        signal: (h, w) float32, peak 1.
        mask: (h, w) bool, by the rule of `MASK_LEVEL`.
        shape: key of `shapes.IN_AIR` or `shapes.ON_WATER`.
    """

    signal: np.ndarray
    mask: np.ndarray
    shape: str

    @property
    def box(self) -> Box:
        """Bounding box of the mask."""
        rows, columns = (np.flatnonzero(self.mask.any(axis)) for axis in (1, 0))
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def draw_profile(
    rng: np.random.Generator, kind: str, blur: float, log_area: tuple[float, float]
) -> Profile:
    """Draw a shape, turn it, scale it to a drawn area and put it at a sub-pixel place.

    Args:
        rng: source of all randomness.
        kind: of backdrop; ships are on the sea only, aircraft and drones elsewhere.
        blur: deviation of the optics, px.
        log_area: mean and deviation of ln(area / px).

    Returns:
        The target. Its area is within `AREA` and as close to the drawn one as shape and optics
        allow; its mask is one 8-connected component.
    """
    while True:
        shape, sources = draw_sources(rng, kind)
        area = np.exp(rng.normal(*log_area))
        if AREA[0] <= area <= AREA[1]:
            profile = _fit(shape, sources, area, blur, rng.random(2) - 0.5)
            if profile is not None:
                return profile


def _fit(
    shape: str, sources: Sources, area: float, blur: float, offset: np.ndarray
) -> Profile | None:
    """Scale the sources until the mask has the area; None where it falls into pieces."""
    points, energies = sources
    scale, best, smallest = 0.4 * np.sqrt(area), None, np.inf
    for _ in range(5):
        reach = int(np.ceil(scale * np.abs(points).max() + _REACH * blur)) + 1
        side = 2 * reach + 1
        signal = render(points * scale + reach + offset, energies, blur, side, side)
        signal /= signal.max()
        mask = signal > MASK_LEVEL
        found = np.count_nonzero(mask)
        error = abs(np.log(found / area))
        if AREA[0] <= found <= AREA[1] and error < smallest:
            best, smallest = Profile(signal, mask, shape), error
        scale *= np.clip(np.sqrt(area / found), 0.3, 2)
    if best is None or label(best.mask, np.ones((3, 3)))[1] != 1:
        return None
    return best
