"""Sensitivity to the size, contrast and place of targets: numbers, a Markdown section, a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.records.record import Scores
from benchmark.report.columns import DASH, label_titles, labels
from benchmark.report.model import Collection, Row, Run, Summary, Table

MISSES = ("unseen", "merged", "shifted")


@dataclass(frozen=True)
class Bins:
    """Intervals of a number; each upper edge belongs to the bin below it.

    Attributes:
        group: what is told apart, in the CSV.
        edges: between the intervals.
        names: of the intervals; a further one is the bin of what has no number.
        wording: of an interval in a table's head, e.g. "{} px".
    """

    group: str
    edges: tuple[float, ...]
    names: tuple[str, ...]
    wording: str

    @property
    def titles(self) -> list[str]:
        """Names as a table's head says them."""
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
        values = [numbers[key] for numbers in self.seeds]
        return [] if None in values else values

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
    """All numbers of one run; None where there is nothing to take them of. Fractions and px.

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


# --- Markdown --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Quantity:
    """How a number is printed: `value x scale` with `decimals` digits."""

    name: str
    scale: float = 100.0
    decimals: int = 1

    def text(self, summary: Summary | None) -> str:
        """Mean ± std over seeds."""
        if summary is None:
            return DASH
        numbers = [summary.mean] if summary.std is None else [summary.mean, summary.std]
        return " ± ".join(f"{number * self.scale:.{self.decimals}f}" for number in numbers)


_TARGET_PARTS = [ALL, *SIZES.parts, *CONTRASTS.parts]
_TARGET_TITLES = ["all", *SIZES.titles, *CONTRASTS.titles]
_FALSE_PARTS = [ALL, *DISTANCES.parts, *FALSE_SIZES.parts]
_FALSE_TITLES = ["all", *DISTANCES.titles, *FALSE_SIZES.titles]
_BY_TARGET = (
    ("Pd (%)", _Quantity("pd")),
    ("Mean IoU of hit targets (%)", _Quantity("hit_iou")),
    ("Area error of hit targets (%)", _Quantity("hit_area_error")),
)


def sensitivity_markdown(table: Table) -> str:
    """A section of the page; "" where no record tells what became of the targets."""
    methods = sensitivities(table)
    if not methods:
        return ""
    counts = methods[0].seeds[0]
    number = [str(int(counts[*part, "targets"] or 0)) for part in _TARGET_PARTS]
    parts = ["### Size, contrast and place of targets\n"]
    for heading, quantity in _BY_TARGET:
        body = [
            [quantity.text(method.summary((*part, quantity.name))) for part in _TARGET_PARTS]
            for method in methods
        ]
        parts.append(_section(table, methods, heading, _TARGET_TITLES, body, number))
    px, share = (1.0, 2), (100.0, 1)
    columns = {
        "Centroid error, median (px)": _Quantity("centroid_error_median", *px),
        "95 % (px)": _Quantity("centroid_error_p95", *px),
        **{f"{kind[0].upper()}{kind[1:]} (%)": _Quantity(kind, *share) for kind in MISSES},
    }
    body = [
        [quantity.text(method.summary((*ALL, quantity.name))) for quantity in columns.values()]
        for method in methods
    ]
    heading = "Centroid error of hit targets, and what became of the others"
    parts.append(_section(table, methods, heading, list(columns), body))
    rate = _Quantity("false_components", 1.0, 2)
    body = [
        [rate.text(method.summary((*part, rate.name))) for part in _FALSE_PARTS]
        for method in methods
    ]
    heading = "False components per image, by distance to the nearest target and by size"
    parts.append(_section(table, methods, heading, _FALSE_TITLES, body))
    parts.append(_escaped(_caption(methods)) + "\n")
    return "\n".join(parts)


def _section(
    table: Table,
    methods: list[Sensitivity],
    heading: str,
    titles: list[str],
    body: list[list[str]],
    targets: list[str] | None = None,
) -> str:
    """A heading and a table; the numbers of targets are its first line."""
    # Imported here: the terminal's table, which comes first, needs no tabulate.
    from tabulate import tabulate

    names = label_titles(table)
    lines = [
        [*(_escaped(text) for text in labels(table, method.row)), str(len(method.runs)), *cells]
        for method, cells in zip(methods, body, strict=True)
    ]
    if targets is not None:
        lines.insert(0, ["*number of targets*", *[""] * len(names), *targets])
    align = ["left"] * len(names) + ["right"] * (len(titles) + 1)
    headers = [*names, "n", *map(_escaped, titles)]
    text = tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=align)
    return f"**{heading}**\n\n{text}\n"


def _caption(methods: list[Sensitivity]) -> str:
    """What the numbers mean."""
    several = any(len(method.runs) > 1 for method in methods)
    targets = methods[0].scores[0].targets
    assert targets is not None
    unknown = sum(value is None for value in targets.scr)
    return " ".join([
        "n: seeds with recorded outcomes" + ("; mean ± sample std over them." if several else "."),
        "Size: pixels of the target; each upper limit belongs to its own bin.",
        "SCR: |mean of the target - mean of the background| / standard deviation of the "
        "background, up to 20 px around the bounding box, without targets grown by 1 px"
        + (f"; not defined for {unknown} target{'s' if unknown > 1 else ''}." if unknown else "."),
        "IoU: of a hit target and the component that hit it. Area error: median of predicted "
        "area / area - 1.",
        "Misses, in percent of all targets: unseen, no predicted component within 3 px; merged, "
        "the one there belongs to or covers another target; shifted, it has one of its own with "
        "the centroid 3 px off or more.",
        "False components: all without a target, divided by all images; distance from their "
        "nearest pixel to the nearest target pixel; no target: in images without one.",
        f"{DASH}: no such target or image, or a seed without a hit among such targets.",
    ])  # fmt: skip


def _escaped(text: str) -> str:
    # A bar would end the cell; angle brackets would be read as HTML.
    return text.replace("|", "\\|").replace("<", "&lt;")


# --- CSV -------------------------------------------------------------------------------------

_CSV_COLUMNS = (
    "dataset", "split", "protocol", "protocol_version", "recipe", "selection", "detector", "loss",
    "settings", "seeds", "n", "group", "bin", "quantity", "value", "std",
)  # fmt: skip
_ASCII = {ord("≤"): "<=", ord("–"): "-"}


def sensitivity_csv(collection: Collection) -> str:
    """One line a number, fractions and px at full precision; "" where no record has any.

    `value` is the mean over seeds and `std` its sample standard deviation; empty where a seed
    lacks the number.
    """
    lines = [line for table in collection.tables for line in _csv_lines(table)]
    if not lines:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    writer.writerows(lines)
    return text.getvalue()


def _csv_lines(table: Table) -> Iterator[tuple[object, ...]]:
    for method in sensitivities(table):
        row = method.row
        seeds = " ".join(str(run.record.cell.seed) for run in method.runs)
        for key in method.seeds[0]:
            summary = method.summary(key)
            value, std = (summary.mean, summary.std) if summary else (None, None)
            yield (
                table.heading, table.split, table.protocol, table.version, table.recipe,
                table.selection, row.detector, row.loss, row.variant_text, seeds,
                len(method.runs), *(text.translate(_ASCII) for text in key), value, std,
            )  # fmt: skip
