"""The figure on seeds: the three runs, what n seeds tell, and wrong winners."""

from __future__ import annotations

from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures.style import PAGE, new_figure, tidy
from benchmark.report.power import detectable, half_width, std_interval, worse_wins
from docs.build.seeds import IOU, LINES, SEEDS, STD

_BLUE, _ORANGE, _GREY = "#0173b2", "#d55e00", "0.35"
_SHADES = ("#d55e00", "#de8f05", "#029e73", "#0173b2")
_MOST = 20


def seeds_figure() -> Figure:
    """Three panels, a page wide."""
    figure = new_figure(PAGE, 2.75)
    runs, seen, wins = figure.subplots(1, 3, width_ratios=(1, 1.1, 1.1))
    _draw_runs(runs)
    _draw_seen(seen)
    _draw_wins(wins)
    for axes in (runs, seen, wins):
        tidy(axes)
    runs.grid(False, axis="x")
    return figure


def _draw_runs(axes: Axes) -> None:
    middle, half = mean(IOU), half_width(STD, len(IOU))
    axes.plot(range(3), IOU, "o", c=_BLUE, ms=5, zorder=3)
    for x, value in enumerate(IOU):
        axes.annotate(f"{value:.2f}", (x, value), (0, 5), textcoords="offset points", ha="center")
    bars = ((3.4, STD, "std"), (4.7, half, "95 %"))
    for x, size, _ in bars:
        axes.errorbar(x, middle, size, fmt="s", c=_GREY, ms=4, capsize=3, lw=1.2)
        axes.annotate(
            f"±{size:.1f}", (x, middle + size), (0, 3), textcoords="offset points", ha="center"
        )
    axes.set_xticks(
        [0, 1, 2, *(x for x, _, _ in bars)],
        [*map(str, SEEDS), *(label for _, _, label in bars)],
    )
    axes.set(xlim=(-0.7, 5.4), ylim=(70, 92), yticks=range(70, 91, 5))
    axes.set(xlabel="seeds; their std; interval of the mean", ylabel="IoU, %")
    axes.set_title("(a) one method, three seeds", loc="left")


def _draw_seen(axes: Axes) -> None:
    n = np.arange(2, _MOST + 1)
    low = std_interval(STD, len(IOU))[0]
    lines = (
        ("smallest difference seen", _ORANGE, "-", [detectable(STD, k) for k in n]),
        (f"the same if the std is {low:.1f}", _ORANGE, (0, (1, 1.1)),
         [detectable(low, k) for k in n]),
        ("mean known to ±", _BLUE, (0, (4, 1.5)), [half_width(STD, k) for k in n]),
    )  # fmt: skip
    for label, color, dash, values in lines:
        axes.plot(n, values, c=color, ls=dash, lw=1.2, label=label)
        axes.plot(3, values[1], "o", c=color, ms=3.5)
    axes.set_yscale("log")
    ticks = (1, 2, 5, 10, 20, 50)
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set(xlim=(1.5, _MOST + 0.5), ylim=(1, 50), xticks=(2, 3, 5, 10, 15, 20))
    axes.set(xlabel="seeds of each method", ylabel="points of IoU")
    axes.set_title("(b) what n seeds tell", loc="left")
    axes.legend(loc="upper right")


def _draw_wins(axes: Axes) -> None:
    difference = np.linspace(0, 6, 121)
    for n, color in zip(LINES, _SHADES, strict=True):
        values = [100 * worse_wins(d, STD, n) for d in difference]
        axes.plot(difference, values, c=color, lw=1.2, label=f"{n} seed{'s' if n > 1 else ''} each")
    at = worse_wins(1, STD, 1) * 100
    axes.plot(1, at, "o", c=_SHADES[0], ms=3.5)
    axes.annotate(
        f"{at:.0f} %", (1, at), (3, 3), textcoords="offset points", ha="left", va="bottom"
    )
    axes.set(xlim=(0, 6), ylim=(0, 52), xticks=range(7))
    axes.set(xlabel="true difference, points of IoU", ylabel="worse method wins, %")
    axes.set_title("(c) wrong winners", loc="left")
    axes.legend(loc="upper right")
