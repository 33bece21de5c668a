"""The figures of the page on losses: curves while a disc grows and moves, the weight, blindness."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from benchmark.figures.discs import AREAS, MIDDLE, SIDE, Curve, grow, move, shifted_location, weight
from benchmark.figures.style import PAGE, new_figure, tidy

_COLORS = ("#0173b2", "#d55e00", "#029e73", "#cc78bc", "#de8f05", "#56b4e9", "#949494", "#ca9161")
MOST = len(_COLORS)
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.1)), (0, (5, 1.2, 1, 1.2)))
_SHADES = ("#9ecae1", "#4a98c9", "#1764ab", "#08306b")
"""One for each area, light to dark."""


def figures(losses: Sequence[str]) -> list[Figure]:
    """All figures of the page, in its order."""
    return [growing_figure(losses), moving_figure(losses), scale_figure(), place_figure()]


def growing_figure(losses: Sequence[str]) -> Figure:
    """Value above, slope below, a column for each area of the target; the disc is centred."""
    figure = new_figure(PAGE, 3.5)
    _draw_growing(figure, losses)
    _draw_legend(figure, figure.axes[0])
    return figure


def moving_figure(losses: Sequence[str]) -> Figure:
    """The same while a disc of the right size moves to the right."""
    figure = new_figure(PAGE, 3.5)
    _draw_moving(figure, losses)
    _draw_legend(figure, figure.axes[0])
    return figure


def both_figure(losses: Sequence[str]) -> Figure:
    """The two in one, at most `MOST` losses."""
    figure = new_figure(PAGE, 6.8)
    above, below = figure.subfigures(2, 1)
    _draw_growing(above, losses)
    _draw_moving(below, losses)
    _draw_legend(figure, above.axes[0])
    return figure


def _draw_growing(figure: FigureBase, losses: Sequence[str]) -> None:
    value, slope = _draw_curves(figure, losses, grow, "area of the disc / area of the target")
    for axes in slope:
        axes.set_xscale("log")
        axes.axvline(1, c="0.5", lw=0.6, zorder=0)
        axes.set_xticks((0.1, 1, 10), ("0.1", "1", "10"))
    # cross entropy of discs that are far too large leaves the axes
    value[0].set_ylim(0, 1.5)
    slope[0].set(ylim=(-1, 1), ylabel="slope for a factor e")


def _draw_moving(figure: FigureBase, losses: Sequence[str]) -> None:
    value, slope = _draw_curves(figure, losses, move, "shift of the disc, px")
    value[0].set_ylim(bottom=0)
    slope[0].set_ylabel("slope per px")


def _draw_curves(
    figure: FigureBase, losses: Sequence[str], sweep: Callable[[str, int], Curve], label: str
) -> np.ndarray:
    """The axes: values, then slopes, of every area."""
    rows = figure.subplots(2, len(AREAS), sharex=True, sharey="row")
    for column, area in zip(rows.T, AREAS, strict=True):
        for number, name in enumerate(losses):
            curve = sweep(name, area)
            look = {"c": _COLORS[number], "ls": _DASHES[number % len(_DASHES)], "lw": 1.1}
            column[0].plot(curve.x, curve.value, label=name, **look)
            column[1].plot(curve.x, curve.slope, **look)
        column[0].set_title(f"target of {area} px", loc="left")
        column[1].axhline(0, c="0.5", lw=0.6, zorder=0)
        for axes in column:
            tidy(axes)
    rows[0, 0].set_ylabel("loss / that of an empty map")
    figure.supxlabel(label, fontsize=8)
    return rows


def _draw_legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = min(len(labels), MOST if max(map(len, labels)) < 16 else 3)
    figure.legend(handles, labels, loc="outside upper center", ncol=columns)


def scale_figure() -> Figure:
    """SLS's weight, alone and times the best IoU that two sizes allow."""
    figure = new_figure(PAGE, 2.4)
    left, right = figure.subplots(1, 2)
    for area, color in zip(AREAS, _SHADES, strict=True):
        curve = weight(area)
        left.plot(curve.x, curve.alpha, c=color, lw=1.2, label=f"target of {area} px")
        right.plot(curve.x, curve.alpha * curve.iou, c=color, lw=1.2)
    right.plot(curve.x, curve.iou, c="0.2", lw=1, ls=(0, (1, 1.1)), label="IoU alone")
    for axes, title in (
        (left, "(a) weight $\\alpha$ of SLS"),
        (right, "(b) $\\alpha$ · IoU, one disc inside the other"),
    ):
        axes.set_xscale("log")
        axes.set(xlim=(0.01, 100), xlabel="P / T, predicted over true size")
        axes.set_title(title, loc="left")
        tidy(axes)
    left.set(ylim=(0.3, 1.02), ylabel="$\\alpha$")
    right.set(ylim=(0, 1.02), ylabel="$\\alpha$ · IoU")
    left.legend(loc="lower right")
    right.legend(loc="upper left")
    return figure


def place_figure() -> Figure:
    """The cost of SLS's location term, by distance and by where the target is."""
    figure = new_figure(PAGE, 2.1)
    curves, *maps = figure.subplots(1, 4, width_ratios=(1.2, 1, 1, 1))
    shifts = np.arange(0, 61, 2)
    for area, color in zip(AREAS, _SHADES, strict=True):
        costs = [shifted_location(area, MIDDLE, (s, s)) for s in shifts]
        curves.plot(shifts * 2**0.5, costs, c=color, lw=1.2, label=f"{area} px")
    curves.set(xlabel="shift along the diagonal, px", ylabel="location term", ylim=(0, None))
    curves.set_title("(a) from the middle", loc="left")
    curves.legend(loc="upper left", fontsize=6.5)
    tidy(curves)
    places = np.arange(16, SIDE - 8, 16)
    grids = [
        np.array([[shifted_location(area, (y, x), (3, 3)) for x in places] for y in places])
        for area in (3, 9, 100)
    ]
    for axes, grid, area, letter in zip(maps, grids, (3, 9, 100), "bcd", strict=True):
        image = axes.imshow(
            grid,
            cmap="viridis",
            norm="log",
            extent=(8, SIDE - 8, SIDE - 8, 8),
            interpolation="nearest",
        )
        image.set_clim(1e-4, 0.1)
        axes.set(xticks=(8, 128, 248), yticks=(8, 128, 248), xlabel="column, px")
        axes.set_title(f"({letter}) target of {area} px", loc="left")
    maps[0].set_ylabel("row, px")
    figure.colorbar(image, ax=list(maps), shrink=0.8, pad=0.02, label="term, 3 px off both ways")
    return figure
