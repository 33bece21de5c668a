"""Records on disk -> tables: one per test set, protocol, recipe and selection rule."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.plan.job import ADDED_LATER
from benchmark.records.record import Profile, Record, RecordError, Scores, read_profile, read_record
from benchmark.registry.names import short_dataset
from benchmark.report.collapse import Collapse, collapses
from benchmark.report.operating import Point, curve_numbers
from benchmark.report.significance import Study, study
from benchmark.settings.config import Settings

# Settings that tell where a run ran, not what was computed: runs that differ in nothing else may
# share a mean. "seed" is what the mean is taken over; the selection rule is the table's, and what
# else the training was scored under does not change its number there.
_NOT_COMPARED = frozenset(
    {
        "seed", "seeds", "output", "data_root", "device", "jobs_per_device", "threads", "plugins",
        "selection", "also",
    }
)  # fmt: skip
# Settings that name the row or the table itself, so no difference "between rows" is worth a note.
_NAMED_ELSEWHERE = frozenset(
    {"dataset", "datasets", "detector", "detectors", "loss", "losses", "recipe", "preset"}
)
# What else a run was scored under changes no number of a table.
_WITHOUT_EFFECT = frozenset({"protocols"})
# Settings that earlier records lack, with what they were run with.
_ADDED_LATER = {name: Settings.model_fields[name].default for name in ADDED_LATER}
_COST_KEYS = ("parameters", "macs", "train_seconds", "test_seconds", "peak_memory_bytes")
_NO_LOSS = "none"  # of what was scored without training


@dataclass(frozen=True)
class Run:
    """A record, as one selection rule sees it, and the folder it lies in."""

    folder: Path
    record: Record
    own: bool = True  # by the run's own rule; what else lies in the folder is of that one
    collapses: dict[str, Collapse] = field(default_factory=dict)  # by protocol; see `collapse`

    @property
    def rules(self) -> frozenset[str]:
        """Selection rules whose tables this is shown in: of a cell without a result, all asked."""
        asked = () if self.record.status == "done" else self.record.settings.get("also", ())
        return frozenset({self.record.selection, *asked})

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What was computed: flat settings (nested keys joined by dots), precision as it ran."""
        flat = _ADDED_LATER | _flatten(self.record.settings)
        flat["precision"] = self.record.environment.precision
        return {key: value for key, value in flat.items() if key not in _NOT_COMPARED}

    @cached_property
    def curve_numbers(self) -> dict[str, dict[str, float]]:
        """By protocol: the numbers of its curve, none where it has no curve."""
        return {
            name: curve_numbers(scores.curve) if scores.curve else {}
            for name, scores in self.record.scores.items()
        }


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (divisor n - 1) over seeds; no std for one seed."""

    mean: float
    std: float | None
    n: int


@dataclass
class Row:
    """One method: detector, loss and settings, over all its seeds."""

    detector: str
    loss: str
    protocol: str | None
    variant: dict[str, Any] = field(default_factory=dict)  # set where settings differ
    done: list[Run] = field(default_factory=list)
    troubled: list[Run] = field(default_factory=list)  # failed, oom, diverged
    profile: Profile | None = None  # measured on the device of the runs
    # IoU of epochs chosen on the test set, beyond that of the same trainings by another rule
    iou_over: dict[str, Summary] = field(default_factory=dict)

    @property
    def trained(self) -> bool:
        """False for classical methods and for weights that were only scored."""
        return self.loss != _NO_LOSS

    @property
    def foreign(self) -> bool:
        """Only its maps were scored here (`evaluate`); how they came about is not known."""
        return all(r.record.data is not None and not r.record.data.train_hash for r in self.runs)

    @property
    def name(self) -> tuple[str, str, str]:
        """Detector, loss and, where two settings share a table, what sets this one apart."""
        return self.detector, self.loss, self.variant_text

    @property
    def variant_text(self) -> str:
        return ", ".join(f"{key}={show(value)}" for key, value in self.variant.items())

    @property
    def runs(self) -> list[Run]:
        return self.done + self.troubled

    def values(self, key: str) -> list[float]:
        """The finite numbers of a metric or cost, one per finished seed that has it."""
        values = (self._value(run, key) for run in self.done)
        return [float(value) for value in values if value is not None and math.isfinite(value)]

    def by_seed(self, key: str) -> dict[int, float]:
        """A metric's finite number of each finished seed that has it."""
        found = {run.record.cell.seed: self._value(run, key) for run in self.done}
        return {s: float(v) for s, v in found.items() if v is not None and math.isfinite(v)}

    @property
    def collapsed(self) -> dict[int, Collapse]:
        """The finished seeds that learned nothing, and how."""
        return {
            run.record.cell.seed: run.collapses[self.protocol]
            for run in self.done
            if self.protocol in run.collapses
        }

    @property
    def ranked(self) -> bool:
        """Whether it may be the best; not with a collapsed seed, whatever the others reach."""
        return bool(self.done) and not self.collapsed

    @property
    def scores(self) -> list[Scores]:
        """Of the finished seeds."""
        return [run.record.scores[self.protocol] for run in self.done]

    def _value(self, run: Run, key: str) -> float | None:
        record = run.record
        if key == "latency_ms":
            return self.profile.single.median_ms if self.profile else None
        if key == "flops":
            macs = self._value(run, "macs")
            return None if macs is None else 2 * macs
        if key == "train_seconds" and not self.trained:
            return None
        if key == "train_images":
            known = self.trained and record.data is not None and record.data.train_hash
            return record.data.train_images if known else None
        if key in _COST_KEYS:
            return getattr(record.cost, key, None)
        numbers = run.curve_numbers[self.protocol]
        return numbers[key] if key in numbers else record.scores[self.protocol].metrics.get(key)

    def summary(self, key: str) -> Summary | None:
        """Mean and std; None unless every finished seed has the number.

        A mean over fewer seeds than the row's n says would mislead.
        """
        values = self.values(key)
        return _summary(values) if values and len(values) == len(self.done) else None

    def trouble(self) -> dict[str, int]:
        """How many cells ended in each status other than done."""
        count: dict[str, int] = defaultdict(int)
        for run in self.troubled:
            count[run.record.status] += 1
        return dict(sorted(count.items()))

    def trouble_text(self) -> str:
        """For example `failed (1 of 3), oom (1 of 3)`; empty when all is well."""
        total = len(self.runs)
        return ", ".join(f"{status} ({n} of {total})" for status, n in self.trouble().items())

    def collapsed_text(self) -> str:
        """For example `collapsed (1 of 3)` of the finished seeds; empty when all learned."""
        count = len(self.collapsed)
        some = f" ({count} of {len(self.done)})" if count < len(self.done) else ""
        return f"collapsed{some}" if count else ""


