"""Targets: shapes of point sources, seen through the optics, at sub-pixel places.

A target is a set of point sources. The optics spread each one by a point-spread function, and a
pixel collects what falls on its area:

    profile(i, j) = sum_k w_k * G(i - y_k) * G(j - x_k),   G(t) = integral of g from t-1/2 to t+1/2

where g is a Gaussian of the deviation `blur`. A Gaussian approximates the Airy pattern of
diffraction-limited optics: sigma = 0.42 * wavelength * F-number (Zhang, Zerubia, Olivo-Marin,
Applied Optics 2007). 10 um and F/1.4 to F/2.5 on pixels of 12 um are 0.5 to 0.9 px.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import label
from scipy.special import ndtr

MASK_LEVEL = 0.3
"""A pixel is target where the noise-free target signal exceeds this fraction of its own peak.

In SIRST the outermost mask pixels have 0.5 of their target's peak above the local background, and
the pixels next to them outside 0.14 (medians of the training images), so the cut is between."""
AREA = (1, 80)
"""Smallest and largest area of a mask, px."""
IN_AIR = {"spot": 0.5, "aircraft": 0.3, "drone": 0.2}
ON_WATER = {"spot": 0.4, "ship": 0.6}
"""How often each shape is drawn before a backdrop with sky, and on the sea."""

Sources = tuple[np.ndarray, np.ndarray]
"""(n, 2) points (along, across) or (row, column), largest about 1, and (n,) weights."""

_REACH = 4.0  # deviations of the optics after which nothing is left


class Profile(NamedTuple):
    """A target alone, in a window of its own.

    Attributes:
        signal: (h, w) float32, peak 1.
        mask: (h, w) bool, by the rule of `MASK_LEVEL`.
        shape: which of the shapes of this file.
    """

    signal: np.ndarray
    mask: np.ndarray
    shape: str


def draw_profile(
    rng: np.random.Generator, kind: str, blur: float, log_area: tuple[float, float]
) -> Profile:
    """Draw a shape, turn it, scale it to a drawn area and put it at a sub-pixel place.

    The area is what the mask comes as close to as the shape and the optics allow; it is always
    within `AREA`, and the mask is one 8-connected component.
    """
    shapes = ON_WATER if kind == "sea" else IN_AIR
    while True:
        shape = str(rng.choice(list(shapes), p=list(shapes.values())))
        points, weights = _SOURCES[shape](rng)
        wanted = np.exp(rng.normal(*log_area))
        if not AREA[0] <= wanted <= AREA[1]:
            continue
        profile = _fit(points, weights, shape, wanted, blur, rng.random(2))
        if profile is not None:
            return profile


def render(
    points: np.ndarray, weights: np.ndarray, blur: float, height: int, width: int
) -> np.ndarray:
    """What the pixels collect of point sources.

    Args:
        points: (n, 2) rows and columns, px; whole numbers are centres of pixels.
        weights: (n,) energies.
        blur: deviation of the optics, px.
        height, width: of the window; what falls outside is lost.

    Returns:
        (height, width) float32; its sum is that of the weights if nothing falls outside.
    """
    rows = _integral(points[:, 0], blur, height)
    columns = _integral(points[:, 1], blur, width)
    # No matrix product: its rounding depends on the number of threads.
    return np.einsum("nh,nw->hw", weights[:, None] * rows, columns).astype(np.float32)


def mask_of(signal: np.ndarray) -> np.ndarray:
    """The pixels that belong to a target, from its noise-free signal alone."""
    return signal > MASK_LEVEL * signal.max()


def _integral(centres: np.ndarray, blur: float, length: int) -> np.ndarray:
    """Integrals of a Gaussian over each of `length` pixels, (n, length)."""
    edges = np.arange(length + 1) - 0.5
    return np.diff(ndtr((edges - centres[:, None]) / blur), axis=1)


def _fit(
    points: np.ndarray,
    weights: np.ndarray,
    shape: str,
    wanted: float,
    blur: float,
    place: np.ndarray,
) -> Profile | None:
    """Scale the points until the mask has the wanted area; None if it falls apart."""
    scale, best = 0.4 * np.sqrt(wanted), None
    for _ in range(5):
        reach = int(np.ceil(scale * np.abs(points).max() + _REACH * blur)) + 1
        side = 2 * reach + 1
        signal = render(points * scale + reach + place - 0.5, weights, blur, side, side)
        mask = mask_of(signal)
        area = np.count_nonzero(mask)
        error = abs(np.log(area / wanted))
        if AREA[0] <= area <= AREA[1] and (best is None or error < best[0]):
            best = (error, signal, mask)
        scale *= np.clip(np.sqrt(wanted / area), 0.3, 2)
    if best is None or label(best[2], np.ones((3, 3)))[1] != 1:
        return None
    _, signal, mask = best
    return Profile(signal / signal.max(), mask, shape)


def _spot(rng: np.random.Generator) -> Sources:
    """A hot body or plume without visible form; a point source where it is made small."""
    points = _disc(13)
    weights = np.exp(-0.5 * rng.uniform(0, 5) * (points**2).sum(1))
    return _turned(points, rng, np.pi, rng.uniform(0.5, 1)), weights


def _aircraft(rng: np.random.Generator) -> Sources:
    """Fuselage, swept wings and tail plane, hot at the rear; any heading and aspect."""
    sweep, span, thickness = rng.uniform(0.0, 0.5), rng.uniform(0.5, 0.9), rng.uniform(0.12, 0.2)
    along, across = _grid(25, 3)
    fuselage = np.stack([along, thickness * across], 1)
    wings = np.stack([0.1 - sweep * np.abs(along) + 0.18 * across, span * along], 1)
    tail = np.stack([-0.85 + 0.1 * across, 0.35 * along], 1)[::3]
    weights = 1 + rng.uniform(0, 3) * np.exp(-4 * (along + 1))
    points = np.concatenate([fuselage, wings, tail])
    weights = np.concatenate([weights, np.full(len(wings), 0.7), np.full(len(tail), 0.7)])
    return _turned(points, rng, 2 * np.pi, rng.uniform(0.35, 1)), weights


def _ship(rng: np.random.Generator) -> Sources:
    """A level hull, narrower at the keel, with a warm deck house."""
    along, across = _grid(25, 5)
    height, at = rng.uniform(0.15, 0.3), rng.uniform(-0.5, 0.5)
    hull = np.stack([along * (0.9 - 0.1 * across), height * across], 1)
    house = np.stack([at + 0.25 * along, height * (across - 1.6)], 1)[::3]
    weights = np.full(len(house), rng.uniform(0.5, 1.5))
    return _turned(np.concatenate([hull, house]), rng, 0.2, 1.0), np.append(
        np.ones(len(hull)), weights
    )


def _drone(rng: np.random.Generator) -> Sources:
    """A warm body and four arms with motors at their ends."""
    arm = np.linspace(0.2, 0.9, 8)[:, None]
    angles = np.pi / 4 + np.arange(4) * np.pi / 2
    arms = [arm * (np.cos(a), np.sin(a)) for a in angles]
    body = 0.5 * _disc(5)
    points = np.concatenate([body, *arms])
    weights = np.append(np.full(len(body), rng.uniform(0.7, 1.5)), np.tile([0.35] * 7 + [1.0], 4))
    return _turned(points, rng, 2 * np.pi, rng.uniform(0.35, 0.9)), weights


_SOURCES = {"spot": _spot, "aircraft": _aircraft, "ship": _ship, "drone": _drone}


def _turned(
    points: np.ndarray, rng: np.random.Generator, range_: float, aspect: float
) -> np.ndarray:
    """Points (along, across) foreshortened across by `aspect` and turned, as (row, column)."""
    angle = (rng.random() - 0.5) * range_
    along, across = points[:, 0], points[:, 1] * aspect
    columns = np.cos(angle) * along - np.sin(angle) * across
    rows = np.sin(angle) * along + np.cos(angle) * across
    return np.stack([rows, columns], 1)


def _grid(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of n x m points in -1..1, flat."""
    along, across = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, m), indexing="ij")
    return along.ravel(), across.ravel()


def _disc(n: int) -> np.ndarray:
    """The points of an n x n grid that lie in the unit circle, (k, 2)."""
    points = np.stack(_grid(n, n), 1)
    return points[(points**2).sum(1) <= 1]
