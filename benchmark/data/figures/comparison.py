"""Two sets side by side: the overlap of each quantity, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.data.figures.named_set import NamedSet
from benchmark.data.figures.quantities import (
    COMPARED,
    POWER,
    Quantity,
    ceiling,
    overlap_of,
    quantiles,
)
from benchmark.records.csv_writer import as_csv

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Line:
    """One quantity of both sets.

    Attributes:
        quantity: which one.
        overlap: overlap coefficient of the histograms; NaN where a set has no value.
        ceiling: the overlap of two sets that are both drawn like the second, see `ceiling`.
        a: quantiles of the first set at `QUANTILES`; empty for the spectrum, which is no number.
        b: of the second.
    """

    quantity: Quantity
    overlap: float
    ceiling: float
    a: list[float]
    b: list[float]


def compare(a: NamedSet, b: NamedSet) -> dict[str, Line]:
    """The lines of a comparison by the key of their quantity."""
    lines = {}
    for quantity in COMPARED:
        values = [quantity.values(subject.statistics) for subject in (a, b)]
        at = () if quantity is POWER else QUANTILES
        lines[quantity.key] = Line(
            quantity,
            overlap_of(quantity, *values),
            ceiling(quantity, a.statistics, b.statistics),
            *(quantiles(v[:, 0], at) for v in values),
        )
    return lines


def to_csv(a: NamedSet, b: NamedSet, lines: dict[str, Line]) -> str:
    """The lines as a table; an empty cell is a number that is not known."""
    heads = [f"{s.label} {100 * at:g} %" for s in (a, b) for at in QUANTILES]
    rows = []
    for key, line in lines.items():
        numbers = [line.overlap, line.ceiling, *_filled(line.a), *_filled(line.b)]
        cells = [None if x is None or x != x else f"{x:.4g}" for x in numbers]
        rows.append([key, line.quantity.unit, *cells])
    return as_csv(rows, ["quantity", "unit", "overlap", "ceiling", *heads])


def _filled(values: list[float]) -> list[float | None]:
    return [*values] or [None] * len(QUANTILES)
