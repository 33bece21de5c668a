"""Figures over all thresholds: Pd against Fa, and ROC and PR of the pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from benchmark.figures.style import COLUMN, PAGE, new_figure, tidy
from benchmark.measures import MEASURES
from benchmark.records.record import Curve
from benchmark.report.layout import (
    entitle,
    figure_title,
    finish,
    grid_of,
    limiting,
    look_of,
    panels_of,
)
from benchmark.report.line_styles import Line, Style
from benchmark.report.model import Row, Table
from benchmark.report.operating import attainable, pd_at, precision_recall, roc

_PD, _FA, _PRECISION = (MEASURES[key] for key in ("pd", "fa", "precision"))
_FA_RIGHT = 1e4  # 1 % of the pixels: nobody works to the right of it
_BAND = 0.13  # opacity of the seeds' band
_ZERO_GAP = 0.75  # decades between the place of Fa = 0 and the first decade of the axis


def pd_fa_figure(table: Table, style: Style) -> Figure | None:
    """Detection against false alarms, one curve a method; None if no record has a curve.

    A method's curve at Fa is the highest Pd among its thresholds with a false-alarm rate of at
    most Fa (an empty prediction, Fa = 0 and Pd = 0, is always one). Line: mean over seeds; band:
    smallest to largest seed; marker: the operating point of the table. Collapsed rows do not widen
    the axes.
    """
    rows = [row for row in table.rows if _curves(row)]
    if not rows:
        return None
    steps = {row.name: [attainable(curve) for curve in _curves(row)] for row in rows}
    wide = limiting(rows)
    points = [point.mean for row in wide if (point := row.summary("fa"))]
    left, right = _fa_limits([step for row in wide for step in steps[row.name]], points)
    groups = panels_of(rows)
    lines, columns = grid_of(len(groups))
    size = (
        (COLUMN, COLUMN * 0.78 + 0.14 * math.ceil(len(rows) / 2))
        if len(groups) == 1
        else (PAGE, 0.6 + lines * PAGE / columns * 0.66)
    )
    figure = new_figure(*size)
    every = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, (name, members) in zip(every.flat, groups, strict=False):
        for row in members:
            look = look_of(row, style, groups)
            _draw_pd_fa(axes, row, steps[row.name], look, left, right)
        _fa_axis(axes, left, right)
        axes.set_title(name)
    for axes in every.flat[len(groups) :]:
        axes.set_visible(False)
    points = [point.mean for row in wide if (point := row.summary("pd"))]
    bottom = max(0.0, math.floor((min(points, default=0.0) - 0.2) * 10) / 10) * 100
    every[0, 0].set_ylim(bottom, 100 + (100 - bottom) * 0.02)
    for axes in every.flat[max(len(groups) - columns, 0) : len(groups)]:
        axes.set_xlabel(f"{_FA.symbol} (false-alarm pixels per $10^6$ pixels)")
    for axes in every[:, 0]:
        axes.set_ylabel(_PD.label)
    finish(figure, groups, table, figure_title(table), style, markers=True)
    return figure


def _draw_pd_fa(axes: Axes, row: Row, steps: list, look: Line, left: float, right: float) -> None:
    grid = np.geomspace(left, right, 801)
    where = np.concatenate([[_zero(left)], grid])
    rates = np.concatenate([[0.0], grid / _FA.scale])
    seeds = np.array([pd_at(step, rates) for step in steps]) * _PD.scale
    axes.plot(
        where, seeds.mean(axis=0), color=look.color, ls=look.dash, lw=1.1, drawstyle="steps-post"
    )
    if len(seeds) > 1:
        axes.fill_between(
            where, seeds.min(axis=0), seeds.max(axis=0), step="post", color=look.color,
            alpha=_BAND, lw=0,
        )  # fmt: skip
    fa, pd = row.summary("fa"), row.summary("pd")
    if fa and pd:
        x = min(fa.mean * _FA.scale, right) or _zero(left)
        axes.plot(
            x, pd.mean * _PD.scale, look.marker, color=look.color, ms=4.5, mec="white", mew=0.6,
            zorder=5, clip_on=not row.ranked,  # a collapsed row's may lie outside
        )  # fmt: skip


def _curves(row: Row) -> list[Curve]:
    scores = (run.record.scores[row.protocol] for run in row.done)
    return [score.curve for score in scores if score.curve is not None]


def _fa_limits(
    steps: list[tuple[np.ndarray, np.ndarray]], points: list[float]
) -> tuple[float, float]:
    """First and last decade of the Fa axis, per million.

    No curve steps and no operating point lies left of the first, but at 0; beyond the last all
    curves are flat.
    """
    marked = [point * _FA.scale for point in points if point > 0]
    low = min(marked, default=math.inf)
    high = min(max(marked, default=0.0), _FA_RIGHT)
    for fa, pd in steps:
        fa = fa * _FA.scale
        low = min(low, fa[fa > 0].min(initial=math.inf))
        reachable = fa <= _FA_RIGHT
        high = max(high, fa[reachable][np.argmax(pd[reachable])])
    if not math.isfinite(low):
        return 0.1, 10.0
    low = 10.0 ** math.floor(math.log10(low) + 1e-9)
    high = 10.0 ** math.ceil(math.log10(max(high, low)) - 1e-9)
    return low, max(high, low * 10)


def _zero(left: float) -> float:
    """Where Fa = 0 is drawn on a log axis that starts at `left`."""
    return left / 10**_ZERO_GAP


def _fa_axis(axes: Axes, left: float, right: float) -> None:
    """A log axis with a place for Fa = 0 at its left, cut off by a break mark."""
    zero = _zero(left)
    axes.set_xscale("log")
    axes.set_xlim(zero, right)
    first, last = round(math.log10(left)), round(math.log10(right))
    decades = [10.0**power for power in range(first, last + 1)]
    names = [
        f"{d:g}" if 0.01 <= d <= 1000 else rf"$10^{{{round(math.log10(d))}}}$" for d in decades
    ]
    axes.xaxis.set_major_locator(FixedLocator([zero, *decades]))
    axes.xaxis.set_major_formatter(FixedFormatter(["0", *names]))
    minor = [d * k for d in decades[:-1] for k in range(2, 10)]
    axes.xaxis.set_minor_locator(FixedLocator(minor))
    axes.xaxis.set_minor_formatter(NullFormatter())
    tidy(axes)
    # The break sits half-way between 0 and the first decade: there the axis is not to scale.
    middle = math.sqrt(zero * left)
    mark: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 10}
    axes.plot([middle / 1.07, middle * 1.07], [0, 0], color="white", lw=2.5, **mark)
    for shift in (1 / 1.1, 1.1):
        axes.plot(
            [middle * shift / 1.08, middle * shift * 1.08], [-0.02, 0.02], color="0.2", lw=0.6,
            **mark,
        )  # fmt: skip


def roc_pr_figure(table: Table, style: Style) -> Figure | None:
    """ROC (false-positive rate on a log axis) and PR of the pixels; None if no record has a curve.

    Line: mean over seeds of the rate at the same abscissa.
    """
    rows = [row for row in table.rows if any(curve.positive for curve in _curves(row))]
    if not rows:
        return None
    groups = panels_of(rows)
    figure = new_figure(PAGE, 0.75 + 2.3 * len(groups) + 0.07 * len(rows))
    every = figure.subplots(len(groups), 2, squeeze=False)
    for (left, right), (name, members) in zip(every, groups, strict=True):
        for row in members:
            look = look_of(row, style, groups)
            _draw_roc_pr(left, right, _curves(row), look)
        left.set_xscale("log")
        left.set(xlim=(1e-6, 1), ylim=(0, 102), ylabel="True-positive rate (%)")
        right.set(xlim=(0, 102), ylim=(0, 102), ylabel=_PRECISION.label)
        for axes in (left, right):
            tidy(axes)
            axes.set_title(name)
    every[-1, 0].set_xlabel("False-positive rate of the pixels")
    every[-1, 1].set_xlabel("Recall of the pixels (%)")
    entitle(figure, table, figure_title(table))
    if len(groups) == 1:
        style.legend(figure, rows, markers=False, columns=4)
    else:
        style.detector_legend(figure, rows, markers=False)
    return figure


def _draw_roc_pr(left: Axes, right: Axes, curves: list[Curve], look: Line) -> None:
    rates = np.geomspace(1e-7, 1, 400)
    hit = np.mean([np.interp(rates, *roc(curve)) for curve in curves], axis=0)
    left.plot(rates, hit * 100, color=look.color, ls=look.dash, lw=1.1)
    points = [precision_recall(curve) for curve in curves]
    if not all(len(recall) for recall, _ in points):  # it never predicts anything
        return
    recalls = np.linspace(0, min(recall.max(initial=0) for recall, _ in points), 400)
    precision = np.mean([np.interp(recalls, *point) for point in points], axis=0)
    right.plot(recalls * 100, precision * 100, color=look.color, ls=look.dash, lw=1.1)
