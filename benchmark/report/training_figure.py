"""The figure of the trainings: loss and IoU against the epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures.style import COLUMN, PAGE, at_least, new_figure, tidy
from benchmark.measures import MEASURES
from benchmark.report.collapse import watched_iou
from benchmark.report.layout import (
    finish,
    limiting,
    look_of,
    panels_of,
)
from benchmark.report.line_styles import Line, Style
from benchmark.report.model import Row, Run, Table
from benchmark.settings.run_settings import Settings

_IOU = MEASURES["iou"]
_BAND = 0.13  # opacity of the seeds' band


def training_figure(table: Table, style: Style) -> Figure | None:
    """Loss, and IoU where it was measured during training, against the epoch.

    Line: mean over seeds; band: smallest to largest seed. Collapsed runs do not widen the axes; a
    cross shows since when their IoU is low. None without a history.
    """
    rows = [row for row in table.rows if any(run.record.history for run in row.done)]
    if not rows:
        return None
    kinds = [("loss", "Training loss", 1.0)]
    if any(_series(row, "iou")[0].size for row in rows):
        parts = {_watched(run) for row in rows for run in row.done if run.record.history}
        names = {"val": "validation", "test": "test"}
        label = " or ".join(name for part, name in names.items() if part in parts)
        kinds.append((_IOU.key, f"{label.capitalize()} {_IOU.label}", _IOU.scale))
    groups = panels_of(rows)
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
        wide = limiting(rows)
        for axes, (_, members) in zip(line, groups, strict=True):
            for row in (row for row in members if row in wide):
                _draw_training(axes, row, key, scale, look_of(row, style, groups))
        limits = [axes.get_ylim() for axes in line]  # of these curves alone: the others come later
        for axes, (_, members), (low, high) in zip(line, groups, limits, strict=True):
            for row in (row for row in members if row not in wide):
                _draw_training(axes, row, key, scale, look_of(row, style, groups))
            if any(row in wide for row in members):
                axes.set_ylim(low, high)
            for row in members:
                if key == "iou":
                    _mark_collapse(axes, row, scale, look_of(row, style, groups))
            tidy(axes)
            axes.margins(x=0.01)
            _mark_warmup(axes, members, label=key == "loss")
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    for axes, (name, _) in zip(every[0], groups, strict=True):
        axes.set_title(name)
    figure.align_ylabels()
    for axes in every[-1]:
        axes.set_xlabel("Epoch")
    every[0, 0].set_xlim(at_least(1, *every[0, 0].get_xlim()))  # all panels share it
    crossed = any(c.epoch is not None for row in rows for c in row.collapsed.values())
    title = f"{table.heading}, recipe {table.recipe}" + ("; ×: collapsed" if crossed else "")
    finish(figure, groups, table, title, style, markers=False)
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


def _mark_collapse(axes: Axes, row: Row, scale: float, look: Line) -> None:
    """Mark where each collapsed seed begins to stay low, at the edge if that is out of sight."""
    low, high = axes.get_ylim()
    for run in row.done:
        collapse = run.collapses.get(row.protocol)
        if collapse is None or collapse.epoch is None:
            continue
        iou = watched_iou(run.record)[1][collapse.epoch] * scale
        axes.plot(collapse.epoch, min(max(iou, low), high), "X", color=look.color, ms=6,
                  mec="black", mew=0.6, clip_on=False, zorder=6)  # fmt: skip


def _mark_warmup(axes: Axes, rows: list[Row], label: bool) -> None:
    """Draw a dotted line where the warm-up ends: another loss begins there, or SLS changes."""
    ends = {_last_of_warmup(row.runs[0].settings) for row in rows}
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


def _last_of_warmup(settings: Mapping[str, Any]) -> int:
    """Last epoch of the warm-up, counted from 0; -1: there is none."""
    names = ("epochs", "warm_loss", "warm_loss_share")
    known = {name: settings[name] for name in names if name in settings}
    return max(settings.get("warm_epoch", -1), Settings(**known).warm_loss_epochs - 1)


def _watched(run: Run) -> str | None:
    """Images that the run was measured on during training: `val`, else `test`, of an `Epoch`."""
    history = run.record.history
    return next((part for part in ("val", "test") if any(getattr(e, part) for e in history)), None)


def _series(row: Row, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs that every seed has, and the numbers (seeds, epochs); loss or a watched metric."""
    found = []
    for run in row.done:
        part = _watched(run) or "val"
        values = {
            e.epoch: e.loss if key == "loss" else (getattr(e, part) or {}).get(key)
            for e in run.record.history
        }
        values = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
        if values:
            found.append(values)
    if not found:
        return np.array([]), np.array([[]])
    epochs = sorted(set.intersection(*(set(values) for values in found)))
    return np.array(epochs), np.array([[values[e] for e in epochs] for values in found])
