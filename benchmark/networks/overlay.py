"""Components of a predicted mask, measured and drawn over the image."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

PICTURE_SIDE, LARGEST_FACTOR = 1024, 8
"""Overlays are enlarged so that their longer side reaches this, px, but not by more."""
COLOUR, FONT_SIZE = "#ff40d0", 18  # a colour distinct from every grey


class Component(NamedTuple):
    """An 8-connected component of a mask; its fields are columns of `components.csv`.

    Rows and columns count from 0 at the top left pixel. (row, column) is the centroid: the mean
    of the pixels' indices, all with the same weight, so integers are centres of pixels. Scores are
    over the probabilities of its pixels, area, height and width in pixels.
    """

    row: float
    column: float
    area: int
    mean_score: float
    max_score: float
    top: int
    left: int
    height: int
    width: int


def measure(mask: np.ndarray, probability: np.ndarray) -> list[Component]:
    """The components of a mask, from top to bottom.

    Args:
        mask: (H, W) bool.
        probability: (H, W) float32.
    """
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=8
    )
    inside, scores = labels[mask], probability[mask]
    total = np.bincount(inside, scores, minlength=count)  # in float64
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, inside, scores)
    found = []
    for label in range(1, count):  # 0 is the background
        left, top, width, height, area = stats[label].tolist()
        column, row = centroids[label].tolist()
        mean = float(total[label]) / area
        found.append(
            Component(row, column, area, mean, float(peak[label]), top, left, height, width)
        )
    return sorted(found, key=lambda c: (c.top, c.left))


def draw_overlay(image: np.ndarray, mask: np.ndarray, components: list[Component]) -> np.ndarray:
    """The image with an outline around each component, and its number and mean score beside it.

    Outlines and texts stay one image pixel away from every component, so nothing of a target
    is hidden; a text that finds no free place is left out.

    Args:
        image: (H, W) uint8 or uint16.
        mask: (H, W) bool.
        components: of the mask, in the order of their numbers.

    Returns:
        (k H, k W, 3) uint8; k enlarges small images.
    """
    factor = min(-(-PICTURE_SIDE // max(image.shape)), LARGEST_FACTOR)
    grey = _enlarge(_stretch(image), factor)
    gap, line = max(factor, 3), max(factor // 2, 2)
    halo = _grow(_enlarge(mask.view(np.uint8), factor), gap)
    outline = _grow(halo, line)
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[outline > halo] = ImageColor.getrgb(COLOUR)

    taken = outline > 0
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(FONT_SIZE)
    for number, component in enumerate(components, start=1):
        text = f"{number}: {component.mean_score:.2f}"
        x0, y0, x1, y1 = draw.textbbox((0, 0), text, font, stroke_width=2)
        size = round(x1 - x0), round(y1 - y0)
        corner = _free_place(taken, component, factor, gap + line, *size)
        if corner is not None:
            at = corner[0] - x0, corner[1] - y0
            draw.text(at, text, "white", font, stroke_width=2, stroke_fill="black")
    return np.asarray(canvas)


def _free_place(
    taken: np.ndarray, component: Component, factor: int, margin: int, width: int, height: int
) -> tuple[int, int] | None:
    """Place (x, y) beside a component where a text of this size fits; it is then taken."""
    top, left = component.top * factor - margin, component.left * factor - margin
    bottom = (component.top + component.height) * factor + margin
    right = (component.left + component.width) * factor + margin
    before, above = left - width, top - height
    middle, centre = (top + bottom - height) // 2, (left + right - width) // 2
    for x, y in (
        (right, middle), (before, middle), (centre, bottom), (centre, above),
        (right, bottom), (right, above), (before, bottom), (before, above),
    ):  # fmt: skip
        if min(x, y) < 0:
            continue
        area = taken[y : y + height, x : x + width]
        if area.shape == (height, width) and not area.any():
            area[:] = True
            return x, y
    return None


def _stretch(image: np.ndarray) -> np.ndarray:
    """Grey values between the 0.5 and 99.9 percentile to 0..255: infrared images are flat."""
    low, high = np.percentile(image, (0.5, 99.9))
    return np.rint(255 * np.clip((image - low) / max(high - low, 1.0), 0, 1)).astype(np.uint8)


def _enlarge(image: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel as a square of `factor` by `factor`."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _grow(mask: np.ndarray, radius: int) -> np.ndarray:
    """Dilate a uint8 mask by `radius` px in all eight directions."""
    return cv2.dilate(mask, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
