"""Images that show the same scene: found by a perceptual hash, confirmed by a correlation.

Both look at the picture's structure of a certain size and ignore brightness, gain, slow gradients
and single pixels. Two clear skies are not the same scene, nor two skies with a target in the
middle, nor two horizons. Frames of one sequence are, also when they are cropped or shifted by up to
a fifth of their side. What is further apart, turned, mirrored or scaled is not found.

Hash: signs of block means, as in Yang, Gu and Niu (Block mean value based image perceptual hashing,
IIH-MSP 2006), of a window of 16 x 16 blocks: 256 bits. A picture has 26 x 26 blocks; the hash of
its middle is compared with those of the other at all 11 x 11 places.

Confirmation: at the place with the nearest hash the two have a high normalised correlation, which
comes from more than a few pixels, and which holds in all directions (a straight edge has structure
in one direction only).

The thresholds are those at which SIRST's 427 images give pairs that a person calls the same scene,
and no other. 8 pairs pass, with correlations of 0.63 and more; the next ones have 0.55 and less.
The weakest of these 8 has 0.25 in its weakest direction and a spread of 0.17. One pair of one scene
is missed (correlation 0.53). Two pictures of nothing but a slanted edge can still pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

BLOCKS = 26
"""Blocks along a side, for the hash."""
WINDOW = 16
"""Blocks along the side of a window."""
FINE = 4
"""Pixels along the side of a block, for the correlation."""
MOST_BITS = 82
"""Bits of 256 in which the hashes of two windows may differ; unrelated ones differ in 128 +- 8."""
SAME_SCENE = 0.6
"""Normalised correlation from which on two windows may show the same scene."""
LEAST_DIRECTION = 0.2
"""Correlation of the differences along the direction in which the two agree least."""
LEAST_SPREAD = 0.14
"""Share of the pixels that the agreement is spread over; targets on clear skies have less."""
FAINT = 0.5
"""Grey levels. Fainter structure is not amplified: it is the rounding of a smooth gradient."""
ROWS = 128
"""Images that are compared with all others at a time."""

_STEPS = BLOCKS - WINDOW + 1
_MIDDLE = _STEPS // 2


class Print(NamedTuple):
    """Features that two images are compared by.

    Attributes:
        hashes: (121, 4) uint64, of the windows in reading order.
        detail: (104, 104) float32.
    """

    hashes: np.ndarray
    detail: np.ndarray


class Pair(NamedTuple):
    """Two images of the same scene, by their index, and the correlation of what they share."""

    first: int
    second: int
    score: float


def make_print(image: np.ndarray) -> Print:
    """The print of an image (H, W) of any size and number type."""
    coarse = structure(image, BLOCKS, 0.5, 1.5) > 0
    windows = np.lib.stride_tricks.sliding_window_view(coarse, (WINDOW, WINDOW))
    bits = np.packbits(windows.reshape(_STEPS**2, WINDOW**2), axis=1)
    return Print(bits.view(np.uint64), structure(image, BLOCKS * FINE, 1.0, 4.0))


def structure(image: np.ndarray, side: int, fine: float, coarse: float) -> np.ndarray:
    """Structure of an image between two sizes, without its strength and straight lines.

    Args:
        image: (H, W).
        side: the image is averaged down to a square of this side, px.
        fine, coarse: standard deviations of the two Gaussians whose difference is taken, px.

    Returns:
        (side, side) float32: in units of its own robust standard deviation (1.4826 times the
        median absolute value), at most 3, so that nothing bright dominates; less the mean of each
        row and column, since horizons and column pattern fit each other everywhere.
    """
    small = cv2.resize(image.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    band = _blur(small, fine) - _blur(small, coarse)
    band /= max(1.4826 * np.median(np.abs(band)), FAINT)
    np.clip(band, -3, 3, out=band)
    band -= band.mean(1, keepdims=True)
    return band - band.mean(0, keepdims=True)


def same_scenes(
    prints: Sequence[Print], own: int, track: Iterable[int] | None = None
) -> list[Pair]:
    """All pairs that show the same scene.

    Args:
        prints: of all images.
        own: each of the first `own` images is compared with all; the others not with each other.
        track: goes through the blocks of rows, to show progress; see `blocks`.

    Returns:
        Pairs with first < second, most alike first.
    """
    words = np.stack([p.hashes for p in prints]).transpose(1, 2, 0).copy()  # (121, 4, n)
    scores: dict[tuple[int, int], float] = {}
    for start in blocks(own) if track is None else track:
        distance, place = _nearest_windows(words, start, min(start + ROWS, own))
        for row, other in np.argwhere(distance <= MOST_BITS):
            i = start + int(row)
            key = (min(i, int(other)), max(i, int(other)))
            if i != other:
                score = correlation(prints[i].detail, prints[other].detail, int(place[row, other]))
                scores[key] = max(score, scores.get(key, 0.0))
    found = [Pair(*key, score) for key, score in scores.items() if score >= SAME_SCENE]
    return sorted(found, key=lambda pair: -pair.score)


def blocks(own: int) -> range:
    """The first rows of the blocks that `same_scenes` goes through."""
    return range(0, own, ROWS)


def correlation(first: np.ndarray, second: np.ndarray, place: int) -> float:
    """Normalised correlation of the middle of one picture with the other one, near a place.

    Args:
        first, second: `Print.detail` of the two.
        place: number of the window in the second; it is moved by up to 1.5 blocks to fit best.

    Returns:
        -1 to 1; 0 where they agree in a few pixels only, or not in all directions.
    """
    side, margin, middle = WINDOW * FINE, 3 * FINE // 2, _MIDDLE * FINE
    window = first[middle : middle + side, middle : middle + side]
    top, left = (max(FINE * step - margin, 0) for step in divmod(place, _STEPS))
    area = second[top : top + side + 2 * margin, left : left + side + 2 * margin]
    fit = cv2.matchTemplate(area, window, cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(fit.argmax(), fit.shape)
    there = area[y : y + side, x : x + side]
    if fit[y, x] < SAME_SCENE or _spread(window, there) < LEAST_SPREAD:
        return 0.0
    steps = ((0, 3), (3, 0), (2, 2), (2, -2))
    weakest = min(_normalised(*(_difference(w, *s) for w in (window, there))) for s in steps)
    return float(fit[y, x]) if weakest >= LEAST_DIRECTION else 0.0


def _spread(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the pixels that agreement is spread over: its inverse participation ratio."""
    agreement = np.maximum((first - first.mean()) * (second - second.mean()), 0)
    energy = float(np.square(agreement).sum())
    return float(agreement.sum()) ** 2 / (agreement.size * energy) if energy else 0.0


def _difference(window: np.ndarray, down: int, right: int) -> np.ndarray:
    """Differences of pixels this far apart; `right` may be negative."""
    if right < 0:
        window, right = window[:, ::-1], -right
    height, width = window.shape
    return window[down:, right:] - window[: height - down, : width - right]


def _normalised(first: np.ndarray, second: np.ndarray) -> float:
    """Normalised correlation, 0 where one of the two is constant."""
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / norm if norm else 0.0


def _nearest_windows(words: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Least Hamming distance of images `start` to `stop` from all images, and its window.

    Args:
        words: (121, 4, n) uint64.

    Returns:
        Two arrays (stop - start, n) uint8. A distance of 256 cannot be told from 255.
    """
    centre = words[_STEPS**2 // 2, :, start:stop, None]
    shape = (stop - start, words.shape[2])
    best, place = np.full(shape, 255, np.uint8), np.zeros(shape, np.uint8)
    for number, window in enumerate(words):
        count = np.bitwise_count(centre ^ window[:, None])  # (4, rows, n), at most 64 each
        distance = count[0] + count[1] + count[2] + np.minimum(count[3], 63)
        nearer = distance < best
        np.copyto(best, distance, where=nearer)
        place[nearer] = number
    return best, place


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
