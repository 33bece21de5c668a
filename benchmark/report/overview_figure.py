"""The figure of the leaderboard: IoU, Pd and Fa of every method and seed."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures.style import PAGE, at_least, new_figure, tidy
from benchmark.measures import MEASURES, Measure
from benchmark.report.layout import entitle, figure_title, limiting
from benchmark.report.line_styles import Line, Style, method_label
from benchmark.report.model import Row, Table

_PANELS = tuple(MEASURES[key] for key in ("iou", "pd", "fa"))
_FAR = 20  # largest Fa over the 75th percentile, from which on its axis is logarithmic


def overview_figure(table: Table, style: Style) -> Figure | None:
    """IoU, Pd and Fa of every method: mean, std, and each seed as a small dot.

    Collapsed rows do not widen the axes: what is out of sight is written at the edge.
    """
    rows = [row for row in table.rows if row.done][::-1]
    if not rows:
        return None
    figure = new_figure(PAGE, 0.75 + 0.2 * len(rows))
    every = figure.subplots(1, len(_PANELS), sharey=True)
    wide = limiting(rows)
    for axes, measure in zip(every, _PANELS, strict=True):
        for height, row in enumerate(rows):
            if row in wide:
                _draw_scores(axes, row, measure, height, style.line(row))
        axes.set_xlabel(measure.label)
        tidy(axes)
        axes.set_xlim(at_least(2, *axes.get_xlim()))
        found = [value * measure.scale for row in wide for value in row.values(measure.key)]
        if measure.key == "fa" and found and max(found) > _FAR * max(1, np.percentile(found, 75)):
            axes.set_xscale("symlog", linthresh=1)  # one method must not push the others together
            axes.set_xlim(-0.3, 3 * max(found))
        for height, row in enumerate(rows):
            if row not in wide:  # within the limits now set
                _draw_scores(axes, row, measure, height, style.line(row))
                _write_at_edge(axes, row, measure, height)
    every[0].set_yticks(range(len(rows)), [method_label(row) for row in rows])
    every[0].set_ylim(-0.6, len(rows) - 0.4)
    entitle(figure, table, figure_title(table))
    return figure


def _draw_scores(axes: Axes, row: Row, measure: Measure, height: int, look: Line) -> None:
    values = np.array(row.values(measure.key)) * measure.scale
    axes.plot(values, np.full(values.size, height), "o", color=look.color, ms=3, alpha=0.4, mew=0)
    summary = row.summary(measure.key)
    if summary:
        spread = summary.std * measure.scale if summary.std is not None else None
        axes.errorbar(
            summary.mean * measure.scale, height, xerr=spread, color=look.color,
            marker=look.marker, ms=5, mec="white", mew=0.6, elinewidth=1, capsize=2,
        )  # fmt: skip


def _write_at_edge(axes: Axes, row: Row, measure: Measure, height: int) -> None:
    """The row's mean in digits, with an arrow, where it lies beyond the axis."""
    summary = row.summary(measure.key)
    low, high = axes.get_xlim()
    if summary is None or low <= summary.mean * measure.scale <= high:
        return
    left, number = summary.mean * measure.scale < low, measure.digits(summary.mean)
    axes.annotate(
        f"← {number}" if left else f"{number} →", (0 if left else 1, height),
        (2 if left else -2, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        fontsize=6.5, color="0.35", va="center", ha="left" if left else "right",
        bbox={"fc": "white", "ec": "none", "pad": 0.5},
    )  # fmt: skip