@dataclass
class Table:
    """Rows that may be compared with each other."""

    dataset: str
    split: str | None
    test_hash: str | None
    protocol: str | None
    version: int | None
    recipe: str
    selection: str
    leaked: bool = False  # of networks that were trained on some of the test images
    rows: list[Row] = field(default_factory=list)
    slug: str = ""  # file names and labels; the data set's name where that is unique
    at: Point | None = None  # read from the curves there; None: at the protocol's threshold
    study: Study = field(default_factory=Study)  # intervals and tests over the test images

    @property
    def heading(self) -> str:
        """The data set, and a warning that no table or figure of these numbers may lack."""
        return self.dataset + (" · TRAINED ON TEST IMAGES" if self.leaked else "")

    @property
    def runs(self) -> list[Run]:
        return [run for row in self.rows for run in row.runs]

    @property
    def seeds(self) -> list[int]:
        return sorted({run.record.cell.seed for row in self.trained_rows for run in row.done})

    @property
    def trained_rows(self) -> list[Row]:
        return [row for row in self.rows if row.trained]

    def changed_settings(self) -> dict[str, dict[str, list[str]]]:
        """Settings that are not the recipe's: key -> "value instead of value" -> detectors."""
        table: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for row in self.trained_rows:
            for key, value in row.runs[0].record.cell.changed.items():
                text = f"{show(row.runs[0].settings.get(key))} instead of {show(value)}"
                if row.detector not in table[key][text]:
                    table[key][text].append(row.detector)
        return {key: dict(values) for key, values in sorted(table.items())}

    def differing_settings(self) -> dict[str, dict[str, list[str]]]:
        """Settings not shared by all trained rows: key -> value as text -> labels of its rows."""
        table: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        every = [(row, row.runs[0].settings) for row in self.trained_rows if not row.foreign]
        for key in _differing(settings for _, settings in every):
            if key.partition(".")[0] in _NAMED_ELSEWHERE:
                continue
            values = defaultdict(set)
            for row, settings in every:
                values[row.detector].add(show(settings.get(key)))
            for row, settings in every:
                alike = len(values[row.detector]) == 1
                label = row.detector if alike else f"{row.detector} {row.loss}"
                names = table[key][show(settings.get(key))]
                if label not in names:
                    names.append(label)
        return {key: dict(values) for key, values in sorted(table.items())}

    @cached_property
    def incomparable(self) -> list[str]:
        """Settings in which the trained rows differ, so that no row is marked or tested.

        Not those that stand in the label of every such row (`Row.variant`), which may be what is
        compared. Rows without a result and rows of others' maps have no part in it.
        """
        rows = [row for row in self.trained_rows if row.done and not row.foreign]
        return [
            key
            for key in _differing(row.runs[0].settings for row in rows)
            if key.partition(".")[0] not in _NAMED_ELSEWHERE | _WITHOUT_EFFECT
            and not all(key in row.variant for row in rows)
        ]

    @property
    def no_comparison(self) -> str:
        """For titles: why nothing is marked; "" for a table that compares its rows."""
        names = self.incomparable
        return f"NO COMPARISON: rows differ in {', '.join(names)}" if names else ""


