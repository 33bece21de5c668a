"""Curves beyond one threshold: areas, budgets, and tables at other thresholds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmark.errors import UserError
from benchmark.measures import BUDGETS, at_budget
from benchmark.records.record import Curve, Record, Scores

AREA = BUDGETS[0], BUDGETS[-1]
"""The area under Pd against log Fa is taken between these."""


def attainable(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """False-alarm rates in rising order and the highest Pd reached up to each; fractions.

    An empty prediction, Fa = 0 and Pd = 0, is always attainable.
    """
    fa = np.array([0, *curve.false_alarm_pixels]) / max(curve.pixels, 1)
    pd = np.array([0, *curve.hits]) / max(curve.targets, 1)
    order = np.argsort(fa, kind="stable")
    return fa[order], np.maximum.accumulate(pd[order])


def pd_at(step: tuple[np.ndarray, np.ndarray], rates: np.ndarray) -> np.ndarray:
    """The step function of `attainable` at false-alarm rates."""
    fa, pd = step
    return pd[np.searchsorted(fa, rates, side="right") - 1]


def roc(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-positive rate of the pixels, both rising, from (0, 0) to (1, 1)."""
    hit, false = _pixels(curve)
    return (
        np.concatenate([[0.0], false / max(curve.pixels - curve.positive, 1), [1.0]]),
        np.concatenate([[0.0], hit / max(curve.positive, 1), [1.0]]),
    )


def precision_recall(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Recall (rising) and precision of the pixels, at thresholds with a prediction."""
    hit, false = _pixels(curve)
    some = hit + false > 0
    return hit[some] / max(curve.positive, 1), hit[some] / (hit + false)[some]


def curve_numbers(curve: Curve) -> dict[str, float]:
    """Numbers of a whole curve, at the stored thresholds; fractions.

    pd_at_fa_1e-06, ...    highest Pd with Fa no larger
    pd_fa_area             area under Pd against log10 Fa between 1e-6 and 1e-4, over its width
    roc_auc                area under the ROC of the pixels, by trapezoids
    average_precision      sum of precision x gain in recall over the pixels' PR points
    best_iou               highest IoU of all thresholds
    best_iou_threshold     where; the lowest one if there are several
    """
    if not curve.targets:
        return {}
    step = attainable(curve)
    numbers = {
        at_budget(budget): float(pd)
        for budget, pd in zip(BUDGETS, pd_at(step, np.array(BUDGETS)), strict=True)
    }
    recall, precision = precision_recall(curve)
    iou = _iou(curve)
    best = int(iou.argmax())
    return numbers | {
        "pd_fa_area": _log_area(step),
        "roc_auc": _trapezoids(*roc(curve)),
        "average_precision": float((np.diff(recall, prepend=0.0) * precision).sum()),
        "best_iou": float(iou[best]),
        "best_iou_threshold": curve.thresholds[best],
    }


class Point(NamedTuple):
    """Where to read the curves of a report: at the best IoU, or below a false-alarm budget.

    Attributes:
        budget: largest Fa; None means the best IoU.
    """

    budget: float | None

    @property
    def slug(self) -> str:
        return "best-iou" if self.budget is None else f"fa-{self.budget:g}"

    @property
    def text(self) -> str:
        """The point in words, for titles."""
        return "best-IoU threshold" if self.budget is None else f"Fa <= {self.budget:g}"

    @property
    def rule(self) -> str:
        """The rule in words, for captions."""
        which = "best IoU" if self.budget is None else f"highest Pd at Fa <= {self.budget:g}"
        return (
            f"NOT at the protocol's threshold but, for every run, at the stored one with the "
            f"{which}, CHOSEN ON THE TEST SET (optimistic; not comparable with tables at a fixed "
            "threshold)"
        )

    def move(self, record: Record) -> Record:
        """The record with its numbers read at this point; scores without a curve are left out."""
        scores = {
            name: found.model_copy(update={"metrics": self._metrics(found), "images": []})
            for name, found in record.scores.items()
            if found.curve is not None
        }
        return record.model_copy(update={"scores": scores})

    def _metrics(self, scores: Scores) -> dict[str, float]:
        curve = scores.curve
        assert curve is not None
        if self.budget is None:
            k = int(_iou(curve).argmax())
        else:
            fa = np.array(curve.false_alarm_pixels) / curve.pixels
            pd = np.where(fa <= self.budget, curve.hits, -1)
            if pd.max(initial=-1) < 0:
                return {}  # no stored threshold meets the budget
            k = int(np.flatnonzero(pd == pd.max())[-1])  # among equal ones, that with the least Fa
        hit, on = curve.intersection[k], curve.predicted[k]
        numbers = {
            "threshold": curve.thresholds[k],
            "iou": float(_iou(curve)[k]),
            "f1": 2 * hit / (on + curve.positive) if on + curve.positive else 1.0,
            "fa": curve.false_alarm_pixels[k] / curve.pixels,
            "false_alarms_per_image": curve.false_components[k] / curve.images,
        }
        if on:
            numbers["precision"] = hit / on
        if curve.positive:
            numbers |= {"recall": hit / curve.positive, "pd": curve.hits[k] / curve.targets}
        return numbers


def parse_point(text: str) -> Point:
    """`best-iou` or `fa=1e-5`.

    Raises:
        UserError: neither.
    """
    if text == "best-iou":
        return Point(None)
    key, _, value = text.partition("=")
    try:
        budget = float(value)
    except ValueError:
        budget = -1.0
    if key != "fa" or not 0 <= budget <= 1:
        raise UserError(f"--at {text}: write best-iou, or fa=X with X in [0, 1], e.g. fa=1e-5")
    return Point(budget)


def _iou(curve: Curve) -> np.ndarray:
    """IoU at each threshold."""
    overlap = np.array(curve.intersection)
    union = np.array(curve.predicted) + curve.positive - overlap
    return np.where(union > 0, overlap / np.maximum(union, 1), 1.0)


def _pixels(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """True and false positive pixels from the highest threshold to the lowest."""
    hit = np.array(curve.intersection)[::-1]
    return hit, np.array(curve.predicted)[::-1] - hit


def _trapezoids(x: np.ndarray, y: np.ndarray) -> float:
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def _log_area(step: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean of the step function over log10 Fa within `AREA`."""
    fa, _ = step
    edges = np.concatenate([[AREA[0]], fa[(fa > AREA[0]) & (fa < AREA[1])], [AREA[1]]])
    widths = np.diff(np.log10(edges))
    return float((pd_at(step, edges[:-1]) * widths).sum() / widths.sum())
