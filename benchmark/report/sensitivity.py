"""Sensitivity to the size, contrast and place of targets: the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.records.record import Scores
from benchmark.report.model import Row, Run, Summary, Table

MISSES = ("unseen", "merged", "shifted")


@dataclass(frozen=True)
class Bins:
    """Intervals of a number; each upper edge belongs to the bin below it.

    Attributes:
        group: name of the quantity that is binned, in the CSV.
        edges: between the intervals.
        names: of the intervals; a further one is the bin for a missing number.
        wording: of an interval in a table's head, e.g. "{} px".
    """

    group: str
    edges: tuple[float, ...]
    names: tuple[str, ...]
    wording: str

    @property
    def titles(self) -> list[str]:
        """Names as a table's head prints them."""
        intervals = len(self.edges) + 1
        worded = [self.wording.format(name) for name in self.names[:intervals]]
        return [*worded, *self.names[intervals:]]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """First two places of a `Key`."""
        return [(self.group, name) for name in self.names]

    def place(self, values: Sequence[float | None]) -> np.ndarray:
        """(N,) number of the bin of each value; None comes after the last interval."""
        numbers = np.array([np.nan if value is None else value for value in values], float)
        inside = np.searchsorted(self.edges, numbers, side="left")
        return np.where(np.isnan(numbers), len(self.edges) + 1, inside)


SIZES = Bins("target_size", (9, 25, 80), ("≤ 9", "10–25", "26–80", "> 80"), "{} px")
CONTRASTS = Bins("scr", (5, 10, 20), ("≤ 5", "5–10", "10–20", "> 20"), "SCR {}")
DISTANCES = Bins(
    "false_alarm_distance", (3, 10, 50), ("≤ 3", "3–10", "10–50", "> 50", "no target"), "at {} px"
)
FALSE_SIZES = Bins("false_alarm_size", SIZES.edges, SIZES.names, "of {} px")

Key = tuple[str, str, str]
"""Group, bin, quantity; the bin of the group "all" is "all"."""
ALL = ("all", "all")


@dataclass(frozen=True)
class Sensitivity:
    """The numbers of one method.

    Attributes:
        row: the method.
        runs: its finished seeds that recorded what became of the targets.
    """

    row: Row
    runs: list[Run]

    @cached_property
    def scores(self) -> list[Scores]:
        return [run.record.scores[self.row.protocol] for run in self.runs]

    @cached_property
    def seeds(self) -> list[dict[Key, float | None]]:
        return [measure(scores) for scores in self.scores]

    def values(self, key: Key) -> list[float]:
        """One number a seed; empty unless every seed has it.

        A mean over fewer seeds than the row's n says would mislead.
        """
        every = [numbers[key] for numbers in self.seeds]
        values = [value for value in every if value is not None]
        return values if len(values) == len(every) else []

    def summary(self, key: Key) -> Summary | None:
        values = self.values(key)
        return Summary.of(values) if values else None


def sensitivities(table: Table) -> list[Sensitivity]:
    """The methods with recorded outcomes.

    None for a table that is read off the curves: the outcomes are those at the protocol's own
    threshold.
    """
    if table.at is not None:
        return []
    found = [
        Sensitivity(row, [run for run in row.done if _recorded(run.record.scores[row.protocol])])
        for row in table.rows
    ]
    return [one for one in found if one.runs]


def measure(scores: Scores) -> dict[Key, float | None]:
    """All numbers of one run; None where there is nothing to take them from. Fractions and px.

    Of all targets, and of those in each bin of size and of signal-to-clutter ratio:

        targets                     number
        pd                          hits / targets
        unseen, merged, shifted     such misses / targets
        hit_iou                     mean IoU of a hit target and the component that hit it
        hit_area_error              median of predicted area / area - 1 over the hits
        centroid_error_median, _p95 of the hits, px

    Of all false components, and of those in each bin of distance to the nearest target and of
    size: false_components, number / images.
    """
    return _of_targets(scores) | _of_false_alarms(scores)


def _recorded(scores: Scores) -> bool:
    return scores.targets is not None and scores.false_alarms is not None


def _of_targets(scores: Scores) -> dict[Key, float | None]:
    targets = scores.targets
    assert targets is not None
    outcome = np.array(targets.outcome, dtype=str)
    area, predicted, shared = (
        np.array(column, float)
        for column in (targets.area, targets.predicted_area, targets.intersection)
    )
    distance = np.array(targets.distance, float)  # NaN for a miss

    def numbers(chosen: np.ndarray) -> dict[str, float | None]:
        count, hit = int(chosen.sum()), chosen & (outcome == "hit")
        a, p, s, d = (column[hit] for column in (area, predicted, shared, distance))
        found: dict[str, float | None] = {"targets": count}
        for name, kind in (("pd", "hit"), *((kind, kind) for kind in MISSES)):
            found[name] = float((outcome[chosen] == kind).mean()) if count else None
        some = bool(hit.any())
        return found | {
            "hit_iou": float((s / (a + p - s)).mean()) if some else None,
            "hit_area_error": float(np.median(p / a - 1)) if some else None,
            "centroid_error_median": float(np.median(d)) if some else None,
            "centroid_error_p95": float(np.percentile(d, 95)) if some else None,
        }

    parts = [(ALL, np.ones(area.size, bool))]
    for bins, values in ((SIZES, targets.area), (CONTRASTS, targets.scr)):
        place = bins.place(values)
        parts += [(part, place == k) for k, part in enumerate(bins.parts)]
    return {
        (*part, name): value
        for part, chosen in parts
        for name, value in numbers(chosen).items()
    }  # fmt: skip


def _of_false_alarms(scores: Scores) -> dict[Key, float | None]:
    false = scores.false_alarms
    assert false is not None
    images = len(scores.images)
    with_target = sum(image.targets > 0 for image in scores.images)

    def rate(count: int, possible: bool) -> float | None:
        return int(count) / images if images and possible else None

    found = {(*ALL, "false_components"): rate(len(false.area), True)}
    for bins, values in ((DISTANCES, false.distance), (FALSE_SIZES, false.area)):
        place = bins.place(values)
        for k, part in enumerate(bins.parts):
            possible = True
            if bins is DISTANCES:
                nowhere = k == len(bins.edges) + 1
                possible = with_target < images if nowhere else with_target > 0
            found[*part, "false_components"] = rate((place == k).sum(), possible)
    return found