@dataclass
class Collection:
    """All that the records of one output folder say."""

    tables: list[Table]
    warnings: list[str]


def collect(output: Path, at: Point | None = None, without_failed: bool = False) -> Collection:
    """Read `OUTPUT/runs/**/record.json` and `OUTPUT/profiles/*.json`.

    Files that are no records or profiles become warnings.

    Args:
        output: folder of a benchmark.
        at: where to read the curves, instead of the numbers at the protocol's threshold.
        without_failed: leave out cells that have no result.
    """
    runs, profiles, warnings = [], [], []
    for path in sorted((output / "runs").glob("**/record.json")):
        try:
            own, *others = read_record(path).views()
            if without_failed and own.status != "done":
                continue
            for view in (own, *others):
                moved = at.move(view) if at else view
                runs.append(Run(path.parent, moved, view is own, collapses(view)))
        except RecordError as error:
            warnings.append(str(error))
    for path in sorted((output / "profiles").glob("*.json")):
        try:
            profiles.append(read_profile(path))
        except RecordError as error:
            warnings.append(str(error))
    runs, repeated = _drop_repeats(runs)
    tables = _build_tables(runs)
    for table in tables:
        table.at = at
        table.study = study(table)
    _attach_profiles(tables, profiles)
    _compare_rules(tables)
    return Collection(tables, warnings + repeated)


