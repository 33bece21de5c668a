"""Panels, titles and legends that the figures of a table share."""

from __future__ import annotations

import math
from dataclasses import replace

from matplotlib.figure import Figure

from benchmark.report.aggregate import Row, Table
from benchmark.report.style import Line, Style, loss_label

_TOGETHER = 6  # methods that can be told apart in one panel


def figure_title(table: Table) -> str:
    counts = sorted({len(row.done) for row in table.trained_rows if row.done}) or [1]
    seeds = str(counts[-1]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    word = "seed" if counts == [1] else "seeds"
    return f"{table.heading}, protocol {table.protocol} v{table.version}, {seeds} {word}"


def panels_of(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Panels: all methods together while they can be told apart, else a panel a loss."""
    losses = sorted({loss_label(row) for row in rows})
    if len(rows) <= _TOGETHER or len(losses) == 1:
        return [("", rows)]
    return [(loss, [row for row in rows if loss_label(row) == loss]) for loss in losses]


def look_of(row: Row, style: Style, groups: list) -> Line:
    """The method's look; solid in a panel of one loss, where dashes would tell nothing."""
    look = style.line(row)
    return look if len(groups) == 1 else replace(look, dash="-")


def grid_of(count: int) -> tuple[int, int]:
    """Lines and columns of panels."""
    columns = count if count <= 3 else 2 if count == 4 else 3
    return math.ceil(count / columns), columns


def finish(figure: Figure, groups: list, title: str, style: Style, markers: bool) -> None:
    rows = [row for _, members in groups for row in members]
    if len(groups) == 1:
        figure.axes[0].set_title(title)
        style.legend(figure, rows, markers)
    else:
        figure.suptitle(title, fontsize=8)
        style.detector_legend(figure, rows, markers)
