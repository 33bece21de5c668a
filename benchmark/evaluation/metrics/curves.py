"""Pd against Fa over many thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.errors import UserError
from benchmark.evaluation.metrics.components import Components, find_components
from benchmark.evaluation.metrics.inputs import check_pair
from benchmark.evaluation.metrics.matching import match

# Evenly spaced in the logit, since networks push probabilities against 0 and 1; number 40 is 0.5.
DEFAULT_THRESHOLDS = tuple(1 / (1 + math.exp(-(k - 40) / 4)) for k in range(81))


class PdFaSweep:
    """Counts at every threshold, by the rules of the `native` protocol (`prob > threshold`).

    State: `hits`, `false_alarm_pixels`, `false_components`, `intersection`, `predicted`, each
    (K,) int64; `targets`, `positive`, `pixels`, `images`, int. All are sums over images, so
    neither the order of images nor the grouping of merges can change them.

    Args:
        thresholds: K values in [0, 1], increasing. Default: sigmoid of -10, -9.75, ..., 10.

    Raises:
        UserError: thresholds that are not increasing or not in [0, 1].
    """

    def __init__(self, thresholds: Sequence[float] = DEFAULT_THRESHOLDS) -> None:
        self.thresholds = np.array(thresholds, dtype=np.float64)
        t = self.thresholds
        if t.ndim != 1 or not t.size or not (t[0] >= 0 and t[-1] <= 1 and (np.diff(t) > 0).all()):
            raise UserError(f"thresholds must increase and lie in [0, 1], not {list(thresholds)}")
        self.hits, self.false_alarm_pixels, self.false_components = np.zeros((3, t.size), np.int64)
        self.intersection, self.predicted = np.zeros((2, t.size), np.int64)
        self.targets = self.positive = self.pixels = self.images = 0

    def update(self, prob: np.ndarray, mask: np.ndarray, name: str = "") -> None:
        """Add one image.

        Args:
            prob: (H, W) floating point in [0, 1].
            mask: (H, W) bool.
            name: of the image, for messages.

        Raises:
            UserError: see `check_pair`.
        """
        prob, mask = check_pair(prob, mask, name)
        self.add(prob, mask, find_components(mask))

    def add(self, prob: np.ndarray, mask: np.ndarray, targets: Components) -> None:
        """`update` for a pair that is already checked and whose mask is already labelled."""
        count = self.thresholds.size
        # The level of a pixel is the number of thresholds it exceeds: it is on at 0 .. level - 1.
        level = np.searchsorted(self.thresholds, prob, side="left")
        leaving = np.bincount(level.ravel(), minlength=count + 1)  # [k]: on at k - 1, off at k
        predicted = _above(leaving)
        self.predicted += predicted
        self.intersection += _above(np.bincount(level[mask], minlength=count + 1))

        level = level.astype(np.min_scalar_type(count))  # 8 times less to read per threshold
        for k in range(count):
            if not predicted[k]:
                break
            if k == 0 or leaving[k]:  # else the map is that of the threshold before
                found = find_components(level > k)
                pairs = match(targets, found)
                hit_area = sum(int(found.area[p]) for _, p in pairs)
            self.hits[k] += len(pairs)
            self.false_components[k] += len(found) - len(pairs)
            self.false_alarm_pixels[k] += predicted[k] - hit_area

        self.targets += len(targets)
        self.positive += int(np.count_nonzero(mask))
        self.pixels += mask.size
        self.images += 1

    def merge(self, other: PdFaSweep) -> None:
        """Add the images of another sweep.

        Raises:
            UserError: the thresholds differ.
        """
        if not np.array_equal(self.thresholds, other.thresholds):
            raise UserError("curves with different thresholds cannot be merged")
        for state in ("hits", "false_alarm_pixels", "false_components", "intersection"):
            getattr(self, state)[:] += getattr(other, state)
        self.predicted += other.predicted
        self.targets += other.targets
        self.positive += other.positive
        self.pixels += other.pixels
        self.images += other.images

    def compute(self) -> dict[str, Any]:
        """The fields of `record.Curve`, in plain Python numbers.

        Pd is hits / targets and Fa is false_alarm_pixels / pixels, at each threshold.
        """
        return {
            "thresholds": self.thresholds.tolist(),
            "hits": self.hits.tolist(),
            "false_alarm_pixels": self.false_alarm_pixels.tolist(),
            "false_components": self.false_components.tolist(),
            "intersection": self.intersection.tolist(),
            "predicted": self.predicted.tolist(),
            "targets": self.targets,
            "positive": self.positive,
            "pixels": self.pixels,
            "images": self.images,
        }


def _above(histogram: np.ndarray) -> np.ndarray:
    """(K,) pixels whose level exceeds k, from the (K + 1,) histogram of levels."""
    return histogram[::-1].cumsum()[-2::-1]
