"""Panels, titles and legends that the figures of a table share."""

from __future__ import annotations

import math
import textwrap
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.line_styles import Line, Style, loss_label
from benchmark.report.model import Row, Table

_TOGETHER = 6  # methods that can be told apart in one panel
_LETTER, _LINE = 0.052, 0.14  # inches that a letter and a line of a title take
_NAMED = 3  # collapsed rows that a title names


def figure_title(table: Table) -> str:
    counts = sorted({len(row.done) for row in table.trained_rows if row.done}) or [1]
    seeds = str(counts[-1]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    word = "seed" if counts == [1] else "seeds"
    return f"{table.heading}, protocol {table.protocol} v{table.version}, {seeds} {word}"


def remarks(table: Table) -> list[str]:
    """Lines that no figure's title may lack: that nothing is compared, and what learned nothing."""
    collapsed = [row for row in table.rows if row.collapsed]
    names = []
    for row in collapsed[:_NAMED]:
        kinds = {f"{c.what}; {c.since}" if c.since else c.what for c in row.collapsed.values()}
        seeds = ", ".join(map(str, row.collapsed))
        what = kinds.pop() if len(kinds) == 1 else "see the table"
        names.append(f"{row.detector}, {loss_label(row)}, seed {seeds} ({what})")
    names += [f"{len(collapsed) - _NAMED} more"] if len(collapsed) > _NAMED else []
    lines = [f"Collapsed: {' and '.join(names)}"] if names else []
    return [table.no_comparison, *lines] if table.incomparable else lines


def limiting(rows: list[Row]) -> list[Row]:
    """The rows that decide how far an axis reaches: all but collapsed ones, while there are any."""
    return [row for row in rows if not row.collapsed] or rows


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


def entitle(figure: Figure, table: Table, title: str, axes: Axes | None = None) -> None:
    """Write a title and below it the table's remarks; the figure grows for all lines but one.

    Args:
        axes: the panel above which they stand; None: above the figure.
    """
    letters = int(figure.get_figwidth() * (0.85 if axes else 1) / _LETTER)
    lines = [line for text in (title, *remarks(table)) for line in textwrap.wrap(text, letters)]
    figure.set_figheight(figure.get_figheight() + _LINE * (len(lines) - 1))
    text = "\n".join(lines)
    if axes is None:
        figure.suptitle(text, fontsize=8)
    else:
        axes.set_title(text)


def finish(
    figure: Figure, groups: list, table: Table, title: str, style: Style, markers: bool
) -> None:
    rows = [row for _, members in groups for row in members]
    entitle(figure, table, title, figure.axes[0] if len(groups) == 1 else None)
    if len(groups) == 1:
        style.legend(figure, rows, markers)
    else:
        style.detector_legend(figure, rows, markers)
