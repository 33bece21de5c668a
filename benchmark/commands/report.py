"""`report`: tables and figures of earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import out
from benchmark.errors import UserError


def command(
    folder: Annotated[Path, typer.Argument(help="output folder of earlier runs")],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="POINT",
            help="read the stored curves elsewhere than at probability 0.5: best-iou, or fa=1e-5 "
            "for the best Pd within that rate; chosen on the test set, and labelled so",
        ),
    ] = None,
    without_failed: Annotated[
        bool,
        typer.Option("--without-failed", help="leave out cells that have no result"),
    ] = False,
) -> None:
    """Rebuild tables and figures from the records in a folder, without running anything.

    With --at they go to FOLDER/report/at-.../, beside the others.
    """
    from benchmark.report import write_report
    from benchmark.report.operating import parse_point

    if not folder.is_dir():
        raise UserError(f"report {folder}: no such folder")
    write_report(folder, out, parse_point(at) if at is not None else None, without_failed)
