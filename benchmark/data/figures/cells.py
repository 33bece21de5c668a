"""The images of a set to show, and the part of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.data.figures.named_set import NamedSet
from datasets.clutter import Box

_WIDEST = 3  # times the target's longer side: the window around it
_NARROWEST = 24  # px


def chosen(subject: NamedSet, count: int) -> list[int]:
    """Places of at most `count` images, evenly spaced from the smallest target to the largest.

    Images are sorted by the area of their first target in scan order (0 for images without one),
    equal ones by name.
    """
    areas = first_areas(subject)
    names = [sample.name for sample in subject.samples]
    order = sorted(range(len(names)), key=lambda place: (areas[place], names[place]))
    return [order[rank] for rank in _evenly(len(order), count)]


def first_areas(subject: NamedSet) -> np.ndarray:
    """(N,) int: area of each image's first target, px; 0 where it has none."""
    targets = subject.statistics.targets
    areas = np.zeros(len(subject.samples), int)
    owners, first = np.unique(targets.image, return_index=True)
    areas[owners] = targets.area[first]
    return areas


def around(box: Box, shape: tuple[int, int]) -> Box:
    """A square around a target: 24 px, or three times its longer side; moved into the image."""
    longest = max(side.stop - side.start for side in box)
    return window(box, shape, max(_NARROWEST, _WIDEST * longest))


def window(box: Box, shape: tuple[int, int], side: int) -> Box:
    """A square with the target in the middle; moved, and if need be cut, to fit into the image."""
    fitted = []
    for span, length in zip(box, shape, strict=True):
        start = (span.start + span.stop - side) // 2
        start = max(min(start, length - side), 0)
        fitted.append(slice(start, min(start + side, length)))
    return fitted[0], fitted[1]


def _evenly(length: int, count: int) -> Sequence[int]:
    """At most `count` ranks below `length`, from the first to the last."""
    if count >= length:
        return range(length)
    return np.linspace(0, length - 1, count).round().astype(int).tolist()
