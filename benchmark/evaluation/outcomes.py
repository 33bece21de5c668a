"""Outcome of every target, and every false alarm, by the rules of the `native` protocol."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import find_objects

from benchmark.evaluation.matching import centroid_distances, match
from benchmark.evaluation.protocol import RADIUS
from datasets.clutter import Box, contrasts, widened
from datasets.components import label_components

REACH = 3
"""Distance, px in rows and in columns, up to which a predicted pixel is near a target."""

Columns = dict[str, list[Any]]

_TARGETS = ("image", "area", "scr", "outcome", "predicted_area", "intersection", "distance")
_FALSE_ALARMS = ("image", "area", "distance")


class Outcomes:
    """Outcome of every target, and every false alarm, of a test set.

    A target is a hit if `matching.match` gives it a predicted component. A miss is named after the
    predicted components near it, which are those with a pixel up to 3 px from it (in rows and in
    columns, so overlap is included) or with a centroid less than 3 px from its own:

        unseen   there is none
        merged   one of them is matched to another target, or overlaps one
        shifted  otherwise: a prediction of its own, with its centroid too far off

    The signal-to-clutter ratio is that of `clutter.contrasts`.

    State: the columns of `record.Targets` and `record.FalseAlarms`, and `images`, a number.
    """

    def __init__(self) -> None:
        self.images = 0
        self._targets: Columns = {name: [] for name in _TARGETS}
        self._false_alarms: Columns = {name: [] for name in _FALSE_ALARMS}

    def add(self, predicted: np.ndarray, mask: np.ndarray, image: np.ndarray | None) -> None:
        """Add one image.

        Args:
            predicted: (H, W) bool.
            mask: (H, W) bool.
            image: (H, W) uint8 or uint16, for the signal-to-clutter ratio.
        """
        scene = _Scene(predicted, mask)
        _extend(self._targets, self.images, scene.targets_found(image))
        _extend(self._false_alarms, self.images, scene.false_alarms())
        self.images += 1

    def merge(self, other: Outcomes) -> None:
        """Add the images of another object, after this one's."""
        for mine, theirs in (
            (self._targets, other._targets),
            (self._false_alarms, other._false_alarms),
        ):
            places = [self.images + place for place in theirs["image"]]
            for name, column in mine.items():
                column.extend(places if name == "image" else theirs[name])
        self.images += other.images

    def compute(self) -> dict[str, Columns]:
        """The fields `targets` and `false_alarms` of `record.Scores`, in plain Python."""
        return {
            "targets": {name: list(column) for name, column in self._targets.items()},
            "false_alarms": {name: list(column) for name, column in self._false_alarms.items()},
        }


class _Scene:
    """One image: its targets and predicted components, and how they go together."""

    def __init__(self, predicted: np.ndarray, mask: np.ndarray) -> None:
        self.mask = mask
        self.targets, self.target_map = label_components(mask)
        self.predictions, self.prediction_map = label_components(predicted)
        self.boxes: list[Box] = find_objects(self.target_map)
        self.partner = dict(match(self.targets, self.predictions))  # target -> prediction
        self.shared = self._shared_pixels()

    def targets_found(self, image: np.ndarray | None) -> Columns:
        """Outcome of each target."""
        count = len(self.targets)
        kinds = self._kinds_of_misses()
        hits = [(t, self.partner.get(t)) for t in range(count)]
        return {
            "area": self.targets.area.tolist(),
            "scr": [None] * count if image is None else self._clutter_ratios(image),
            "outcome": [kinds.get(t, "hit") for t in range(count)],
            "predicted_area": [0 if p is None else int(self.predictions.area[p]) for _, p in hits],
            "intersection": [0 if p is None else self.shared.get((t, p), 0) for t, p in hits],
            "distance": [
                None if p is None else math.sqrt(self._squared_distance(t, p)) for t, p in hits
            ],
        }

    def false_alarms(self) -> Columns:
        """The predictions that hit no target."""
        count = len(self.predictions)
        false = np.setdiff1d(np.arange(count), list(self.partner.values()))
        distance: list[float | None] = [None] * len(false)
        if false.size and self.mask.any():
            smallest = np.full(count, np.inf)
            on = self.prediction_map > 0
            transform = cv2.distanceTransform(
                (~self.mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
            )
            np.minimum.at(smallest, self.prediction_map[on] - 1, transform[on])
            # Its float32 noise depends on the number of threads; the squares are whole numbers.
            distance = np.sqrt(np.rint(smallest[false] ** 2)).round(3).tolist()
        return {"area": self.predictions.area[false].tolist(), "distance": distance}

    def _shared_pixels(self) -> dict[tuple[int, int], int]:
        """(target, prediction) -> pixels in common, for those that have any."""
        both = (self.target_map > 0) & (self.prediction_map > 0)
        pairs = np.stack([self.target_map[both], self.prediction_map[both]], axis=1) - 1
        found, pixels = np.unique(pairs, axis=0, return_counts=True)
        return {(t, p): n for (t, p), n in zip(found.tolist(), pixels.tolist(), strict=True)}

    def _squared_distance(self, t: int, p: int) -> Fraction:
        """Between the two centroids, px^2; exact, so the same in every orientation of the image."""
        targets, predictions = self.targets, self.predictions
        a, b = int(targets.area[t]), int(predictions.area[p])
        rows = int(targets.row_sum[t]) * b - int(predictions.row_sum[p]) * a
        columns = int(targets.column_sum[t]) * b - int(predictions.column_sum[p]) * a
        return Fraction(rows * rows + columns * columns, (a * b) ** 2)

    def _kinds_of_misses(self) -> dict[int, str]:
        """Missed target -> "unseen", "merged" or "shifted"."""
        misses = set(range(len(self.targets))) - self.partner.keys()
        if not misses:
            return {}
        owners: dict[int, set[int]] = defaultdict(set)  # prediction -> targets it hits or overlaps
        for t, p in [*self.partner.items(), *self.shared]:
            owners[p].add(t)
        near = {t: self._reached(t) for t in misses}
        # A wide float filter first; the exact decision is made for the few pairs that pass.
        distances = centroid_distances(self.targets, self.predictions)
        for t, p in np.argwhere(distances < RADIUS + 1e-3).tolist():
            if t in misses and self._squared_distance(t, p) < RADIUS**2:
                near[t].add(p)

        def kind(t: int) -> str:
            if not near[t]:
                return "unseen"
            return "merged" if any(owners[p] - {t} for p in near[t]) else "shifted"

        return {t: kind(t) for t in misses}

    def _reached(self, t: int) -> set[int]:
        """Predictions with a pixel up to REACH from a target."""
        window = widened(self.boxes[t], REACH)
        square = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
        grown = cv2.dilate((self.target_map[window] == t + 1).view(np.uint8), square)
        found = np.unique(self.prediction_map[window][grown > 0])
        return set((found[found > 0] - 1).tolist())

    def _clutter_ratios(self, image: np.ndarray) -> list[float | None]:
        """Signal-to-clutter ratio of each target; None where the background is empty or flat."""
        return [c.scr for c in contrasts(image, self.mask, self.target_map, self.boxes)]


def _extend(columns: Columns, image: int, more: Columns) -> None:
    """Add the rows of one image."""
    columns["image"].extend([image] * len(more["area"]))
    for name, column in more.items():
        columns[name].extend(column)
