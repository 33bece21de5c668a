"""Pd-Fa curves, training curves and the overview of the seeds' spread."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from benchmark.record import Curve
from benchmark.report.aggregate import Row, Table
from benchmark.report.style import COLUMN, PAGE, Line, Style, loss_label, new_figure, tidy

# Fa is drawn in false pixels per million, as in the tables.
_PER_MILLION = 1e6
_FA_RIGHT = 1e4  # 1 % of the pixels: nobody works to the right of it
_BAND = 0.13  # opacity of the seeds' band
_TOGETHER = 6  # methods that can be told apart in one panel
_ZERO_GAP = 0.75  # decades between the place of Fa = 0 and the first decade of the axis


def pd_fa_figure(table: Table, style: Style) -> Figure | None:
    """Detection against false alarms, one curve a method; None if no record has a curve.

    A method's curve at Fa is the highest Pd among its thresholds with a false-alarm rate of at
    most Fa (an empty prediction, Fa = 0 and Pd = 0, is always one). Line: mean over seeds; band:
    smallest to largest seed; marker: the operating point of the table.
    """
    rows = [row for row in table.rows if _curves(row)]
    if not rows:
        return None
    steps = {row.name: [attainable(curve) for curve in _curves(row)] for row in rows}
    points = [point.mean for row in rows if (point := row.summary("fa"))]
    left, right = _fa_limits([step for method in steps.values() for step in method], points)
    groups = _groups(rows)
    lines, columns = _grid(len(groups))
    size = (
        (COLUMN, COLUMN * 0.78 + 0.14 * math.ceil(len(rows) / 2))
        if len(groups) == 1
        else (PAGE, 0.6 + lines * PAGE / columns * 0.66)
    )
    figure = new_figure(*size)
    every = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, (name, members) in zip(every.flat, groups, strict=False):
        for row in members:
            look = _look(row, style, groups)
            _draw_pd_fa(axes, row, steps[row.name], look, left, right)
        _fa_axis(axes, left, right)
        axes.set_title(name)
    for axes in every.flat[len(groups) :]:
        axes.set_visible(False)
    points = [point.mean for row in rows if (point := row.summary("pd"))]
    bottom = max(0.0, math.floor((min(points, default=0.0) - 0.2) * 10) / 10) * 100
    every[0, 0].set_ylim(bottom, 100 + (100 - bottom) * 0.02)
    for axes in every.flat[max(len(groups) - columns, 0) : len(groups)]:
        axes.set_xlabel(r"$F_a$ (false-alarm pixels per $10^6$ pixels)")
    for axes in every[:, 0]:
        axes.set_ylabel(r"$P_d$ (%)")
    _finish(figure, groups, _title(table), style, markers=True)
    return figure


def _draw_pd_fa(axes: Axes, row: Row, steps: list, look: Line, left: float, right: float) -> None:
    grid = np.geomspace(left, right, 801)
    where = np.concatenate([[_zero(left)], grid])
    rates = np.concatenate([[0.0], grid / _PER_MILLION])
    seeds = np.array([pd_at(step, rates) for step in steps]) * 100
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
        x = min(fa.mean * _PER_MILLION, right) or _zero(left)
        axes.plot(
            x, pd.mean * 100, look.marker, color=look.color, ms=4.5, mec="white", mew=0.6,
            zorder=5, clip_on=False,
        )  # fmt: skip


def attainable(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """False-alarm rates in rising order and the highest Pd reached up to each; fractions."""
    fa = np.array([0, *curve.false_alarm_pixels]) / max(curve.pixels, 1)
    pd = np.array([0, *curve.hits]) / max(curve.targets, 1)
    order = np.argsort(fa, kind="stable")
    return fa[order], np.maximum.accumulate(pd[order])


def pd_at(step: tuple[np.ndarray, np.ndarray], rates: np.ndarray) -> np.ndarray:
    """The step function of `attainable` at false-alarm rates."""
    fa, pd = step
    return pd[np.searchsorted(fa, rates, side="right") - 1]


def training_figure(table: Table, style: Style) -> Figure | None:
    """Loss, and IoU on the validation part where it was measured, against the epoch.

    Line: mean over seeds; band: smallest to largest seed. None without a history.
    """
    rows = [row for row in table.rows if any(run.record.history for run in row.done)]
    if not rows:
        return None
    kinds = [("loss", "Training loss", 1.0)]
    if any(_series(row, "iou")[0].size for row in rows):
        kinds.append(("iou", "Validation IoU (%)", 100.0))
    groups = _groups(rows)
    size = (
        (COLUMN, COLUMN * (0.25 + 0.42 * len(kinds)) + 0.14 * math.ceil(len(rows) / 2))
        if len(groups) == 1
        else (PAGE, 0.8 + 1.6 * len(kinds))
    )
    figure = new_figure(*size)
    every = figure.subplots(len(kinds), len(groups), sharex=True, squeeze=False)
    for line, (key, label, scale) in zip(every, kinds, strict=True):
        line[0].set_ylabel(label)
        if key == "iou":  # values of different losses have nothing in common
            for axes in line[1:]:
                axes.sharey(line[0])
        for axes, (_, members) in zip(line, groups, strict=True):
            for row in members:
                _draw_training(axes, row, key, scale, _look(row, style, groups))
            tidy(axes)
            axes.margins(x=0.01)
            _mark_warmup(axes, members, label=key == "loss")
            axes.xaxis.get_major_locator().set_params(integer=True)
    for axes, (name, _) in zip(every[0], groups, strict=True):
        axes.set_title(name)
    figure.align_ylabels()
    for axes in every[-1]:
        axes.set_xlabel("Epoch")
    _finish(figure, groups, f"{table.dataset}, recipe {table.recipe}", style, markers=False)
    return figure


def _draw_training(axes: Axes, row: Row, key: str, scale: float, look: Line) -> None:
    epochs, seeds = _series(row, key)
    if not epochs.size:
        return
    seeds = seeds * scale
    # A curve of one or two points is invisible, or looks like a trend: show them.
    dots = look.marker if epochs.size <= 3 else ""
    axes.plot(
        epochs, seeds.mean(axis=0), color=look.color, ls=look.dash, lw=0.9, marker=dots, ms=3.5
    )
    if len(seeds) > 1:
        axes.fill_between(
            epochs, seeds.min(axis=0), seeds.max(axis=0), color=look.color, alpha=_BAND, lw=0
        )


def _mark_warmup(axes: Axes, rows: list[Row], label: bool) -> None:
    """A dotted line where the warm-up ends: there the loss of MSHNet and SLS changes."""
    ends = {row.runs[0].settings.get("warm_epoch", -1) for row in rows}
    longest = max(len(run.record.history) for row in rows for run in row.done)
    end = ends.pop()
    if ends or not 0 <= end < longest - 1:
        return
    axes.axvline(end + 0.5, color="0.5", lw=0.6, ls=":", zorder=0)
    if label:
        axes.annotate(
            "warm-up ends", (end + 0.5, 1), (-1.5, -1), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", fontsize=6, color="0.4", va="top", ha="right", rotation=90,
        )  # fmt: skip


def overview_figure(table: Table, style: Style) -> Figure | None:
    """IoU, Pd and Fa of every method: mean, std, and each seed as a small dot."""
    rows = [row for row in table.rows if row.done][::-1]
    if not rows:
        return None
    panels = (("iou", "IoU (%)", 100.0), ("pd", r"$P_d$ (%)", 100.0),
              ("fa", r"$F_a$ ($10^{-6}$)", _PER_MILLION))  # fmt: skip
    figure = new_figure(PAGE, 0.75 + 0.2 * len(rows))
    every = figure.subplots(1, len(panels), sharey=True)
    for axes, (key, label, scale) in zip(every, panels, strict=True):
        for height, row in enumerate(rows):
            look = style.line(row)
            values = np.array(row.values(key)) * scale
            axes.plot(values, np.full(values.size, height), "o", color=look.color, ms=3, alpha=0.4,
                      mew=0)  # fmt: skip
            summary = row.summary(key)
            if summary:
                spread = summary.std * scale if summary.std is not None else None
                axes.errorbar(
                    summary.mean * scale, height, xerr=spread, color=look.color,
                    marker=look.marker, ms=5, mec="white", mew=0.6, elinewidth=1, capsize=2,
                )  # fmt: skip
        axes.set_xlabel(label)
        tidy(axes)
    every[0].set_yticks(range(len(rows)), [f"{row.detector}, {loss_label(row)}" for row in rows])
    every[0].set_ylim(-0.6, len(rows) - 0.4)
    figure.suptitle(_title(table), fontsize=8)
    return figure


def _title(table: Table) -> str:
    counts = sorted({len(row.done) for row in table.trained_rows if row.done}) or [1]
    seeds = str(counts[-1]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    word = "seed" if counts == [1] else "seeds"
    return f"{table.dataset}, protocol {table.protocol} v{table.version}, {seeds} {word}"


def _curves(row: Row) -> list[Curve]:
    scores = (run.record.scores[row.protocol] for run in row.done)
    return [score.curve for score in scores if score.curve is not None]


def _series(row: Row, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs that every seed has, and the numbers (seeds, epochs); loss or a validation metric."""
    found = []
    for run in row.done:
        values = {
            e.epoch: e.loss if key == "loss" else (e.val or {}).get(key) for e in run.record.history
        }
        values = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
        if values:
            found.append(values)
    if not found:
        return np.array([]), np.array([[]])
    epochs = sorted(set.intersection(*(set(values) for values in found)))
    return np.array(epochs), np.array([[values[e] for e in epochs] for values in found])


