"""The pictures of the gallery: the pixels of each scene, and beside them the verdicts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Rectangle
from matplotlib.patheffects import withStroke

from benchmark.evaluation.protocol import RADIUS
from benchmark.figures.pixels import outline
from benchmark.figures.style import PAGE, new_figure
from datasets.components import label_components
from docs.build.scenes import Scene
from docs.build.verdicts import REFERENCE, cells

_PAPER, _FOUND, _MISSED, _FALSE = "#f4f4f4", "#00a878", "#e8112d", "#ffc20a"
_MARK = "#d9c8f5"  # behind a verdict that differs
_TARGET, _PREDICTION = "black", "#0038a8"
_TARGET_SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))  # (down, across), in order of preference
_PREDICTION_SIDES = ((1, 0), (0, 1), (0, -1), (-1, 0))
_PIXEL = 0.084  # inches
_ROWS, _COLUMNS = 12, 20  # pixels of the frames
_ACROSS = 2
_HEAD, _TEXT, _GAP = 0.22, 0.45, 0.1  # inches: title, three lines of text, what separates rows
_LEGEND = 0.46
_LETTERS = 68  # in a line of text
_TITLE_SIZE, _SIZE, _HEADER_SIZE, _LABEL_SIZE = 9, 8, 7, 6.5
_WIDTHS = {"hit": 0.23, "false px": 0.2, "hIoU": 0.17, "IoU": 0.19, "Pd": 0.19}


def gallery_figure(scenes: Sequence[Scene], columns: Sequence[str]) -> Figure:
    """Scenes two in a row, each with its pixels, its verdicts and its text.

    Args:
        scenes: at most 12 x 20 pixels each.
        columns: of the verdicts, see `Verdict.cell`.
    """
    picture = _ROWS * _PIXEL
    step = _HEAD + picture + _TEXT + _GAP
    rows = -(-len(scenes) // _ACROSS)
    height = rows * step + _LEGEND
    figure = new_figure(PAGE, height)
    figure.set_layout_engine("none")  # all frames have the same scale: places are in inches
    width = PAGE / _ACROSS

    def place(left: float, top: float, w: float, h: float) -> Axes:
        return figure.add_axes((left / PAGE, 1 - (top + h) / height, w / PAGE, h / height))

    for number, scene in enumerate(scenes):
        left = 0.06 + number % _ACROSS * width
        top = _LEGEND + number // _ACROSS * step
        figure.text(
            left / PAGE,
            1 - (top + _HEAD / 2) / height,
            scene.title,
            size=_TITLE_SIZE,
            weight="bold",
            va="center",
        )
        frame = _COLUMNS * _PIXEL
        draw_scene(place(left, top + _HEAD, frame, picture), scene)
        _draw_verdicts(
            place(left + frame + 0.04, top + _HEAD, width - frame - 0.16, picture), scene, columns
        )
        figure.text(
            left / PAGE,
            1 - (top + _HEAD + picture + 0.05) / height,
            textwrap.fill(scene.text, _LETTERS),
            size=_SIZE,
            va="top",
            linespacing=1.1,
        )
    _draw_legend(figure)
    return figure


def draw_scene(axes: Axes, scene: Scene) -> None:
    """The pixels with a grid, outlines, numbers, centroids and the circle of the matching."""
    truth, predicted = scene.maps()
    height, width = truth.shape
    kind = truth + 2 * predicted  # of a pixel: index into the colours
    colors = np.array([to_rgb(color) for color in (_PAPER, _MISSED, _FALSE, _FOUND)])
    axes.imshow(colors[kind], interpolation="nearest", zorder=1)
    grid = {"colors": "0.83", "lw": 0.35, "zorder": 2}
    axes.vlines(np.arange(1, width) - 0.5, -0.5, height - 0.5, **grid)
    axes.hlines(np.arange(1, height) - 0.5, -0.5, width - 0.5, **grid)
    outline(axes, truth, _TARGET, "-", 1.3)
    outline(axes, predicted, _PREDICTION, (0, (2.2, 1.6)), 1.3)
    labels_at: list[tuple[float, float]] = []
    for binary, letter, marker, (size, halo), color, sides in (
        (truth, "T", "+", (7, 2.8), _TARGET, _TARGET_SIDES),
        (predicted, "P", "x", (4.6, 1.8), _PREDICTION, _PREDICTION_SIDES),
    ):
        components, labels = label_components(binary)
        for number, (row, column) in enumerate(components.centroids, start=1):
            if letter == "T":
                axes.add_patch(
                    Circle((column, row), RADIUS, fill=False, ec="0.25", lw=0.6, ls=(0, (1, 1.5)),
                           zorder=3)
                )  # fmt: skip
            axes.plot(
                column, row, marker, c=color, ms=size, mew=1.1, zorder=5,
                path_effects=[withStroke(linewidth=halo, foreground="white")],
            )  # fmt: skip
            y, x = _label_place(labels == number, kind > 0, labels_at, sides)
            labels_at.append((y, x))
            axes.text(
                x, y, f"{letter}{number}", color=color, size=_LABEL_SIZE,
                weight="bold", ha="center", va="center", zorder=6,
                path_effects=[withStroke(linewidth=1.6, foreground="white")],
            )  # fmt: skip
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set(color="0.6", linewidth=0.6)


def _label_place(
    component: np.ndarray,
    taken: np.ndarray,
    others: Sequence[tuple[float, float]],
    sides: Sequence[tuple[int, int]],
) -> tuple[float, float]:
    """Row and column of a component's label: the first side that is free.

    Args:
        component: (H, W) bool.
        taken: (H, W) bool, pixels that a label should not hide.
        others: the labels that are there already.
        sides: (down, across), in order of preference.
    """
    on = np.argwhere(component)
    (top, left), (bottom, right) = on.min(axis=0), on.max(axis=0)
    height, width = component.shape
    places = [
        (
            (top + bottom) / 2 + down * ((bottom - top) / 2 + 1.1),
            (left + right) / 2 + across * ((right - left) / 2 + 1.4),
        )
        for down, across in sides
    ]
    possible = [
        (y, x)
        for y, x in places
        if -0.1 <= y <= height - 0.9
        and 0.2 <= x <= width - 1.2
        and all(abs(y - y2) > 1.2 or abs(x - x2) > 1.7 for y2, x2 in others)
    ]
    free = [
        (y, x)
        for y, x in possible
        if not taken[round(y), round(x - 0.7) : round(x + 0.7) + 1].any()
    ]
    inside = (bottom - 0.1, (left + right) / 2)
    return [*free, *possible, inside][0]


def _draw_verdicts(axes: Axes, scene: Scene, columns: Sequence[str]) -> None:
    """A small table, one line a protocol."""
    table = cells(scene, columns)
    axes.set(xlim=(0, 1), ylim=(len(table) + 1, 0))
    axes.axis("off")
    # The names take what the columns leave.
    edges = 1 - np.cumsum([0, *(_WIDTHS[column] for column in reversed(columns))])[::-1]
    middles = (edges[:-1] + edges[1:]) / 2
    for x, column in zip(middles, columns, strict=True):
        axes.text(x, 0.5, column, size=_HEADER_SIZE, ha="center", va="center", color="0.3")
    axes.plot([0, 1], [1, 1], c="0.3", lw=0.6)
    for line, (name, verdict) in enumerate(table.items(), start=1):
        weight = "bold" if name == REFERENCE else "normal"
        axes.text(0, line + 0.5, name, size=_SIZE, va="center", weight=weight)
        for x, left, right, (text, differs) in zip(
            middles, edges, edges[1:], verdict, strict=False
        ):
            if differs:
                axes.add_patch(
                    Rectangle((left + 0.008, line + 0.06), right - left - 0.016, 0.88,
                              fc=_MARK, ec="0.3", lw=0.5)
                )  # fmt: skip
            axes.text(
                x, line + 0.5, text, size=_SIZE, ha="center", va="center",
                weight="bold" if differs else weight,
            )  # fmt: skip


def _draw_legend(figure: Figure) -> None:
    def line(color: str, **look: object) -> Line2D:
        return Line2D([], [], color=color, **look)

    pixel = {"ec": "0.6", "lw": 0.5}
    handles = {
        "target pixel found": Patch(fc=_FOUND, **pixel),
        "target pixel missed": Patch(fc=_MISSED, **pixel),
        "false pixel": Patch(fc=_FALSE, **pixel),
        f"verdict differs from {REFERENCE}": Patch(fc=_MARK, ec="0.3", lw=0.5),
        "target T1, T2, ...: outline": line(_TARGET, lw=1.3),
        "its centroid": line(_TARGET, marker="+", ls="", ms=5, mew=1.1),
        f"{RADIUS} px around it": line("0.25", lw=0.8, ls=(0, (1, 1.5))),
        "prediction P1, P2, ...: outline": line(_PREDICTION, lw=1.3, ls=(0, (2.2, 1.6))),
        "its centroid ": line(_PREDICTION, marker="x", ls="", ms=5, mew=1.1),
    }
    entries = list(handles.items())
    for part, y in ((entries[:4], 1.0), (entries[4:], 1 - 0.19 / figure.get_figheight())):
        figure.legend(
            handles=[handle for _, handle in part],
            labels=[label for label, _ in part],
            loc="upper center",
            bbox_to_anchor=(0.5, y),
            ncol=len(part),
            fontsize=_SIZE,
            borderaxespad=0.2,
            borderpad=0.1,
        )
