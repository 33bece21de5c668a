"""Panels of histograms and spectra, of one set or of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from benchmark.data.figures.quantities import COUNT, Quantity
from benchmark.figures.style import tidy
from datasets.spectrum import FITTED, FREQUENCIES
from datasets.statistics import Statistics, shares

COLORS = ("#0173b2", "#de8f05")
"""Colours of the first and the second set, distinct to the colour-blind."""


def draw_histogram(axes: Axes, sets: Sequence[Statistics], quantity: Quantity) -> None:
    """Draw shares of targets or images by bin, in percent, cut to the bins in use.

    Args:
        axes: empty ones.
        sets: one or two, in the order of `COLORS`.
        quantity: whose `values` have one column.
    """
    edges = quantity.edges
    heights = [100 * shares(quantity.values(s)[:, 0], edges) for s in sets]
    for height, color in zip(heights, COLORS, strict=False):
        if not np.isnan(height).any():
            axes.stairs(height, edges, fill=True, color=color, alpha=0.3, lw=0)
            axes.stairs(height, edges, color=color, lw=1)
    axes.set_xlabel(quantity.label)
    axes.set_ylabel(f"{quantity.of.capitalize()} (%)")
    tidy(axes)
    used = np.flatnonzero(np.nansum(heights, axis=0))
    if not used.size:
        _say(axes, "no target" if quantity.of == "targets" else "not known")
        axes.set(xticks=[], yticks=[])
        return
    axes.set_xlim(edges[max(used[0] - 1, 0)], edges[min(used[-1] + 2, len(edges) - 1)])
    _scale(axes, quantity)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _scale(axes: Axes, quantity: Quantity) -> None:
    """Put ticks at every second octave, or at whole steps."""
    if not quantity.logarithmic:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=quantity is COUNT))
        return
    axes.set_xscale("log", base=2)
    low, high = np.log2(axes.get_xlim())
    step = 1 if high - low < 5 else 2
    axes.set_xticks(2.0 ** np.arange(np.ceil(low), np.floor(high) + 1, step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def draw_spectra(axes: Axes, sets: Sequence[Statistics]) -> None:
    """Draw the median power of the backgrounds by frequency, with the band between quartiles."""
    for statistics, color in zip(sets, COLORS, strict=False):
        known = np.isfinite(statistics.spectra) & (statistics.spectra > 0)
        rings = known.any(axis=0)
        if not rings.any():
            continue
        power = np.where(known, statistics.spectra, np.nan)[:, rings]
        low, middle, high = np.nanpercentile(power, (25, 50, 75), axis=0)
        axes.fill_between(FREQUENCIES[rings], low, high, color=color, alpha=0.25, lw=0)
        axes.plot(FREQUENCIES[rings], middle, color=color, lw=1.1)
    if not axes.lines:
        _say(axes, "not known")
    axes.set(xscale="log", yscale="log", xlim=(1 / 64, 1 / 2))
    axes.set_xticks([1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2],
                    ["1/64", "1/32", "1/16", "1/8", "1/4", "1/2"])  # fmt: skip
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Frequency (cycles/px)")
    axes.set_ylabel("Power (range$^2$ px$^2$)")
    tidy(axes)
    for edge in FITTED:
        axes.axvline(edge, color="0.7", lw=0.6, ls=(0, (1, 1.5)), zorder=0)


def _say(axes: Axes, text: str) -> None:
    """Write a word where there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.4")


def draw_sizes(axes: Axes, statistics: Statistics) -> None:
    """Draw a dot for each size of image, the larger the more images have it."""
    images = statistics.images
    sizes, counts = np.unique(
        np.stack([images.width, images.height], axis=1), axis=0, return_counts=True
    )
    x, y = sizes.T
    axes.scatter(x, y, s=10 + 150 * counts / counts.sum(), color=COLORS[0], alpha=0.35, lw=0)
    axes.scatter(x, y, s=2, color=COLORS[0])
    if len(sizes) == 1:
        width, height = sizes[0]
        axes.annotate(f"all {width} × {height}", sizes[0], (-10, 0), textcoords="offset points",
                      ha="right", va="center")  # fmt: skip
    top = 1.12 * float(sizes.max())
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("Width (px)")
    axes.set_ylabel("Height (px)")
    tidy(axes)
