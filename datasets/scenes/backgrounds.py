"""Backdrops without targets: sky, clouds, sea, land and town.

Each function paints radiance in arbitrary units; `backdrop` brings it to a drawn mean and contrast
in grey levels, as the automatic gain of a thermal camera does. Which numbers the functions draw was
fitted to SIRST's training images, by their statistics and by eye; only the forms are physics.
"""

from __future__ import annotations

import cv2
import numpy as np

from datasets.scenes.difficulty import Level
from datasets.scenes.noise import fractional_line, fractional_noise, standardised

CONTRAST = {"sky": (10.0, 1.0), "clouds": (22.0, 0.65), "sea": (18.0, 0.5), "terrain": (38.0, 0.5),
            "urban": (40.0, 0.4)}  # fmt: skip
"""Median of the standard deviation in grey levels, and deviation of its logarithm."""


def backdrop(
    rng: np.random.Generator, size: int, level: Level, kind: str, blur: float
) -> np.ndarray:
    """Paint one backdrop.

    Args:
        rng: source of all randomness.
        size: side, px.
        level: of difficulty.
        kind: key of `PAINTERS`.
        blur: standard deviation of the optics, px; sharp edges are blurred by it.

    Returns:
        (size, size) float32 in grey levels, not yet limited to 0..255.
    """
    field = standardised(PAINTERS[kind](rng, size, level.roughness))
    field = cv2.GaussianBlur(field, (0, 0), blur)
    median, spread = CONTRAST[kind]
    # Without the far tails: single extreme images would decide the scores of a small test set.
    contrast = level.contrast * median * np.exp(spread * np.clip(rng.standard_normal(), -2, 1.5))
    mean = np.clip(rng.normal(110, 34), 30, 185)
    return (mean + contrast * field).astype(np.float32)


def sky(rng: np.random.Generator, size: int, roughness: float) -> np.ndarray:
    """Clear sky: a gradient with haze. Path radiance grows towards the horizon."""
    gradient = _gradient(rng, size)
    haze = fractional_noise(rng, size, size, rng.uniform(3.4, 4.8), rng.uniform(1, 3))
    return gradient + np.float32(rng.uniform(0.02, 0.5)) * haze * np.float32(roughness)


def clouds(rng: np.random.Generator, size: int, roughness: float) -> np.ndarray:
    """Clouds: soft or sharp banks cut out of a noise field, with texture of their own."""
    stretch = rng.uniform(1, 2.5)
    form = fractional_noise(rng, size, size, rng.uniform(3.4, 4.6), stretch)
    texture = fractional_noise(rng, size, size, rng.uniform(3.0, 4.0), stretch)
    cover = _logistic((form - rng.uniform(-0.9, 0.9)) * np.exp(rng.uniform(-0.3, 2.0)))
    thick = cover * (1 + np.float32(0.25 * roughness) * texture)
    thin = np.float32(rng.uniform(0.0, 0.35)) * form
    return _gradient(rng, size) * np.float32(rng.uniform(0, 0.6)) + thick + thin


def sea(rng: np.random.Generator, size: int, roughness: float) -> np.ndarray:
    """Water with waves that shorten towards the horizon, and a glint band below the sun."""
    y, x = _pixels(size)
    horizon = rng.uniform(-0.5, 0.5) * size  # above the frame, or in its upper half
    depth = np.maximum(y[:, 0] - horizon, 0) + 1  # px below the horizon
    reach = rng.uniform(0.15, 0.5) * size
    place = reach * np.log1p(depth / (0.25 * reach))  # equal waves lie closer further away
    waves = fractional_noise(
        rng, int(place.max()) + 2, size, rng.uniform(2.2, 3.0), rng.uniform(3, 7)
    )
    whole = place.astype(int)
    part = (place - whole).astype(np.float32)[:, None]
    waves = waves[whole] * (1 - part) + waves[whole + 1] * part
    swell = waves * np.float32(rng.uniform(0.05, 0.3) * roughness)
    band = np.exp(-0.5 * ((x - rng.uniform(0, size)) / (rng.uniform(0.1, 0.3) * size)) ** 2)
    glitter = np.float32(rng.uniform(0, 0.3) * roughness) * band * np.exp(np.float32(0.7) * waves)
    water = np.float32(rng.uniform(0.2, 1.0)) * (depth / size).astype(np.float32)[:, None]
    water = water + swell + glitter
    above = np.float32(rng.uniform(-2, 2)) + 0.3 * _gradient(rng, size)
    sharp = np.clip(y - horizon + 0.5, 0, 1)
    return above * (1 - sharp) + water * sharp


