"""How the figures look: one colour a detector, one line style a loss, the same in all of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before seaborn, which imports pyplot: no window, no display needed

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.records.store import write_atomic
from benchmark.report.differences import show
from benchmark.report.model import Collection, Row

COLUMN = 8.5 / 2.54  # inches: the width of one column of a two-column page
PAGE = 17.5 / 2.54

_ENTRY, _LETTER = 0.45, 0.05  # inches that a legend's entry takes beside its text, and a letter

_DASHES = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.1)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
_MARKERS = "os^DvPX<>*"
_RC = {
    # STIX comes with matplotlib and looks like the Times of most papers, on every machine.
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.6,
    "grid.linewidth": 0.4,
    "grid.color": "0.9",
    "axes.edgecolor": "0.2",
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # embedded as TrueType: journals refuse type 3
}


@dataclass(frozen=True)
class Line:
    """The look of one method."""

    color: tuple[float, float, float]
    dash: object
    marker: str


class Style:
    """Looks by detector and loss, fixed for all tables of a report."""

    def __init__(self, collection: Collection) -> None:
        rows = [row for table in collection.tables for row in table.rows]
        self.detectors = sorted({row.detector for row in rows})
        self.losses = sorted({loss_label(row) for row in rows})
        self._palette = sns.color_palette("colorblind", max(len(self.detectors), 1))

    def line(self, row: Row) -> Line:
        """Colour and marker from the detector, dashes from the loss (and settings)."""
        detector = self.detectors.index(row.detector)
        loss = self.losses.index(loss_label(row))
        return Line(
            self._palette[detector],
            _DASHES[loss % len(_DASHES)],
            _MARKERS[detector % len(_MARKERS)],
        )

    def legend(
        self, figure: Figure, rows: list[Row], markers: bool = True, columns: int = 2
    ) -> None:
        """Below the axes, one entry a method."""
        looks = {method_label(row): self.line(row) for row in rows}
        self._draw_legend(figure, looks, columns=columns, markers=markers)

    def detector_legend(self, figure: Figure, rows: list[Row], markers: bool = True) -> None:
        """Below the axes, one entry a detector, for figures whose panels name the loss."""
        looks = {row.detector: replace(self.line(row), dash="-") for row in rows}
        self._draw_legend(figure, looks, columns=6, markers=markers)

    def _draw_legend(
        self, figure: Figure, looks: dict[str, Line], columns: int, markers: bool
    ) -> None:
        handles = [
            Line2D(
                [],
                [],
                color=look.color,
                ls=look.dash,
                lw=1.1,
                label=label,
                marker=look.marker if markers else "",
                ms=4,
                mec="white",
                mew=0.4,
            )
            for label, look in looks.items()
        ]
        widest = _ENTRY + _LETTER * max(map(len, looks))
        columns = max(1, min(columns, len(handles), int(figure.get_figwidth() / widest)))
        figure.legend(handles=handles, loc="outside lower center", ncol=columns)


def loss_label(row: Row) -> str:
    """The loss and, where two settings share a table, what sets the row apart.

    Of weights the first digits of their hash: a figure has no room for more.
    """
    weights = str(row.runs[0].settings.get("weights") or "").partition("sha256:")[2][:6]
    parts = [f"{key}={show(value)}" for key, value in row.variant.items() if key != "weights"]
    if row.trained:
        loss = row.loss
        parts += [f"weights {weights or show(None)}"] if "weights" in row.variant else []
    else:
        loss = f"weights {weights}" if weights else "untrained"
    return f"{loss} ({', '.join(parts)})" if parts else loss


def method_label(row: Row) -> str:
    """The detector, the loss, and whether seeds of it learned nothing."""
    collapsed = f" – {row.collapsed_text()}" if row.collapsed else ""
    return f"{row.detector}, {loss_label(row)}{collapsed}"


@contextmanager
def drawing() -> Iterator[None]:
    """The report's drawing settings, undone afterwards."""
    with sns.axes_style("ticks"), matplotlib.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, kept out of pyplot's global list."""
    return Figure(figsize=(width, height), layout="constrained")


def at_least(span: float, low: float, high: float) -> tuple[float, float]:
    """Limits of an axis of what is not negative, widened to `span`.

    Ticks 0.01 apart around one value would tell nothing.
    """
    if high - low >= span:
        return low, high
    low = max((low + high - span) / 2, -0.03 * span)
    return low, low + span


def tidy(axes: Axes) -> None:
    """Light grid behind the data, no box."""
    axes.grid(True, axis="both")
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem.png` (300 dpi) and `stem.pdf`; the same figure gives the same bytes."""
    paths = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], dpi=300, metadata=metadata)
        path = stem.with_name(stem.name + suffix)
        write_atomic(path, buffer.getvalue())
        paths.append(path)
    return paths
