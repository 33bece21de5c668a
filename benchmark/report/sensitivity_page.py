"""Sensitivity to the size, contrast and place of targets as a page and as a CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.figures.wording import DASH
from benchmark.measures import MEASURES
from benchmark.records.csv_writer import as_csv
from benchmark.report.captions import title
from benchmark.report.columns import label_titles, labels
from benchmark.report.model import Collection, Summary, Table
from benchmark.report.sensitivity import (
    ALL,
    CONTRASTS,
    DISTANCES,
    FALSE_SIZES,
    MISSES,
    SIZES,
    Sensitivity,
    sensitivities,
)


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
    (f"{MEASURES['pd'].name} (%)", _Quantity("pd")),
    ("Mean IoU of hit targets (%)", _Quantity("hit_iou")),
    ("Area error of hit targets (%)", _Quantity("hit_area_error")),
)


def sensitivity_page(collection: Collection) -> str:
    """A section for each table that has one; "" where none has."""
    sections = [(title(table), sensitivity_markdown(table)) for table in collection.tables]
    parts = [f"## {name}\n\n{section}" for name, section in sections if section]
    return "\n".join(["# Scale and location sensitivity\n", *parts]) if parts else ""


def sensitivity_markdown(table: Table) -> str:
    """A section of the page; "" where no record has the outcomes of the targets."""
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
    """The meaning of the numbers."""
    several = any(len(method.runs) > 1 for method in methods)
    targets = methods[0].scores[0].targets
    assert targets is not None
    unknown = sum(value is None for value in targets.scr)
    reach = f"{methods[0].scores[0].reach:g} px"
    return " ".join([
        "n: seeds with recorded outcomes" + ("; mean ± sample std over them." if several else "."),
        "Size: pixels of the target; each upper limit belongs to its own bin.",
        "SCR: |mean of the target - mean of the background| / standard deviation of the "
        "background, up to 20 px around the bounding box, without targets grown by 1 px"
        + (f"; not defined for {unknown} target{'s' if unknown > 1 else ''}." if unknown else "."),
        "IoU: of a hit target and the component that hit it. Area error: median of predicted "
        "area / area - 1.",
        f"Misses, in percent of all targets: unseen, no predicted component within {reach}; "
        "merged, the one there belongs to or covers another target; shifted, it has one of its own "
        f"with the centroid {reach} off or more.",
        "False components: all without a target, divided by all images; distance from their "
        "nearest pixel to the nearest target pixel; no target: in images without one.",
        f"{DASH}: no such target or image, or a seed without a hit among such targets.",
    ])  # fmt: skip


def _escaped(text: str) -> str:
    # A bar would end the cell; angle brackets would be read as HTML.
    return text.replace("|", "\\|").replace("<", "&lt;")


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
    return as_csv(lines, _CSV_COLUMNS) if lines else ""


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
