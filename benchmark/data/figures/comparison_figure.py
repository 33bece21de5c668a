"""The figure of a comparison: crops of both sets above the histograms of both."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.ndimage import find_objects

from benchmark.data.figures.cells import chosen, window
from benchmark.data.figures.comparison import Line
from benchmark.data.figures.named_set import NamedSet
from benchmark.data.figures.panels import COLORS, draw_histogram, draw_spectra
from benchmark.data.figures.quantities import AREA, CONTRAST, COUNT, MEAN, POWER, SCR, SLOPE, STD
from benchmark.figures.pixels import stretch
from benchmark.figures.style import PAGE, new_figure
from datasets.base import Sample
from datasets.clutter import Box
from datasets.components import label_components

CROP = 64
"""Side of the crops, px."""
_CROPS = 10  # of each set
_EDGE, _GAP, _CAPTION, _BELOW = 0.03, 0.04, 0.2, 3.9  # inches; below are the panels
_SIDE = (PAGE - 2 * _EDGE - (_CROPS - 1) * _GAP) / _CROPS
_PANELS = (AREA, SCR, CONTRAST, COUNT, MEAN, STD, SLOPE, POWER)
_ACROSS = 4
_LETTERS = 120  # letters that fit on a line of the legend


def comparison_figure(
    a: NamedSet, b: NamedSet, lines: dict[str, Line], only_first: bool = False
) -> Figure:
    """A page wide: a row of crops of each set, then eight panels with their overlaps.

    Args:
        a: drawn first.
        b: the reference, to which the overlap in brackets belongs, see `quantities.ceiling`.
        lines: see `comparison.compare`.
        only_first: no crops of `b`: its images may not be published with the figure.
    """
    pictured = (a,) if only_first else (a, b)
    above = len(pictured) * (_CAPTION + _SIDE) + _EDGE
    figure = new_figure(PAGE, above + _BELOW)
    # Crops are placed in inches; the panels share the space that is left.
    figure.set_layout_engine("constrained", rect=(0, 0, 1, _BELOW / (above + _BELOW)))
    for line, subject in enumerate(pictured):
        _draw_crops(figure, subject, line * (_CAPTION + _SIDE))
    sets = [subject.statistics for subject in (a, b)]
    panels = figure.subplots(2, _ACROSS).ravel()
    for letter, axes, quantity in zip("abcdefgh", panels, _PANELS, strict=True):
        if quantity is POWER:
            draw_spectra(axes, sets)
        else:
            draw_histogram(axes, sets, quantity)
        axes.set_title(f"({letter})", loc="left")
        axes.set_title(_overlap_text(lines[quantity.key]), loc="right")
    _draw_legend(figure, a, b)
    return figure


def _overlap_text(line: Line) -> str:
    if np.isnan(line.overlap):
        return "overlap —"
    return f"overlap {line.overlap:.2f} ({line.ceiling:.2f})"


def _draw_crops(figure: Figure, subject: NamedSet, top: float) -> None:
    """Draw 64 px around the first target of images, from the smallest target to the largest.

    Args:
        figure: of the comparison.
        subject: the set.
        top: of the row with its caption, inches from the top of the page.
    """
    height = figure.get_figheight()
    baseline = 1 - (top + _CAPTION - 0.04) / height
    figure.text(_EDGE / PAGE, baseline, subject.heading, va="bottom")
    for column, place in enumerate(chosen(subject, _CROPS)):
        left = _EDGE + column * (_SIDE + _GAP)
        axes = figure.add_axes(
            (left / PAGE, 1 - (top + _CAPTION + _SIDE) / height, _SIDE / PAGE, _SIDE / height)
        )  # fmt: skip
        axes.axis("off")
        _draw_crop(axes, subject.samples[place])


def _draw_crop(axes: Axes, sample: Sample) -> None:
    """Draw one crop; smaller images keep the scale, those without a target show their middle."""
    shape = sample.mask.shape[0], sample.mask.shape[1]
    _, labels = label_components(sample.mask)
    boxes: list[Box] = find_objects(labels)
    row, column = (slice(n // 2, n // 2) for n in shape)
    crop = sample.image[window(boxes[0] if boxes else (row, column), shape, CROP)]
    height, width = crop.shape
    left, top = (CROP - width) / 2, (CROP - height) / 2
    axes.imshow(
        stretch(crop), cmap="gray", vmin=0, vmax=1, interpolation="nearest",
        extent=(left, left + width, top + height, top),
    )  # fmt: skip
    axes.set(xlim=(0, CROP), ylim=(CROP, 0))


def _draw_legend(figure: Figure, a: NamedSet, b: NamedSet) -> None:
    labels = (a.title, f"{b.title}; in brackets: the overlap of two sets drawn from it")
    handles = [
        Patch(fc=(color, 0.3), ec=color, label=label)
        for color, label in zip(COLORS, labels, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncol=2 if sum(map(len, labels)) < _LETTERS else 1,
    )
