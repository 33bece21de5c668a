"""Losses against each other, paired: the same detector and seed, another loss.

Initial weights follow from (seed, detector), data order and augmentation from (seed, dataset),
neither from the loss. So with equal settings the difference between two losses is one number a
seed, and the interval of its mean is Student's over these differences (n - 1 degrees of freedom,
`benchmark.report.power.half_width`). It tells what OTHER SEEDS would change, of the same detectors
and on the same test images; what other images would change is in `significance`.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.figures.wording import DASH
from benchmark.measures import MEASURES, Measure
from benchmark.records.csv_writer import as_csv
from benchmark.report.model import Collection, Row, Table
from benchmark.report.power import half_width, pairs_needed

_SHOWN = tuple(MEASURES[key] for key in ("iou", "pd", "fa"))
_FIRST = "sls"
_CSV_COLUMNS = (
    "dataset", "protocol", "recipe", "selection", "at", "detector", "first", "second", "metric",
    "difference", "low", "high", "seeds", "n", "collapsed",
)  # fmt: skip


def _units() -> str:
    """`IoU and Pd in points, Fa in 1e-6`."""
    points = " and ".join(measure.name for measure in _SHOWN if measure.unit == "%")
    others = [f"{measure.name} in {measure.unit}" for measure in _SHOWN if measure.unit != "%"]
    return ", ".join([f"{points} in points", *others])


HEADING = "Losses compared, same detector and seed"
CAPTION = (
    f"First - second: {_units()}. Both start from the same weights and see "
    "the same images in the same order and augmentation, so each seed gives one difference: "
    "mean over seeds [95 % interval of the mean by Student's t, n - 1 degrees of freedom, each for "
    "itself]. It covers other seeds of the same detectors on the same test images, neither other "
    "detectors nor other images; where all detectors are taken together, each seed counts once, "
    "with its mean over them."
)


@dataclass(frozen=True)
class Gap:
    """The difference between two losses in one metric.

    Attributes:
        values: first - second, one a seed; fractions.
        firm: whether an interval says anything; not with a collapsed run.
    """

    values: tuple[float, ...]
    firm: bool = True

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def half(self) -> float | None:
        """Half the 95 % interval; None for one seed, or where it says nothing."""
        n = len(self.values)
        return half_width(statistics.stdev(self.values), n) if n > 1 and self.firm else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval."""
        return None if self.half is None else (self.mean - self.half, self.mean + self.half)

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.half is not None and abs(self.mean) > self.half

    def text(self, measure: Measure) -> str:
        """Mean and interval as printed."""
        mean = _signed(measure, self.mean)
        if self.bounds is None:
            return mean
        return f"{mean} [{', '.join(_signed(measure, bound) for bound in self.bounds)}]"

    def remedy(self) -> str:
        """How many seeds would tell the two apart if they are what these seeds say."""
        if self.half is None or not self.mean:
            return ""
        count = pairs_needed(self.mean, statistics.stdev(self.values))
        return "more than 1000" if count is None else f"about {count}"


@dataclass(frozen=True)
class Contrast:
    """Two losses on one detector, or on several together."""

    where: str  # the detector, with the settings that set its rows apart
    first: str
    second: str
    seeds: tuple[int, ...]  # that both have
    gaps: dict[str, Gap]  # by metric; without those that a run lacks
    collapsed: tuple[str, ...] = ()  # e.g. "sls with seed 1"
    without: tuple[str, ...] = ()  # detectors that the mean over all leaves out

    @property
    def name(self) -> str:
        return f"{self.where}, {self.first} - {self.second}"


@dataclass(frozen=True)
class Comparison:
    """All pairs of losses of a table, and what could not be paired."""

    contrasts: list[Contrast]
    unpaired: list[str]

    def __bool__(self) -> bool:
        """Whether some detector has several losses."""
        return bool(self.contrasts or self.unpaired)


def compare_losses(table: Table) -> Comparison:
    """Pairs with the first loss of each detector: SLS, else the first by name."""
    groups: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    losses: dict[str, set[str]] = defaultdict(set)
    for row in table.trained_rows:
        if row.done and not row.foreign:
            settings = repr(sorted(row.runs[0].settings.items()))  # equal ones have one text
            groups[row.detector, settings][row.loss] = row
            losses[row.detector].add(row.loss)
    contrasts, unpaired = [], []
    for (detector, _), rows in groups.items():
        variants = dict.fromkeys(row.variant_text for row in rows.values())
        where = ", ".join([detector, *filter(None, variants)])
        first, *others = sorted(rows, key=lambda loss: (loss != _FIRST, loss))
        for other in others:
            found = _contrast(where, rows[first], rows[other])
            if found.seeds:
                contrasts.append(found)
            else:
                unpaired.append(f"{found.name}: no seed that both have, with the same images.")
    for detector, names in losses.items():
        paired = {
            loss
            for (name, _), rows in groups.items()
            for loss in rows
            if name == detector and len(rows) > 1
        }
        if len(names) > 1 and names - paired:
            alone = ", ".join(sorted(names - paired))
            unpaired.append(f"{detector}: no other loss has the settings of {alone}, so no pair.")
    return Comparison([*contrasts, *_together(contrasts)], unpaired)


