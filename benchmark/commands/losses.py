"""`losses`: the values that losses give to right, empty and wrong predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmark.commands.options import PLUGINS, load_plugins, out
from benchmark.console import say, with_progress
from benchmark.errors import UserError

_WIDE = 160  # columns of a terminal that the titles of papers fit into


def command(
    names: Annotated[
        str, typer.Option("--losses", "--loss", help="names, comma lists, wildcards; '*' is all")
    ] = "*",
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="draw them while a disc grows and moves"),
    ] = None,
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """What losses make of right, empty and wrong predictions; with --plot, their curves.

    Examples:

      python run_benchmark.py losses

      python run_benchmark.py losses --losses sls,sls_centroid:per_target=true --plot a.png

    docs/losses.md explains what to see.
    """
    from losses import REGISTRY

    load_plugins(plugins)
    chosen = REGISTRY.match([names])
    if plot is None:
        print_losses(chosen, out)
    else:
        plot_losses(chosen, plot, out)


def print_losses(names: Sequence[str], console: Console) -> None:
    """Print what each loss is averaged over, and its values."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from benchmark.figures.discs import DEEP
    from benchmark.figures.loss_values import AREA, OFF, summaries

    wide = console.width >= _WIDE  # else there is room for names and numbers only
    shown = Table(box=SIMPLE_HEAD)
    for column in ("loss", "paper", "per") if wide else ("loss", "per"):
        shown.add_column(column, no_wrap=True)
    for column in ("perfect", "empty", f"{OFF} px off"):
        shown.add_column(column, justify="right", no_wrap=True)
    for s in summaries(names):
        facts = (s.name, s.paper, s.over) if wide else (s.name, s.over)
        shown.add_row(*facts, *s.numbers)
    console.print(shown)
    console.print(
        f"past the warm-up, one target of {AREA} px in 256 x 256, logits of ±{DEEP:.0f}; "
        "per: what a loss is averaged over"
        + ("" if wide else "; papers: `list losses`, or a wider terminal"),
        style="dim", highlight=False,
    )  # fmt: skip


def plot_losses(names: Sequence[str], file: Path, console: Console) -> None:
    """Draw the curves of these losses, growing above moving.

    Raises:
        UserError: not a PNG file, more losses than looks, or no such folder.
    """
    from benchmark.figures.discs import AREAS, grow, move
    from benchmark.figures.losses import MOST, both_figure
    from benchmark.figures.png import png
    from benchmark.figures.style import drawing
    from benchmark.records.store import write_atomic

    if file.suffix.lower() != ".png":
        raise UserError(f"--plot {file}: give the name of a .png file")
    if not file.absolute().parent.is_dir():
        raise UserError(f"--plot {file}: there is no such folder")
    if len(names) > MOST:
        raise UserError(f"--plot: {len(names)} losses, at most {MOST} can be told apart; --losses")
    for name in with_progress(names, "losses", console):
        for area in AREAS:
            grow(name, area)
            move(name, area)
    with drawing():
        write_atomic(file, png(both_figure(names)))
    say(console, f"wrote {file}")
