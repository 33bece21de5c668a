"""Pd against Fa over many thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.errors import UserError
from benchmark.evaluation.check_pair import check_pair
from benchmark.evaluation.curves.kernel import component_pairs, levels, thresholds_below
from benchmark.evaluation.curves.threshold_matching import match_over_thresholds
from benchmark.evaluation.protocol import RADIUS
from datasets.components import Components, find_components

# Networks push probabilities against 0 and 1, other maps spread them: 129 thresholds are evenly
# spaced in the logit and 128 in the probability, of which 0.5 is both.
_BY_LOGIT = [1 / (1 + math.exp(-k / 4)) for k in range(-64, 65)]
_BY_PROBABILITY = [k / 128 for k in range(128)]
DEFAULT_THRESHOLDS = tuple(sorted({*_BY_LOGIT, *_BY_PROBABILITY}))


class PdFaSweep:
    """Counts at every threshold, by the rules of the `native` protocol (`prob > threshold`).

    State: `hits`, `false_alarm_pixels`, `false_components`, `intersection`, `predicted`, each
    (K,) int64; `targets`, `positive`, `pixels`, `images`, int. All are sums over images, so
    neither the order of images nor the grouping of merges can change them.

    Args:
        thresholds: K values in [0, 1], increasing. Default: 256, from 0 to sigmoid(16).

    Raises:
        UserError: thresholds that are not increasing or not in [0, 1].
    """

    def __init__(self, thresholds: Sequence[float] = DEFAULT_THRESHOLDS) -> None:
        self.thresholds = np.array(thresholds, dtype=np.float64)
        t = self.thresholds
        if t.ndim != 1 or not t.size or not (t[0] >= 0 and t[-1] <= 1 and (np.diff(t) > 0).all()):
            raise UserError(f"thresholds must increase and lie in [0, 1], not {list(thresholds)}")
        self._below = thresholds_below(t)
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
        level = levels(prob.astype(np.float64, order="C"), self.thresholds, self._below)
        predicted, components, pairs = component_pairs(
            level, count, targets.centroids, RADIUS + 1e-3
        )
        hits, hit_area = match_over_thresholds(targets, pairs, count)
        self.hits += hits
        self.false_components += components - hits
        self.false_alarm_pixels += predicted - hit_area
        self.predicted += predicted
        self.intersection += _above(np.bincount(level[mask], minlength=count + 1))
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
