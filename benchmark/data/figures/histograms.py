"""The figure with the histograms of one set."""

from __future__ import annotations

from matplotlib.figure import Figure

from benchmark.data.figures.named_set import NamedSet
from benchmark.data.figures.panels import draw_histogram, draw_sizes, draw_spectra
from benchmark.data.figures.quantities import AREA, BORDER, CONTRAST, COUNT, MEAN, SCR, STD
from benchmark.figures.style import PAGE, new_figure


def histogram_figure(subject: NamedSet) -> Figure:
    """Nine panels: targets, images and backgrounds."""
    figure = new_figure(PAGE, 5.2)
    panels = figure.subplots(3, 3).ravel()
    sets = [subject.statistics]
    for axes, quantity in zip(
        panels[[0, 1, 2, 3, 4, 6, 7]], (AREA, SCR, CONTRAST, BORDER, COUNT, MEAN, STD), strict=True
    ):
        draw_histogram(axes, sets, quantity)
    draw_sizes(panels[5], subject.statistics)
    draw_spectra(panels[8], sets)
    for letter, axes in zip("abcdefghi", panels, strict=True):
        axes.set_title(f"({letter})", loc="left")
    figure.suptitle(
        f"{subject.heading}\n(i): median and quartiles of the "
        "backgrounds, the slope is fitted between the dotted lines",
        fontsize=8,
    )
    return figure
