"""What looks like a target and is none: cloud fragments, streaks, glints. They have no mask.

Bad pixels are the sensor's (sensor.py), cloud edges and hot roofs the backdrop's (backgrounds.py).
"""

from __future__ import annotations

import numpy as np

from datasets.scenes.levels import Level
from datasets.scenes.noise import fractional_noise
from datasets.scenes.targets import render

FOOTPRINT = 0.1
"""Targets keep off pixels where a distractor exceeds this fraction of its own peak."""


def add_distractors(
    rng: np.random.Generator, scene: np.ndarray, level: Level, kind: str, blur: float
) -> np.ndarray:
    """Add the distractors of one image, in place.

    Args:
        rng: source of all randomness.
        scene: (H, W) float32, grey levels.
        level: of difficulty, for the rates.
        kind: of backdrop; glints are on the sea only.
        blur: deviation of the optics, px.

    Returns:
        (H, W) bool, where the distractors are.
    """
    size = len(scene)
    share = (size / 128) ** 2
    blocked = np.zeros(scene.shape, bool)
    rates = {_fragment: level.fragments, _streak: level.streaks}
    if kind == "sea":
        rates[_glints] = level.glints
    for draw, rate in rates.items():
        for _ in range(rng.poisson(rate * share)):
            shape = draw(rng, size, blur)
            scene += np.float32(np.exp(rng.normal(3.4, 0.5))) * shape
            blocked |= shape > FOOTPRINT
    return blocked


def _fragment(rng: np.random.Generator, size: int, blur: float) -> np.ndarray:
    """A ragged scrap of cloud, wider than any target; peak 1."""
    y, x = np.ogrid[:size, :size]
    cy, cx = rng.uniform(0, size, 2)
    high, wide = rng.uniform(4, 8), rng.uniform(5, 14)
    blob = np.exp(-0.5 * (((y - cy) / high) ** 2 + ((x - cx) / wide) ** 2)).astype(np.float32)
    blob *= np.clip(1 + 0.6 * fractional_noise(rng, size, size, 2.6), 0, None)
    return blob / blob.max()


def _streak(rng: np.random.Generator, size: int, blur: float) -> np.ndarray:
    """A straight thin line, e.g. a wire, a contrail or a meteor; peak 1."""
    length = rng.uniform(15, 40)
    angle = rng.uniform(0, np.pi)
    t = np.arange(0, length, 0.5)[:, None] - length / 2
    points = rng.uniform(0, size, 2) + t * (np.sin(angle), np.cos(angle))
    line = render(points, np.linspace(rng.uniform(0, 1), 1, len(points)), blur, size, size)
    return line / line.max() if line.max() > 0 else line


def _glints(rng: np.random.Generator, size: int, blur: float) -> np.ndarray:
    """A patch of sun glints on waves, in rows; peak 1."""
    n = rng.integers(4, 13)
    points = rng.uniform(0, size, 2) + rng.normal(0, 1, (n, 2)) * (2.5, 9)
    patch = render(points, rng.exponential(1, n), blur, size, size)
    return patch / patch.max() if patch.max() > 0 else patch
