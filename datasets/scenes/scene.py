"""One synthetic image from beginning to end."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from datasets.scenes.backgrounds import backdrop
from datasets.scenes.distractors import add_distractors
from datasets.scenes.levels import Level
from datasets.scenes.sensor import Sensor, draw_sensor, expose
from datasets.scenes.targets import Profile, draw_profile
from datasets.scenes.windows import Box, overlap, widened

NEIGHBOURHOOD = 20
"""Width of the local background around a target's bounding box, px (Gao et al., TIP 2013)."""
BLUR = (0.55, 1.2)
"""Range of the optics' deviation, px."""
GAP = 3
"""Pixels between the masks of two targets, at least."""
FAINTEST = (3.0, 3.0)
"""A target's peak is at least so many grey levels, and so many times the noise."""
TRIES = 40
"""Places that are tried for a target before it is left out."""

_SQUARE = np.ones((3, 3), np.uint8)


class Target(NamedTuple):
    """What was asked for when a target was drawn.

    Attributes:
        shape: which of the shapes of targets.py.
        scr: local signal-to-clutter ratio.
        top, left: first row and column of its window.
        peak: its height, grey levels.
        profile: the target alone.
    """

    shape: str
    scr: float
    top: int
    left: int
    peak: float
    profile: Profile


class Scene(NamedTuple):
    """An image and all that it was made of; (H, W) each, grey levels as float32.

    Attributes:
        image: uint8 or uint16.
        mask: bool.
        background: backdrop and distractors, noise-free, without targets.
        signal: the targets alone, noise-free.
        distractors: bool, where distractors are.
        targets: in the order drawn.
        sensor: the camera.
        kind: of backdrop.
    """

    image: np.ndarray
    mask: np.ndarray
    background: np.ndarray
    signal: np.ndarray
    distractors: np.ndarray
    targets: list[Target]
    sensor: Sensor
    kind: str


def make_scene(rng: np.random.Generator, level: Level, size: int, bits: int = 8) -> Scene:
    """Draw and render one scene of `size` x `size` px."""
    kind = str(rng.choice(list(level.kinds), p=list(level.kinds.values())))
    blur = rng.uniform(*BLUR)
    sensor = draw_sensor(rng, level)
    background = backdrop(rng, size, level, kind, blur)
    distractors = add_distractors(rng, background, level, kind, blur)
    background = np.clip(background, 0, 255)
    mask = np.zeros((size, size), bool)
    signal = np.zeros((size, size), np.float32)
    targets = []
    for _ in range(rng.choice(len(level.counts), p=level.counts)):
        target = _place(rng, background, mask, distractors, sensor, level, kind, blur)
        if target is not None:
            targets.append(target)
            _draw(target, signal, mask)
    image = expose(rng, background + signal, mask, sensor, bits)
    return Scene(image, mask, background, signal, distractors, targets, sensor, kind)


def _place(
    rng: np.random.Generator,
    background: np.ndarray,
    mask: np.ndarray,
    distractors: np.ndarray,
    sensor: Sensor,
    level: Level,
    kind: str,
    blur: float,
) -> Target | None:
    """Find a place where a target fits and its drawn contrast can be shown; None if there is none.

    The local SCR is |mean of the target - mean of the background| / deviation of the background,
    over the mask and over the pixels up to 20 px from its bounding box (Gao et al., TIP 2013), as
    in `benchmark.evaluation.metrics.outcomes`. It is drawn given the local clutter.
    """
    size = len(background)
    taken = cv2.dilate(mask.view(np.uint8), _SQUARE) > 0
    profile = draw_profile(rng, kind, blur, level.log_area)
    rows, columns = (np.flatnonzero(profile.mask.any(axis)) for axis in (1, 0))
    if max(np.ptp(rows), np.ptp(columns)) >= size:
        return None
    here = profile.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    share = profile.signal[profile.mask].mean(dtype=np.float64)
    faintest = max(FAINTEST[0], FAINTEST[1] * sensor.noise)
    for _ in range(TRIES):
        top = rng.integers(-rows[0], size - rows[-1])
        left = rng.integers(-columns[0], size - columns[-1])
        box = (slice(top + rows[0], top + rows[-1] + 1),
               slice(left + columns[0], left + columns[-1] + 1))  # fmt: skip
        close = widened(box, GAP)
        if mask[close].any() or distractors[close].any():
            continue
        mean, spread = _clutter(background, taken, box, here, sensor)
        scr = np.exp(rng.normal(*level.log_scr) + level.scr_slope * np.log(spread))
        under = background[box][here]
        peak = (scr * spread + mean - under.mean(dtype=np.float64)) / share
        if faintest <= peak <= 255 - under.max():
            return Target(profile.shape, float(scr), int(top), int(left), float(peak), profile)
    return None


def _clutter(
    background: np.ndarray,
    taken: np.ndarray,
    box: Box,
    here: np.ndarray,
    sensor: Sensor,
) -> tuple[float, float]:
    """Mean and deviation of the local background, noise and quantisation to 8 bits included."""
    window = widened(box, NEIGHBOURHOOD)
    own = np.zeros(taken[window].shape, np.uint8)
    inner = (slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, window, strict=True))
    own[tuple(inner)] = here
    free = ~taken[window] & (cv2.dilate(own, _SQUARE) == 0)
    around = background[window][free].astype(np.float64)
    return around.mean(), np.sqrt(around.var() + sensor.spread**2 + 1 / 12)


def _draw(target: Target, signal: np.ndarray, mask: np.ndarray) -> None:
    """Add a target to the signal and to the mask, in place; what sticks out is cut off."""
    there, part = overlap(len(signal), target.top, target.left, *target.profile.mask.shape)
    signal[there] += np.float32(target.peak) * target.profile.signal[part]
    mask[there] |= target.profile.mask[part]