def show(value: Any) -> str:
    """A setting's value as a person would type it; an em dash for one that is not set."""
    if value is None:
        return "—"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _summary(values: list[float]) -> Summary:
    """Of one number or more."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), std, len(values))


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _canonical(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)


def _differing(settings: Iterable[dict[str, Any]]) -> list[str]:
    """Keys whose values are not all equal."""
    every = list(settings)
    keys = sorted({key for one in every for key in one})
    return [key for key in keys if len({_canonical({key: one.get(key)}) for one in every}) > 1]


def _drop_repeats(runs: list[Run]) -> tuple[list[Run], list[str]]:
    """One run per cell and settings, so that a copied folder does not count as another seed.

    A finished one is kept before an unfinished one, then the one that finished last.
    """
    kept: dict[tuple, Run] = {}
    warnings = []
    for run in sorted(runs, key=lambda r: (r.record.status == "done", r.record.finished)):
        cell, data = run.record.cell, run.record.data
        key = (cell.dataset, cell.detector, cell.loss, cell.seed, cell.recipe)
        # Without data (a run that failed early) the settings alone must tell runs apart.
        test_set = (data.split, data.test_hash) if data else None
        if run.record.status == "done":
            key += (test_set,)
        key += (run.record.status == "done", run.rules, _canonical(run.settings))
        if key in kept:
            warnings.append(
                f"{kept[key].folder / 'record.json'}: left out ({', '.join(sorted(run.rules))}), "
                f"{run.folder / 'record.json'} is a later record of the same cell and settings"
            )
        kept[key] = run
    return list(kept.values()), warnings


def _build_tables(runs: list[Run]) -> list[Table]:
    tables: dict[tuple, Table] = {}
    members: dict[tuple, list[Run]] = defaultdict(list)
    for run in runs:
        record = run.record
        if record.status != "done":
            continue
        split = record.data.split if record.data else None
        test_hash = record.data.test_hash if record.data else None
        for name, scores in record.scores.items():
            key = (
                short_dataset(record.cell.dataset), split, test_hash, name, scores.version,
                record.cell.recipe, record.selection, bool(record.data and record.data.leaked),
            )  # fmt: skip
            tables.setdefault(key, Table(*key))
            members[key].append(run)
    for run in runs:
        if run.record.status != "done":
            for key in _homes(run, tables):
                tables.setdefault(key, Table(*key))
                members[key].append(run)
    for key, table in tables.items():
        table.rows = _build_rows(members[key], table.protocol)
    ordered = sorted(tables.values(), key=_order)
    _name_tables(ordered)
    return ordered


def _order(table: Table) -> tuple:
    """By data set and split; our own protocol before the published ones, best-test last."""
    key = (table.dataset, table.split, table.test_hash, table.protocol != "native", table.protocol)
    rule = (table.selection == "best-test", table.selection)
    return tuple(map(str, (*key, table.version, table.recipe, *rule, table.leaked)))


def _homes(run: Run, tables: dict[tuple, Table]) -> list[tuple]:
    """The tables in which a cell without a result is shown: those it would have entered.

    Such a record may lack its split and always lacks its scores, so it goes to every table of its
    data set, recipe and selection rules, fewer where its split tells them apart.
    """
    record = run.record
    dataset, recipe = short_dataset(record.cell.dataset), record.cell.recipe
    homes = [
        key for key, table in tables.items()
        if (table.dataset, table.recipe) == (dataset, recipe) and table.selection in run.rules
    ]  # fmt: skip
    split = record.data.split if record.data else None
    homes = [key for key in homes if tables[key].split == split] or homes
    return homes or [(dataset, split, None, None, None, recipe, record.selection, False)]


def _build_rows(runs: list[Run], protocol: str | None) -> list[Row]:
    rows: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    for run in sorted(runs, key=lambda r: r.record.cell.seed):
        cell = run.record.cell
        variants = rows[cell.detector, cell.loss]
        row = variants.setdefault(_canonical(run.settings), Row(cell.detector, cell.loss, protocol))
        (row.done if run.record.status == "done" else row.troubled).append(run)
    for variants in rows.values():
        keys = _differing(row.runs[0].settings for row in variants.values())
        for row in variants.values():
            row.variant = {key: row.runs[0].settings.get(key) for key in keys}
            finished = {run.record.cell.seed for run in row.done}
            # A cell that failed and later succeeded under the same settings has its result.
            # One that failed twice, with other rules asked for, is still one cell.
            troubled = {run.record.cell.seed: run for run in row.troubled}
            row.troubled = [run for seed, run in troubled.items() if seed not in finished]
    every = [row for variants in rows.values() for row in variants.values()]
    return sorted(every, key=lambda row: row.name)


def _attach_profiles(tables: list[Table], profiles: list[Profile]) -> None:
    """Give each row the latest profile of its detector, if all its runs ran on that device."""
    found = {
        (profile.detector, profile.device): profile
        for profile in sorted(profiles, key=lambda profile: profile.date)
        if not profile.fused
    }
    for row in (row for table in tables for row in table.rows):
        devices = {run.record.environment.device for run in row.done}
        if len(devices) == 1:
            row.profile = found.get((row.detector, *devices))


def _compare_rules(tables: list[Table]) -> None:
    """Say of epochs chosen on the test set what the same trainings reach by the other rules."""
    for table in (table for table in tables if table.selection == "best-test"):
        for other in tables:
            if other.selection == table.selection or other.protocol != table.protocol:
                continue
            same = {run.folder: run for row in other.rows for run in row.done}
            for row in table.rows:
                pairs = [(run, same[run.folder]) for run in row.done if run.folder in same]
                numbers = [[run.record.scores[table.protocol].metrics for run in p] for p in pairs]
                gains = [a["iou"] - b["iou"] for a, b in numbers if "iou" in a and "iou" in b]
                if gains:
                    row.iou_over[other.selection] = _summary(gains)


def _name_tables(tables: list[Table]) -> None:
    """Give each table a short unique name: its data set, and what tells it from the others."""
    for table in tables:
        others = [t for t in tables if t.dataset == table.dataset]
        parts = [re.sub(r"[^\w.+-]+", "-", table.dataset)]  # it becomes part of file names
        for attribute in ("protocol", "recipe", "selection"):
            if len({getattr(t, attribute) for t in others}) > 1:
                parts.append(str(getattr(table, attribute) or "none"))
        if table.leaked:
            parts.append("leaked")
        name = "-".join(parts)
        taken = {t.slug for t in tables}
        number = 2
        table.slug = name
        while table.slug in taken:
            table.slug, number = f"{name}-{number}", number + 1
