"""`datasets show`: what a data set looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import DATA_ROOT, NAMED, PLUGINS, load_plugins, out


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help=NAMED)],
    split: Annotated[
        str | None,
        typer.Option(
            help="e.g. trainval, or all for training and test together; the test split by default"
        ),
    ] = None,
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="the contact sheet; default: results/datasets/NAME-SPLIT.png"
        ),
    ] = None,
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Show what a data set looks like: a contact sheet, histograms, and its numbers.

    The sheet has 12 images, evenly spaced from the smallest first target to the largest. Histograms
    of size, SCR, contrast and place of the targets, and of the images, go to FILE-statistics.png.

    Examples:

      python run_benchmark.py datasets show synthetic

      python run_benchmark.py datasets show sirst --split all --data-root DIR
    """
    from benchmark.data.show import show_set

    load_plugins(plugins)
    show_set(name if split is None else f"{name}@{split}", data_root, output, out)