def _groups(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Panels: all methods together while they can be told apart, else a panel a loss."""
    losses = sorted({loss_label(row) for row in rows})
    if len(rows) <= _TOGETHER or len(losses) == 1:
        return [("", rows)]
    return [(loss, [row for row in rows if loss_label(row) == loss]) for loss in losses]


def _look(row: Row, style: Style, groups: list) -> Line:
    """The method's look; solid in a panel of one loss, where dashes would tell nothing."""
    look = style.line(row)
    return look if len(groups) == 1 else replace(look, dash="-")


def _grid(count: int) -> tuple[int, int]:
    """Lines and columns of panels."""
    columns = count if count <= 3 else 2 if count == 4 else 3
    return math.ceil(count / columns), columns


def _finish(figure: Figure, groups: list, title: str, style: Style, markers: bool) -> None:
    rows = [row for _, members in groups for row in members]
    if len(groups) == 1:
        figure.axes[0].set_title(title)
        style.legend(figure, rows, markers)
    else:
        figure.suptitle(title, fontsize=8)
        style.detector_legend(figure, rows, markers)


def _fa_limits(
    steps: list[tuple[np.ndarray, np.ndarray]], points: list[float]
) -> tuple[float, float]:
    """First and last decade of the Fa axis, per million.

    No curve steps and no operating point lies left of the first, but at 0; beyond the last all
    curves are flat.
    """
    marked = [point * _PER_MILLION for point in points if point > 0]
    low = min(marked, default=math.inf)
    high = min(max(marked, default=0.0), _FA_RIGHT)
    for fa, pd in steps:
        fa = fa * _PER_MILLION
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
    mark = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 10}
    axes.plot([middle / 1.07, middle * 1.07], [0, 0], color="white", lw=2.5, **mark)
    for shift in (1 / 1.1, 1.1):
        axes.plot(
            [middle * shift / 1.08, middle * shift * 1.08], [-0.02, 0.02], color="0.2", lw=0.6,
            **mark,
        )  # fmt: skip
