"""Distractors that merely look like targets: cloud fragments, streaks, glints; without a mask.

Bad pixels are the sensor's (sensor.py), cloud edges and hot roofs the backdrop's (backgrounds.py).
"""

from __future__ import annotations

import numpy as np

from datasets.scenes.difficulty import Level
from datasets.scenes.noise import fractional_noise
from datasets.scenes.optics import render
from datasets.scenes.windows import overlap

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
            shape = draw(rng, blur)
            shape /= shape.max()
            top, left = rng.integers(-(len(shape) // 2), size - len(shape) // 2, 2)
            there, part = overlap(size, top, left, *shape.shape)
            scene[there] += np.float32(np.exp(rng.normal(3.2, 0.5))) * shape[part]
            blocked[there] |= shape[part] > FOOTPRINT
    return blocked


def _fragment(rng: np.random.Generator, _blur: float) -> np.ndarray:
    """A ragged scrap of cloud, wider than most targets."""
    high, wide = rng.uniform(3, 7), rng.uniform(5, 12)
    side = int(6 * wide) | 1
    line = np.arange(side, dtype=np.float32) - side // 2
    blob = np.exp(-0.5 * ((line[:, None] / high) ** 2 + (line / wide) ** 2), dtype=np.float32)
    texture = 1 + np.float32(0.4) * fractional_noise(rng, side, side, 3.2)
    return blob * np.clip(texture, 0.05, None)


def _streak(rng: np.random.Generator, blur: float) -> np.ndarray:
    """A straight thin line, e.g. a wire, a contrail or a meteor, that fades to one end."""
    length = rng.uniform(15, 40)
    angle = rng.uniform(0, np.pi)
    side = int(length + 8 * blur) | 1
    t = np.arange(0, length, 0.5)[:, None] - length / 2
    points = side // 2 + rng.random(2) + t * (np.sin(angle), np.cos(angle))
    return render(points, np.linspace(rng.uniform(0, 1), 1, len(points)), blur, side, side)


def _glints(rng: np.random.Generator, blur: float) -> np.ndarray:
    """A patch of sun glints on waves, in rows."""
    n = rng.integers(4, 13)
    side = 61
    points = side // 2 + np.clip(rng.normal(0, 1, (n, 2)), -3, 3) * (2.5, 9)
    return render(points, rng.exponential(1, n), blur, side, side)
