"""`datasets compare`: two data sets side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import DATA_ROOT, NAMED, PLUGINS, load_plugins, out


def command(
    first: Annotated[str, typer.Argument(metavar="A", help=NAMED)],
    second: Annotated[str, typer.Argument(metavar="B", help="likewise; the one compared with")],
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="the figure, with the table beside it as FILE.csv; default: "
            "results/datasets/A-vs-B.png",
        ),
    ] = None,
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Put two data sets side by side: crops, histograms, spectra, and how much they overlap.

    The overlap is that of the histograms: 1 if they are the same, 0 if they have nothing in common.
    The ceiling beside it is what two sets of these sizes reach that are both drawn from B. Without
    @SPLIT it is the test split.

    Examples:

      python run_benchmark.py datasets compare synthetic@train sirst@trainval --data-root DIR

      python run_benchmark.py datasets compare sirst@trainval sirst@test --data-root DIR
    """
    from benchmark.data.compare import compare_sets

    load_plugins(plugins)
    compare_sets(first, second, data_root, output, out)
