"""The figure of `sensitivity`: by size, contrast and place of targets and false alarms."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmark.figures.style import PAGE, new_figure, tidy
from benchmark.measures import MEASURES
from benchmark.report.layout import entitle, figure_title, limiting
from benchmark.report.line_styles import Style, loss_label
from benchmark.report.model import Table
from benchmark.report.sensitivity import (
    ALL,
    CONTRASTS,
    DISTANCES,
    MISSES,
    SIZES,
    Bins,
    Sensitivity,
    sensitivities,
)

_MOST = 12  # methods that can be told apart
_SPREAD = 0.72  # part of a bin's width that the methods' markers share
_MISS_COLORS = dict(zip(MISSES, ("0.25", "0.55", "0.8"), strict=True))


def sensitivity_figure(table: Table, style: Style) -> Figure | None:
    """Pd, IoU, centroid errors, kinds of misses and false alarms; None without outcomes.

    Markers: mean over seeds; whiskers: smallest to largest seed. The methods of a bin are drawn
    side by side. Of more than 12 methods those with the highest Pd are shown; collapsed ones only
    where there are no others.
    """
    methods = sensitivities(table)
    if not methods:
        return None
    shown = _shown(methods)
    top, bottom = 3.8, max(1.8, 0.13 * len(shown) + 0.7)  # inches; below is a line a method
    figure = new_figure(PAGE, top + bottom + 0.3 + 0.15 * math.ceil(len(shown) / 4))
    # Grids of their own: the names of the methods, at the bottom, leave the others their width.
    grids = figure.add_gridspec(2, 1, height_ratios=(top, bottom))
    above, below = grids[0].subgridspec(2, 2), grids[1].subgridspec(1, 2)
    cells = [above[0, 0], above[0, 1], above[1, 0], above[1, 1], below[0, 0], below[0, 1]]
    every = [figure.add_subplot(cell) for cell in cells]
    pd_size, pd_scr, iou_size, error, misses, false = every
    for axes, bins in ((pd_size, SIZES), (pd_scr, CONTRASTS)):
        _by_bin(axes, shown, style, bins, "pd", 100.0)
        axes.set_ylabel(MEASURES["pd"].label)
    pd_scr.sharey(pd_size)
    lowest = min(axes.get_ylim()[0] for axes in (pd_size, pd_scr))
    pd_size.set_ylim(max(-2.0, math.floor(lowest / 10) * 10), 102)
    _by_bin(iou_size, shown, style, SIZES, "hit_iou", 100.0)
    iou_size.set_ylabel("Mean IoU of hits (%)")
    if not np.isfinite(iou_size.dataLim.y0):  # no hits
        iou_size.set_ylim(0, 102)
    for axes in (pd_size, iou_size):
        axes.set_xlabel("Target size (px); $n$ targets")
    pd_scr.set_xlabel("Signal-to-clutter ratio; $n$ targets")
    _centroid_errors(error, shown, style)
    _misses(misses, shown)
    _by_bin(false, shown, style, DISTANCES, "false_components", 1.0)
    _rate_axis(false, shown)
    false.set_ylabel("False components / image")
    false.set_xlabel("Distance to the nearest target (px)")
    for letter, axes in zip("abcdef", every, strict=True):
        axes.set_title(f"({letter})", loc="left")
    entitle(figure, table, _title(table, shown, methods))
    style.legend(figure, [method.row for method in shown], columns=4)
    return figure


def _shown(methods: list[Sensitivity]) -> list[Sensitivity]:
    """The methods drawn, in the order of the table."""

    def pd(method: Sensitivity) -> float:
        summary = method.summary((*ALL, "pd"))
        return summary.mean if summary else -1.0

    wide = limiting([method.row for method in methods])
    best = sorted((m for m in methods if m.row in wide), key=pd, reverse=True)[:_MOST]
    return [method for method in methods if method in best]


def _title(table: Table, shown: list[Sensitivity], methods: list[Sensitivity]) -> str:
    title = figure_title(table)
    if any(len(method.runs) > 1 for method in shown):
        title += ": mean, smallest and largest"
    ranked = len(limiting([method.row for method in methods]))
    if ranked < len(methods):
        title += "; without collapsed methods"
    if len(shown) < ranked:
        title += f"; the {len(shown)} of {ranked} methods with the highest $P_d$"
    return title


def _by_bin(
    axes: Axes,
    methods: list[Sensitivity],
    style: Style,
    bins: Bins,
    quantity: str,
    scale: float,
) -> None:
    """Draw a marker with whiskers for each method and bin."""
    parts = _filled(bins, methods, quantity)
    offsets = (np.arange(len(methods)) - (len(methods) - 1) / 2) / len(methods) * _SPREAD
    for method, offset in zip(methods, offsets, strict=True):
        look = style.line(method.row)
        found = [np.array(method.values((*part, quantity))) * scale for part in parts]
        mean = np.array([v.mean() if v.size else np.nan for v in found])
        low = np.array([v.min() if v.size else np.nan for v in found])
        high = np.array([v.max() if v.size else np.nan for v in found])
        # three equal numbers have a mean that may differ from them in the last digit
        whiskers = np.maximum([mean - low, high - mean], 0)
        where = np.arange(len(parts)) + offset
        axes.plot(where, mean, color=look.color, ls=look.dash, lw=0.6, alpha=0.45)
        axes.errorbar(
            where, mean, whiskers, color=look.color, ls="", elinewidth=0.8,
            marker=look.marker, ms=4, mec="white", mew=0.3,
        )  # fmt: skip
    numbers = [methods[0].seeds[0].get((*part, "targets")) for part in parts]
    below = ["" if number is None else f"\n$n$ = {number:.0f}" for number in numbers]
    axes.set_xticks(range(len(parts)), [p[1] + n for p, n in zip(parts, below, strict=True)])
    axes.set_xlim(-0.5, len(parts) - 0.5)
    tidy(axes)
    axes.grid(visible=False, axis="x")
    for edge in range(1, len(parts)):
        axes.axvline(edge - 0.5, color="0.85", lw=0.5, zorder=0)


def _filled(bins: Bins, methods: list[Sensitivity], quantity: str) -> list[tuple[str, str]]:
    """The bins that have targets or, where it is not targets that are binned, numbers."""

    def filled(part: tuple[str, str]) -> bool:
        targets = methods[0].seeds[0].get((*part, "targets"))
        if targets is not None:
            return targets > 0
        return any(method.values((*part, quantity)) for method in methods)

    return [part for part in bins.parts if filled(part)] or bins.parts


def _centroid_errors(axes: Axes, methods: list[Sensitivity], style: Style) -> None:
    """Draw the share of the hits up to each distance."""
    farthest = methods[0].scores[0].reach  # px: a hit's centroid is nearer
    grid = np.linspace(0, farthest, 301)
    for method in methods:
        seeds = [
            np.searchsorted(np.sort(hits), grid, side="right") / len(hits)
            for scores in method.scores
            if scores.targets and (hits := [d for d in scores.targets.distance if d is not None])
        ]
        if len(seeds) == len(method.scores):
            look = style.line(method.row)
            axes.plot(
                grid, np.mean(seeds, axis=0) * 100, color=look.color, ls=look.dash, lw=1,
                marker=look.marker, ms=3.5, mec="white", mew=0.3, markevery=(0.05, 0.2),
            )  # fmt: skip
    tidy(axes)
    axes.set_xlim(0, farthest)
    axes.set_ylim(0, 102)
    axes.set_xlabel("Centroid error (px)")
    axes.set_ylabel("Share of hits (%)")


def _misses(axes: Axes, methods: list[Sensitivity]) -> None:
    """Draw a stacked bar a method; whisker: all misses of the smallest and the largest seed."""
    heights = np.arange(len(methods))[::-1]
    left = np.zeros(len(methods))
    for kind in MISSES:
        means = [method.summary((*ALL, kind)) for method in methods]
        width = np.array([summary.mean * 100 if summary else 0.0 for summary in means])
        axes.barh(heights, width, 0.7, left, color=_MISS_COLORS[kind], lw=0)
        left += width
    for height, method in zip(heights, methods, strict=True):
        missed = [100 - 100 * pd for pd in method.values((*ALL, "pd"))]
        if len(missed) > 1:
            axes.plot([min(missed), max(missed)], [height, height], color="black", lw=0.7,
                      marker="|", ms=3.5, mew=0.7)  # fmt: skip
    names = [f"{method.row.detector}, {loss_label(method.row)}" for method in methods]
    axes.set_yticks(heights, names)
    axes.set_ylim(-0.6, len(methods) - 0.4)
    axes.set_xlim(left=0)
    axes.set_xlabel("Missed targets (% of all)")
    tidy(axes)
    axes.grid(visible=False, axis="y")
    handles = [Patch(color=color, label=kind) for kind, color in _MISS_COLORS.items()]
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncol=3, handlelength=1,
        borderpad=0, borderaxespad=0.3,
    )  # fmt: skip


def _rate_axis(axes: Axes, methods: list[Sensitivity]) -> None:
    """Make the axis logarithmic, with a place for 0 below the first decade."""
    rates = [
        rate for method in methods for part in DISTANCES.parts
        for rate in method.values((*part, "false_components"))
    ]  # fmt: skip
    positive = [rate for rate in rates if rate > 0]
    first = math.floor(math.log10(min(positive, default=0.1)))
    last = math.ceil(math.log10(max(positive, default=1.0)))
    axes.set_yscale("symlog", linthresh=10.0**first, linscale=0.5)
    axes.set_ylim(-(10.0**first) * 0.15, 10.0**last * 1.2)
    axes.yaxis.set_major_locator(FixedLocator([0, *(10.0**k for k in range(first, last + 1))]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
