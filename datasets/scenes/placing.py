"""Where a target goes and how bright it is: its local signal-to-clutter ratio is what is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from datasets.clutter import NEIGHBOURHOOD, widened
from datasets.scenes.difficulty import Level
from datasets.scenes.sensor import Sensor
from datasets.scenes.targets import Profile
from datasets.scenes.windows import Box, overlap

GAP = 3
"""Pixels between the masks of two targets, and between a target and a distractor, at least."""
FAINTEST = 3.0
"""Least peak of a target, in grey levels and in units of the noise."""
TRIES = 40
"""Places that are tried for a target before it is left out."""

_SQUARE = np.ones((3, 3), np.uint8)


class Target(NamedTuple):
    """A target in its place.

    Attributes:
        scr: the local signal-to-clutter ratio that was drawn.
        top, left: first row and column of its window.
        peak: its height, grey levels.
        profile: the target alone.
    """

    scr: float
    top: int
    left: int
    peak: float
    profile: Profile


@dataclass
class Canvas:
    """A noise-free image that targets are added to; (H, W) each.

    Attributes:
        background: float32, grey levels, without targets.
        distractors: bool, where targets must not be.
        signal: float32, the targets alone.
        mask: bool.
        targets: in the order added.
    """

    background: np.ndarray
    distractors: np.ndarray
    signal: np.ndarray = field(init=False)
    mask: np.ndarray = field(init=False)
    targets: list[Target] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.signal = np.zeros_like(self.background)
        self.mask = np.zeros(self.background.shape, bool)

    def add(self, target: Target) -> None:
        """Draw a target; what sticks out of the image is cut off."""
        profile = target.profile
        there, part = overlap(len(self.mask), target.top, target.left, *profile.mask.shape)
        self.signal[there] += np.float32(target.peak) * profile.signal[part]
        self.mask[there] |= profile.mask[part]
        self.targets.append(target)


def place(
    rng: np.random.Generator, profile: Profile, canvas: Canvas, level: Level, sensor: Sensor
) -> Target | None:
    """Find a place where a target fits and its drawn contrast can be shown; None if there is none.

    The whole mask lies in the image. The local SCR is |mean of the target - mean of the
    background| / deviation of the background, over the mask and over the pixels up to 20 px from
    its bounding box without all targets grown by 1 px (Gao et al., TIP 2013), as in
    `datasets.clutter`. It is drawn given that deviation, and the peak follows:

        peak = (scr * deviation + mean of the background - mean under the mask) / mean of profile
    """
    size = len(canvas.mask)
    taken = cv2.dilate(canvas.mask.view(np.uint8), _SQUARE) > 0
    rows, columns = profile.box
    if max(rows.stop - rows.start, columns.stop - columns.start) > size:
        return None
    here = profile.mask[profile.box]
    share = profile.signal[profile.mask].mean(dtype=np.float64)
    for _ in range(TRIES):
        top = rng.integers(-rows.start, size - rows.stop, endpoint=True)
        left = rng.integers(-columns.start, size - columns.stop, endpoint=True)
        box = (slice(top + rows.start, top + rows.stop),
               slice(left + columns.start, left + columns.stop))  # fmt: skip
        close = widened(box, GAP)
        if canvas.mask[close].any() or canvas.distractors[close].any():
            continue
        mean, spread = _clutter(canvas.background, taken, box, here, sensor)
        scr = np.exp(rng.normal(*level.log_scr) + level.scr_slope * np.log(spread))
        under = canvas.background[box][here]
        peak = (scr * spread + mean - under.mean(dtype=np.float64)) / share
        if FAINTEST * max(1, sensor.noise) <= peak <= 255 - under.max():
            return Target(float(scr), int(top), int(left), float(peak), profile)
    return None


def _clutter(
    background: np.ndarray, taken: np.ndarray, box: Box, here: np.ndarray, sensor: Sensor
) -> tuple[float, float]:
    """Mean and deviation of the local background, noise and rounding to 8 bits included."""
    window = widened(box, NEIGHBOURHOOD)
    own = np.zeros(taken[window].shape, np.uint8)
    inner = (slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, window, strict=True))
    own[tuple(inner)] = here
    free = ~taken[window] & (cv2.dilate(own, _SQUARE) == 0)
    around = background[window][free].astype(np.float64)
    return around.mean(), np.sqrt(around.var() + sensor.spread**2 + 1 / 12)