def lines(comparison: Comparison) -> list[str]:
    """Sentences on what the numbers show, and what they do not."""
    sound = [contrast for contrast in comparison.contrasts if not contrast.collapsed]
    single = [contrast.name for contrast in sound if len(contrast.seeds) == 1]
    found = []
    if single:
        names = "" if len(single) == len(sound) else f" ({'; '.join(single)})"
        found.append(f"One seed: no interval, so nothing is shown{names}; run --seeds 0,1,2.")
    for contrast in comparison.contrasts:
        if contrast.collapsed:
            found.append(
                f"{contrast.name}: collapsed is {', '.join(contrast.collapsed)}, so no interval."
            )
        elif len(contrast.seeds) > 1:
            found += _verdict(contrast)
        if contrast.without:
            found.append(
                f"{contrast.name}: without {', '.join(contrast.without)}, where a run collapsed."
            )
    return found + comparison.unpaired


def headers() -> list[str]:
    """Headers of the columns of `body`."""
    return ["Detector", "First - second", "n", *(measure.plain for measure in _SHOWN)]


def body(comparison: Comparison) -> list[list[str]]:
    """One line a contrast."""
    return [
        [
            contrast.where,
            f"{contrast.first} - {contrast.second}",
            str(len(contrast.seeds)),
            *(
                contrast.gaps[measure.key].text(measure) if measure.key in contrast.gaps else DASH
                for measure in _SHOWN
            ),
        ]
        for contrast in comparison.contrasts
    ]


def losses_csv(collection: Collection) -> str:
    """One line a contrast and metric, fractions at full precision; "" where there is none."""
    rows = []
    for table in collection.tables:
        head = (table.heading, table.protocol, table.recipe, table.selection,
                table.at and table.at.text)  # fmt: skip
        for contrast in compare_losses(table).contrasts:
            names = contrast.where, contrast.first, contrast.second
            tail = (" ".join(map(str, contrast.seeds)), len(contrast.seeds),
                    "; ".join(contrast.collapsed))  # fmt: skip
            for key, gap in contrast.gaps.items():
                rows.append((*head, *names, key, gap.mean, *(gap.bounds or (None, None)), *tail))
    return as_csv(rows, _CSV_COLUMNS) if rows else ""


def _contrast(where: str, first: Row, second: Row) -> Contrast:
    data = [
        {r.record.cell.seed: r.record.data and r.record.data.train_hash for r in row.done}
        for row in (first, second)
    ]
    seeds = sorted(seed for seed, images in data[0].items() if data[1].get(seed, "") == images)
    collapsed = tuple(
        f"{row.loss} with seed {seed}"
        for row in (first, second)
        for seed in row.collapsed
        if seed in seeds
    )
    gaps = {}
    for measure in _SHOWN:
        a, b = first.by_seed(measure.key), second.by_seed(measure.key)
        if seeds and all(seed in a and seed in b for seed in seeds):
            values = tuple(a[seed] - b[seed] for seed in seeds)
            gaps[measure.key] = Gap(values, firm=not collapsed)
    return Contrast(where, first.loss, second.loss, tuple(seeds), gaps, collapsed)


def _together(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Each pair of losses over all the detectors that have both, without collapsed ones."""
    pairs: dict[tuple[str, str], list[Contrast]] = defaultdict(list)
    for contrast in contrasts:
        pairs[contrast.first, contrast.second].append(contrast)
    found = []
    for (first, second), members in pairs.items():
        sound = [contrast for contrast in members if not contrast.collapsed]
        without = tuple(contrast.where for contrast in members if contrast.collapsed)
        if len(sound) < 2:
            continue
        seeds = sorted(set.intersection(*(set(contrast.seeds) for contrast in sound)))
        gaps = {}
        for measure in _SHOWN:
            every = [dict(zip(c.seeds, c.gaps[measure.key].values, strict=True))
                     for c in sound if measure.key in c.gaps]  # fmt: skip
            if seeds and len(every) == len(sound):
                values = (statistics.fmean(one[seed] for one in every) for seed in seeds)
                gaps[measure.key] = Gap(tuple(values))
        if seeds:
            share = f"{len(sound)} of {len(members)}" if without else f"all {len(sound)}"
            where = f"{share} together"
            found.append(Contrast(where, first, second, tuple(seeds), gaps, (), without))
    return found


def _verdict(contrast: Contrast) -> list[str]:
    """The metrics by which the two are told apart, in words."""
    apart, open_ = [], []
    for measure in _SHOWN:
        gap = contrast.gaps.get(measure.key)
        if gap is None:
            continue
        if gap.told_apart:
            better = contrast.first if gap.mean * measure.better > 0 else contrast.second
            apart.append(f"{better} is better by {measure.name}")
        elif not any(gap.values):
            open_.append(f"{measure.name} (equal with every seed)")
        else:
            remedy = gap.remedy()
            open_.append(measure.name + (f" ({remedy} would)" if remedy else ""))
    found = [f"{contrast.name}: {', '.join(apart)}."] if apart else []
    if open_:
        found.append(
            f"{contrast.name}: these {len(contrast.seeds)} seeds do not suffice to tell them apart "
            f"by {', '.join(open_)}."
        )
    return found


def _signed(measure: Measure, value: float) -> str:
    return measure.signed(value).replace("-", "−")
