"""The levels of difficulty: every number that makes a scene easy or hard."""

from __future__ import annotations

from dataclasses import dataclass, replace

BITS = (8, 14)
"""Depths that a scene can be quantised to."""


@dataclass(frozen=True)
class Level:
    """Distributions that scenes are drawn from. Grey levels are those of an 8-bit image.

    `standard` was fitted to the 341 training images of SIRST (idx_427), never to test images.
    A rate is the mean of a Poisson distribution for 128 x 128 px.

    Attributes:
        kinds: weight of each kind of backdrop, a function in backgrounds.py.
        contrast: factor of the backdrop's standard deviation.
        roughness: factor of the fine texture beside the large structures.
        counts: probability of 0, 1, 2, ... targets in an image.
        log_area: mean and deviation of ln(target area / px), cut to 1..80 px.
        log_scr: mean and deviation of ln(local SCR) at a local clutter of 1 grey level.
        scr_slope: change of ln(SCR) with ln(clutter): -1 is a target whose brightness ignores its
            place, 0 one that is as much brighter as the clutter is stronger.
        noise: median standard deviation of the temporal noise.
        columns: median standard deviation of the column pattern.
        bad_pixels: rate of dead and hot pixels.
        fragments: rate of cloud fragments.
        streaks: rate of streaks.
        glints: rate of glint patches, on water only.
    """

    kinds: dict[str, float]
    contrast: float
    roughness: float
    counts: tuple[float, ...]
    log_area: tuple[float, float]
    log_scr: tuple[float, float]
    scr_slope: float
    noise: float
    columns: float
    bad_pixels: float
    fragments: float
    streaks: float
    glints: float


_STANDARD = Level(
    kinds={"sky": 0.50, "clouds": 0.27, "sea": 0.09, "terrain": 0.08, "urban": 0.06},
    contrast=1.0,
    roughness=1.0,
    counts=(0.05, 0.78, 0.12, 0.03, 0.02),
    log_area=(3.12, 0.83),
    log_scr=(4.1, 0.6),
    scr_slope=-0.78,
    noise=0.4,
    columns=0.15,
    bad_pixels=0.5,
    fragments=0.15,
    streaks=0.15,
    glints=0.7,
)

LEVELS = {
    "standard": _STANDARD,
    "easy": replace(
        _STANDARD,
        kinds={"sky": 0.65, "clouds": 0.35},
        contrast=0.6,
        roughness=0.5,
        log_scr=(4.2, 0.4),
        bad_pixels=0.1,
        fragments=0.1,
        streaks=0.0,
    ),
    "hard": replace(
        _STANDARD,
        kinds={"sky": 0.15, "clouds": 0.35, "sea": 0.2, "terrain": 0.15, "urban": 0.15},
        roughness=1.6,
        log_area=(2.5, 0.8),
        log_scr=(2.9, 0.5),
        noise=1.5,
        columns=0.6,
        bad_pixels=2.0,
        fragments=1.5,
        streaks=0.6,
        glints=2.0,
    ),
}
