"""The statistics of a report as a page and as a file: intervals, all pairs, ranks."""

from __future__ import annotations

from benchmark.figures.wording import DASH
from benchmark.measures import Measure
from benchmark.records.csv_writer import as_csv
from benchmark.report.captions import title
from benchmark.report.columns import label_titles, labels
from benchmark.report.model import Collection, Comparison, Row, Table
from benchmark.report.significance import RANKED, TESTED, rankings
from benchmark.report.tables import markdown_cell

_MANY = 45  # pairs of ten methods; more are left to the file
_CSV_COLUMNS = (
    "dataset", "protocol", "recipe", "selection", "metric", "first", "second", "difference", "p",
    "p_holm", "seeds_first_better", "seeds_paired",
)  # fmt: skip


def statistics_markdown(collection: Collection) -> str:
    """The page; "" where no record has per-image counts."""
    tables = [table for table in collection.tables if table.study.intervals]
    if not tables:
        return ""
    parts = [
        "# Statistics\n",
        "Intervals: 95 %, by resampling the test images (each resample takes all seeds' scores of "
        "an image together). Pairs: two-sided paired tests on the same images, p adjusted by Holm "
        "over all pairs of a table and metric. Both tell what another draw of test images would "
        "change; what another training would change is the spread between seeds in the "
        "leaderboard. Neither replaces the other. Verdict: differ, if the adjusted p is below 5 % "
        "and no seed says otherwise; else ≈.\n",
    ]
    for table in tables:
        parts += [f"## {title(table)}\n", _intervals(table) + "\n"]
        for column in TESTED.values():
            pairs = table.study.comparisons.get(column.key, [])
            if 0 < len(pairs) <= _MANY:
                parts += [f"### All pairs, {column.plain}\n", _pairs(column, pairs) + "\n"]
            elif pairs:
                parts.append(f"{column.plain}: {len(pairs)} pairs, see `pairs.csv`.\n")
    return "\n".join(parts + _ranks(collection.tables))


def pairs_csv(collection: Collection) -> str:
    """One line a pair of methods and metric; "" where nothing was compared."""
    rows = [
        (
            table.heading, table.protocol, table.recipe, table.selection, key,
            _method(pair.first), _method(pair.second),
            *map(repr, (pair.difference, pair.p, pair.adjusted)),  # one not defined reads nan
            *(pair.seeds_won or (None, None)),
        )
        for table in collection.tables
        for key, pairs in table.study.comparisons.items()
        for pair in pairs
    ]  # fmt: skip
    return as_csv(rows, _CSV_COLUMNS) if rows else ""


def _intervals(table: Table) -> str:
    body = []
    for number, row in enumerate(table.rows):
        cells = [*labels(table, row), str(len(row.done))]
        for column in TESTED.values():
            summary = row.summary(column.key)
            interval = table.study.intervals.get(column.key, {}).get(number)
            if summary is None or interval is None:
                cells.append(DASH)
            else:
                low, high = column.digits(interval.low), column.digits(interval.high)
                cells.append(f"{column.digits(summary.mean)} [{low}, {high}]")
        body.append(cells)
    names = label_titles(table)
    heads = [*names, "n", *(column.plain for column in TESTED.values())]
    return _table(heads, body, len(names))


def _pairs(column: Measure, pairs: list[Comparison]) -> str:
    body = []
    for pair in sorted(pairs, key=lambda pair: (pair.adjusted, -abs(pair.difference))):
        won = f"{pair.seeds_won[0]} of {pair.seeds_won[1]}" if pair.seeds_won else DASH
        verdict = "differ" if pair.told_apart else "≈"
        sign = "+" if pair.difference > 0 else ""
        difference = sign + column.digits(pair.difference)
        names = [_method(pair.first), _method(pair.second)]
        body.append([*names, difference, f"{pair.p:.4f}", f"{pair.adjusted:.4f}", verdict, won])
    headers = [
        "First",
        "Second",
        "First - second",
        "p",
        "p (Holm)",
        "Verdict",
        "Seeds, first better",
    ]
    return _table(headers, body, 2)


def _ranks(tables: list[Table]) -> list[str]:
    parts = []
    *metrics, last = (measure.name for measure in RANKED.values())
    for ranking in rankings(tables):
        body = [
            [name, f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"]
            for name, found in sorted(ranking.ranks.items(), key=lambda item: item[1].mean)
        ]
        sets = ", ".join(ranking.datasets)
        parts += [
            f"## Mean ranks · protocol {ranking.protocol} · recipe {ranking.recipe} · "
            f"{ranking.selection}\n",
            _table(["Method", "Mean rank"], body, 1) + "\n",
            f"Over {', '.join(metrics)} and {last} on {sets}; 1 is best; 95 % intervals by "
            "resampling the test images. Only methods with a result in all of these tables.\n",
        ]
    return parts


def _table(headers: list[str], body: list[list[str]], left: int) -> str:
    from tabulate import tabulate

    cells = [[markdown_cell(cell) for cell in line] for line in body]
    align = ["left"] * left + ["right"] * (len(headers) - left)
    return tabulate(cells, headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def _method(row: Row) -> str:
    return ", ".join(part for part in row.name if part)
