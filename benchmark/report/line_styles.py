"""How methods look in the report: a colour a detector, a line style a loss, in all its figures."""

from __future__ import annotations

from dataclasses import dataclass, replace

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.figures.style import palette
from benchmark.report.differences import show
from benchmark.report.model import Collection, Row

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
        self._palette = palette(max(len(self.detectors), 1))

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
        """Draw a legend below the axes, one entry a method."""
        looks = {method_label(row): self.line(row) for row in rows}
        self._draw_legend(figure, looks, columns=columns, markers=markers)

    def detector_legend(self, figure: Figure, rows: list[Row], markers: bool = True) -> None:
        """Draw a legend below the axes, one entry a detector, for panels that name the loss."""
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

    Weights appear as the first digits of their hash: a figure has no room for more.
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
