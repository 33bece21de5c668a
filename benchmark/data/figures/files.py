"""Figures as PNG files at 300 dpi; the same figure gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from benchmark.console import say
from benchmark.errors import UserError
from benchmark.figures.style import encode
from benchmark.records.store import write_atomic

FOLDER = Path("results/datasets")
"""Where pictures go without --output."""


def checked_output(output: Path | None, default: str) -> Path:
    """The file to write, `FOLDER/default.png` if none is given.

    Raises:
        UserError: the name does not end in .png.
    """
    path = output or FOLDER / f"{default}.png"
    if path.suffix.lower() != ".png":
        raise UserError(f"--output {path}: the picture is a PNG; give a name that ends in .png")
    return path


def write_png(figure: Figure, path: Path, console: Console) -> None:
    """Write a figure and say where.

    Raises:
        OSError: it cannot be written.
    """
    write_atomic(path, encode(figure, "png"))
    say(console, f"wrote {path}")
