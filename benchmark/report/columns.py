"""The columns of a table: their choice, printed digits, ranking; the same in every format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from benchmark.figures.wording import DASH
from benchmark.measures import COSTS, CURVES, METRICS, Measure
from benchmark.report.model import Row, Summary, Table

Mark = Literal["best", "second"]

COLUMNS = tuple(measure for measure in (*METRICS, *COSTS) if measure.shown != "never")
CURVE_COLUMNS = CURVES


def columns_of(table: Table) -> tuple[Measure, ...]:
    """The leaderboard's columns; the optional ones only where some row has a number."""
    return tuple(
        column for column in COLUMNS
        if column.shown == "always" or any(row.summary(column.key) for row in table.rows)
    )  # fmt: skip


def has_curves(table: Table) -> bool:
    """Whether `CURVE_COLUMNS` have anything to say."""
    return any(row.summary(CURVE_COLUMNS[0].key) for row in table.rows)


def printed(column: Measure, summary: Summary | None) -> tuple[str, str | None]:
    """Mean and std as printed; an em dash where there is no number, None where there is no std."""
    if summary is None:
        return DASH, None
    std = column.digits(summary.std) if column.spread and summary.std is not None else None
    return column.digits(summary.mean), std


def count(row: Row) -> str:
    """The n column: finished seeds, how many learned nothing, and the outcomes of the others."""
    parts = (str(len(row.done) or ""), row.trouble_text(), row.collapsed_text())
    return ", ".join(part for part in parts if part)


def marks(table: Table, column: Measure) -> dict[int, Mark]:
    """Row number -> best or second, by the printed digits, so that equal prints rank equal.

    Nothing is marked where all rows print the same, or in a table that compares nothing; a row
    with a collapsed seed never is.
    """
    if not column.better or table.incomparable:
        return {}
    values = {
        number: float(column.digits(summary.mean)) * column.better
        for number, row in enumerate(table.rows)
        if row.ranked and (summary := row.summary(column.key)) is not None
    }
    ranked = sorted(set(values.values()), reverse=True)
    if len(ranked) < 2:
        return {}
    names: dict[float, Mark] = {ranked[0]: "best", ranked[1]: "second"}
    return {number: names[value] for number, value in values.items() if value in names}


def any_marks(table: Table, columns: Iterable[Measure]) -> bool:
    """Whether a table of these columns needs the sentence that explains its marks."""
    return any(marks(table, column) for column in columns)


def alike(table: Table, column: Measure) -> set[int]:
    """Row numbers that the test images cannot tell from the best row."""
    return table.study.alike.get(column.key, set())


def label_titles(table: Table) -> list[str]:
    """Headers of the columns that name a row; settings only where some method has two."""
    return ["Detector", "Loss", *(["Settings"] if _has_variants(table) else [])]


def labels(table: Table, row: Row) -> list[str]:
    """Cells of a row below `label_titles`."""
    variant = [row.variant_text or DASH] if _has_variants(table) else []
    return [row.detector, row.loss, *variant]


def _has_variants(table: Table) -> bool:
    return any(row.variant for row in table.rows)
