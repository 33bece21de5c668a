"""Figures for a paper: sizes, fonts, axes, files. Knows nothing of what is drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib

matplotlib.use("Agg")  # before seaborn, which imports pyplot: no window, no display needed

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.records.store import write_atomic

COLUMN = 8.5 / 2.54  # inches: the width of one column of a two-column page
PAGE = 17.5 / 2.54
DPI = 300

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


@contextmanager
def drawing() -> Iterator[None]:
    """The drawing settings of all figures, undone afterwards."""
    with sns.axes_style("ticks"), matplotlib.rc_context(cast(Any, _RC)):
        yield


def palette(count: int) -> list[tuple[float, float, float]]:
    """Colours that people with any kind of colour vision tell apart, as long as they are few."""
    return sns.color_palette("colorblind", count)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, kept out of pyplot's global list."""
    return Figure(figsize=(width, height), layout="constrained")


def at_least(span: float, low: float, high: float) -> tuple[float, float]:
    """Limits of an axis of non-negative numbers, widened to `span`.

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
    """Write `stem.png` and `stem.pdf`."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf")]
    for path in paths:
        write_atomic(path, encode(figure, path.suffix[1:]))
    return paths


def encode(figure: Figure, kind: str) -> bytes:
    """The content of a `png` or `pdf`; the same figure gives the same bytes."""
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}}[kind]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()