def terrain(rng: np.random.Generator, size: int, roughness: float) -> np.ndarray:
    """Sky over one to three ridges; the far ones fade in the haze between."""
    scene = _gradient(rng, size) * np.float32(rng.uniform(0.1, 0.5))
    y, _ = _pixels(size)
    ridges = rng.integers(1, 4)
    land = rng.choice([-1, 1]) * rng.uniform(1.0, 2.5)
    base = rng.uniform(0.35, 0.8)
    for near in np.linspace(1 / ridges, 1, ridges):
        outline = fractional_line(rng, size, rng.uniform(2.5, 3.5))
        top = size * (base + rng.uniform(0.02, 0.1) * outline)
        texture = fractional_noise(rng, size, size, rng.uniform(2.2, 3.0), rng.uniform(1, 4))
        cover = np.clip(y - top.astype(np.float32) + 0.5, 0, 1)
        ground = land * near + rng.uniform(0.1, 0.3) * near * roughness * texture
        scene = scene * (1 - cover) + ground.astype(np.float32) * cover
        base += rng.uniform(0.05, 0.2)
    return scene


def urban(rng: np.random.Generator, size: int, roughness: float) -> np.ndarray:
    """Sky behind buildings with warm roof edges and rows of windows."""
    scene = _gradient(rng, size) * np.float32(rng.uniform(0.1, 0.4))
    scene += np.float32(0.2) * fractional_noise(rng, size, size, 3.2)
    base = rng.choice([-1, 1]) * rng.uniform(1.0, 2.0)
    skyline = rng.uniform(0.35, 0.85)
    for _ in range(rng.integers(3, 9)):
        width = int(size * rng.uniform(0.06, 0.3))
        left = rng.integers(-width // 2, size)
        top = int(size * np.clip(skyline + rng.normal(0, 0.12), 0.1, 0.95))
        block = scene[top:, max(left, 0) : max(left + width, 0)]
        block[:] = base + rng.normal(0, 0.35)
        step = rng.integers(4, 9)
        contrast = np.float32(rng.normal(0, 0.15) * roughness)
        block += contrast * _windows(block.shape[0], block.shape[1], int(step))
        block[: rng.integers(1, 3)] += rng.uniform(0.2, 1.2)  # the roof's edge
    return scene


def _windows(height: int, width: int, step: int) -> np.ndarray:
    """True on windows of half a step by two pixels, none in the uppermost row of them."""
    rows, columns = np.arange(height), np.arange(width) - step // 2
    high = (rows >= step) & (rows % step < step // 2)
    return high[:, None] & (columns >= 0) & (columns % step < 2)


PAINTERS = {"sky": sky, "clouds": clouds, "sea": sea, "terrain": terrain, "urban": urban}
"""Kinds of backdrop: (rng, size, roughness) -> (size, size) float32 in arbitrary units."""


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """A smooth slope with some curvature, mostly from top to bottom, about unit variance."""
    y, x = _pixels(size)
    angle = rng.normal(0, 0.7)
    along = (np.cos(angle) * y + np.sin(angle) * x).astype(np.float32) / size
    bend = np.float32(rng.uniform(-1, 1))
    slope = along + bend * along**2
    return standardised(slope) * np.float32(rng.choice([-1, 1]))


def _pixels(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (size, 1) and column numbers (1, size), float32."""
    line = np.arange(size, dtype=np.float32)
    return line[:, None], line[None]


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x, dtype=np.float32))
