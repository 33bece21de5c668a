"""Quantities that describe a data set, each with its unit and the bins of its histogram.

The bins are fixed, so that overlaps of different pairs of sets can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets.statistics import Statistics, overlap

_DRAWS = 50  # pairs of sets over which the ceiling is averaged
_PERCENT, _PER_MILLE = 100.0, 1000.0


@dataclass(frozen=True)
class Quantity:
    """One number of each target, or of each image.

    Attributes:
        key: name of the column in `Targets` or `Images`, and in tables.
        title: what it is.
        unit: "" for plain numbers.
        of: its owners, "targets" or "images".
        edges: of the bins, in the unit; what lies outside counts in the outermost bins.
        logarithmic: how the axis is drawn.
        factor: from the column to the unit.
    """

    key: str
    title: str
    unit: str
    of: Literal["targets", "images"]
    edges: np.ndarray
    logarithmic: bool = False
    factor: float = 1.0

    @property
    def label(self) -> str:
        """Title and unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def values(self, statistics: Statistics) -> np.ndarray:
        """(n, K) in the unit; K numbers of each, which are compared one by one."""
        if self is POWER:
            with np.errstate(divide="ignore"):  # a flat background has no power
                return np.log10(statistics.spectra)
        column = getattr(getattr(statistics, self.of), self.key)
        return column[:, None] * self.factor

    def owners(self, statistics: Statistics) -> np.ndarray:
        """(n,) the image that each line of `values` belongs to."""
        if self.of == "targets":
            return statistics.targets.image
        return np.arange(len(statistics.images.targets))


def _octaves(first: float, last: float, step: float = 0.5) -> np.ndarray:
    return 2.0 ** np.arange(first, last + step / 2, step)


def _steps(first: float, last: float, step: float) -> np.ndarray:
    return np.linspace(first, last, round((last - first) / step) + 1)


_RANGE = "% of range"
AREA = Quantity(
    # 1 | 2 | 3 | 4-5 | 6-7 | 8-11 | ...: a bin of half an octave below 2 would hold no integer
    "area", "Target size", "px", "targets", np.delete(_octaves(0, 11), 1), logarithmic=True
)  # fmt: skip
SCR = Quantity("scr", "Local SCR", "", "targets", _octaves(-2, 8), logarithmic=True)
CONTRAST = Quantity(
    "contrast", "Contrast", _RANGE, "targets", _steps(-30, 90, 5), factor=_PERCENT
)  # fmt: skip
BORDER = Quantity("border", "Distance to the border", "px", "targets", _steps(0, 300, 10))
COUNT = Quantity("targets", "Targets per image", "", "images", _steps(-0.5, 12.5, 1))
HEIGHT = Quantity("height", "Height", "px", "images", _octaves(4, 12), logarithmic=True)
WIDTH = Quantity("width", "Width", "px", "images", _octaves(4, 12), logarithmic=True)
SHARE = Quantity(
    "share", "Target pixels", "‰", "images", _octaves(-6, 6), logarithmic=True, factor=_PER_MILLE
)  # fmt: skip
MEAN = Quantity("mean", "Mean grey level", _RANGE, "images", _steps(0, 100, 5), factor=_PERCENT)
STD = Quantity(
    "std", "Std of grey levels", _RANGE, "images", _octaves(-3, 6), logarithmic=True,
    factor=_PERCENT,
)  # fmt: skip
SLOPE = Quantity("slope", "Slope of the spectrum", "", "images", _steps(-6, 2, 0.5))
POWER = Quantity(
    "power", "Background power", "log10 px²", "images", _steps(-10, 3, 0.5)
)  # fmt: skip
"""The spectrum itself: its overlap is the mean over the frequencies."""

SUMMARY = (AREA, SCR, CONTRAST, BORDER, COUNT, HEIGHT, WIDTH, SHARE, MEAN, STD, SLOPE)
"""The lines of the summary of one set."""
COMPARED = (*SUMMARY, POWER)
"""The lines of a comparison."""


def overlap_of(quantity: Quantity, a: np.ndarray, b: np.ndarray) -> float:
    """Overlap coefficient of two sets' `values`, the mean over their columns; NaN if unknown."""
    each = [overlap(x, y, quantity.edges) for x, y in zip(a.T, b.T, strict=True)]
    known = [value for value in each if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def ceiling(quantity: Quantity, a: Statistics, b: Statistics) -> float:
    """The overlap that chance leaves to two sets of these sizes, both drawn like `b`.

    Two sets of images, as many as `a` and as `b` have, are drawn with replacement from `b`, 50
    times with a fixed seed; the ceiling is their mean overlap. It is below 1, the more so for small
    sets.

    Returns:
        NaN where nothing is known of `b`.
    """
    values, owners = quantity.values(b), quantity.owners(b)
    sizes = [len(statistics.images.targets) for statistics in (a, b)]
    tables = [_by_image(column, owners, sizes[1], quantity.edges) for column in values.T]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_DRAWS):
        first, second = (rng.multinomial(n, np.full(sizes[1], 1 / sizes[1])) for n in sizes)
        for table in tables:
            p, q = first @ table, second @ table
            if p.any() and q.any():
                found.append(np.minimum(p / p.sum(), q / q.sum()).sum())
    return float(np.mean(found)) if found else float("nan")


def _by_image(values: np.ndarray, owners: np.ndarray, count: int, edges: np.ndarray) -> np.ndarray:
    """(count, B) numbers of values of each image in each bin, see `shares`."""
    table = np.zeros((count, len(edges) - 1))
    known = ~np.isnan(values)
    bins = np.clip(np.digitize(values[known], edges) - 1, 0, len(edges) - 2)
    np.add.at(table, (owners[known], bins), 1)
    return table


def quantiles(values: np.ndarray, at: Sequence[float]) -> list[float]:
    """Quantiles of one column, NaN left out; NaN if nothing is left."""
    known = values[~np.isnan(values)]
    return np.quantile(known, at).tolist() if known.size else [float("nan")] * len(at)
