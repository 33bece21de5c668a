"""Shapes of targets, as point sources: an unresolved hot spot, an aircraft, a ship, a drone.

At a few pixels the optics leave little of a shape but its extent, its aspect and its hot end.
"""

from __future__ import annotations

import numpy as np

IN_AIR = {"spot": 0.5, "aircraft": 0.3, "drone": 0.2}
ON_WATER = {"spot": 0.4, "ship": 0.6}
"""How often each shape is drawn before a backdrop with sky, and on the sea."""

Sources = tuple[np.ndarray, np.ndarray]
"""(n, 2) rows and columns, the farthest about 1 from the origin, and (n,) energies."""


def draw_sources(rng: np.random.Generator, kind: str) -> tuple[str, Sources]:
    """Draw a shape for a kind of backdrop: its name, and its point sources."""
    shapes = ON_WATER if kind == "sea" else IN_AIR
    shape = str(rng.choice(list(shapes), p=list(shapes.values())))
    return shape, _SHAPES[shape](rng)


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


_SHAPES = {"spot": _spot, "aircraft": _aircraft, "ship": _ship, "drone": _drone}


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
