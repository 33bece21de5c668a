"""The contact sheet of a data set: whole frames with their targets marked, and a closer look."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import find_objects

from benchmark.data.figures.cells import around, chosen
from benchmark.data.figures.named_set import NamedSet
from benchmark.figures.pixels import outline, stretch
from benchmark.figures.style import PAGE, new_figure
from datasets.base import Sample
from datasets.clutter import Box
from datasets.components import label_components

MOST = 12
"""Images on a sheet."""
FIRST, OTHERS = "#ff40d0", "#ffc20a"
"""Colours of the target that is shown enlarged, and of the others; no grey looks like them."""
_ACROSS = 3
_FRAME, _INSET, _GAP, _EDGE = 1.45, 0.68, 0.05, 0.03  # inches
_HEAD, _BETWEEN = 0.5, 0.07  # inches: the title, what separates rows
_LINE = 0.125  # inches a line of text
_LETTERS, _NAME_LINES = 14, 2  # of a name; longer ones are cut
_SIZE = 7
_FEWEST_LINES = 4  # text beside a frame: name, size, targets, first target
_SURROUND = 5  # px between a target and the box around it


def contact_sheet(subject: NamedSet) -> Figure:
    """At most 12 images, three in a row, see `cells.chosen`.

    Beside each frame is the square of it that is marked in the frame, enlarged, with the outline
    of the mask. Grey levels are stretched in the frame and in the square on their own.
    """
    places = chosen(subject, MOST)
    rows = [places[i : i + _ACROSS] for i in range(0, len(places), _ACROSS)]
    heights = [max(_cell_height(subject.samples[p]) for p in row) for row in rows]
    total = _HEAD + sum(heights) + _BETWEEN * len(rows)
    figure = new_figure(PAGE, total)
    figure.set_layout_engine("none")  # frames and texts have places in inches
    top = _HEAD
    for row, height in zip(rows, heights, strict=True):
        for column, place in enumerate(row):
            _draw_cell(figure, subject, place, column * PAGE / _ACROSS + _EDGE, top)
        top += height + _BETWEEN
    _draw_head(figure, subject, len(places))
    return figure


def _draw_head(figure: Figure, subject: NamedSet, shown: int) -> None:
    height = figure.get_figheight()
    figure.text(
        _EDGE / PAGE, 1 - 0.04 / height, subject.heading, size=9, weight="bold", va="top"
    )  # fmt: skip
    which = "all of them" if shown == len(subject.samples) else f"{shown} of them, evenly spaced"
    text = f"Shown: {which}, by name. "
    if len(subject.statistics.targets.area):
        text = (
            f"Shown: {which}, from the smallest first target to the largest. "
            "Pink square: the part shown enlarged, around the first target, with the outline of "
            "the mask; yellow boxes: the other targets. "
        )
    text += "Grey levels are stretched."
    figure.text(
        _EDGE / PAGE, 1 - 0.2 / height, textwrap.fill(text, 165), size=_SIZE, va="top",
        linespacing=1.15,
    )  # fmt: skip


def _frame_size(sample: Sample) -> tuple[float, float]:
    """(width, height) in inches, in proportion."""
    height, width = sample.image.shape
    scale = _FRAME / max(height, width)
    return width * scale, height * scale


def _cell_height(sample: Sample) -> float:
    return max(_frame_size(sample)[1], _INSET + (_FEWEST_LINES + 0.5) * _LINE)


def _draw_cell(figure: Figure, subject: NamedSet, place: int, left: float, top: float) -> None:
    """One image at (left, top), inches from the corner of the page."""
    sample = subject.samples[place]
    _, labels = label_components(sample.mask)
    boxes: list[Box] = find_objects(labels)
    square = around(boxes[0], sample.image.shape) if boxes else None
    frame = _axes(figure, left, top, *_frame_size(sample))
    # Full extent: no letterbox for the squares to be drawn into.
    frame.imshow(stretch(sample.image), cmap="gray", vmin=0, vmax=1, aspect="auto")
    for box in boxes[1:]:
        _mark(frame, _grown(box), OTHERS, 0.7)
    beside, below = left + _FRAME + _GAP, top
    if square is not None:
        _mark(frame, square, FIRST, 0.9)
        shape = sample.image[square].shape
        size = [_INSET * n / max(shape) for n in reversed(shape)]
        inset = _axes(figure, beside, top, *size)
        _draw_inset(inset, sample, labels, square)
        below += _INSET
    y = 1 - (below + 0.05) / figure.get_figheight()
    text = "\n".join(_texts(subject, place, len(boxes)))
    figure.text(beside / PAGE, y, text, size=_SIZE, va="top", linespacing=1.1)


def _draw_inset(axes: Axes, sample: Sample, labels: np.ndarray, square: Box) -> None:
    rows, columns = square
    part, marks = stretch(sample.image[square]), labels[square]
    axes.imshow(part, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    outline(axes, marks == 1, FIRST, "-", 0.8)
    outline(axes, marks > 1, OTHERS, "-", 0.8)
    axes.set(
        xlim=(-0.5, columns.stop - columns.start - 0.5), ylim=(rows.stop - rows.start - 0.5, -0.5)
    )
    axes.spines[:].set(color=FIRST, linewidth=0.9)


def _texts(subject: NamedSet, place: int, count: int) -> list[str]:
    """Name, size, targets, and the first target's own numbers."""
    sample, targets = subject.samples[place], subject.statistics.targets
    height, width = sample.image.shape
    name = textwrap.wrap(sample.name, _LETTERS, max_lines=_NAME_LINES, placeholder="…")
    lines = [*name, f"{width} × {height} px"]
    if not count:
        return [*lines, "no target"]
    first = int(np.flatnonzero(targets.image == place)[0])
    ratio = targets.scr[first]
    text = f"{targets.area[first]} px" + ("" if np.isnan(ratio) else f", SCR {ratio:.1f}")
    return [*lines, "1 target" if count == 1 else f"{count} targets", text]


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without ticks at a place in inches from the top left corner."""
    total = figure.get_figheight()
    axes = figure.add_axes(
        (left / PAGE, 1 - (top + height) / total, width / PAGE, height / total)
    )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="0.6", linewidth=0.4)
    return axes


def _grown(box: Box) -> Box:
    rows, columns = (slice(side.start - _SURROUND, side.stop + _SURROUND) for side in box)
    return rows, columns


def _mark(axes: Axes, box: Box, color: str, width: float) -> None:
    rows, columns = box
    axes.add_patch(
        Rectangle(
            (columns.start - 0.5, rows.start - 0.5),
            columns.stop - columns.start,
            rows.stop - rows.start,
            fill=False,
            ec=color,
            lw=width,
        )
    )
