"""`datasets audit`: what is wrong with the files of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import DATA_ROOT, out


def command(
    name: Annotated[str, typer.Argument(help="data set, e.g. sirst, sirst:idx_320 or folder:PATH")],
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write all findings here, too")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="look for images shared with these sets, too: names by comma, or all that are "
            "below the data root",
        ),
    ] = None,
) -> None:
    """Check the files of a data set, and look for images that it has twice or shares.

    [red]Errors[/] make numbers wrong: files that are missing or cannot be read, masks of
    another size than their image or with more target than background, images that
    are in the training and in the test part.

    [yellow]Warnings[/] are worth knowing: masks that are empty, grey or large, equal images,
    frames of one scene in training and test part, images that another set trains
    on.

    [cyan]Notes[/] are harmless here: files in no list, frames of one scene within a part.

    Frames of one scene are found by a perceptual hash and confirmed by a
    correlation (r), also where one is cropped, shifted by up to a fifth, or of
    another brightness; not where it is turned, mirrored or scaled.

    Exit code: 0 without errors (warnings and notes do not count), 1 with errors,
    2 if there is nothing to audit.

    \b
      python run_benchmark.py datasets audit sirst --data-root data
      python run_benchmark.py datasets audit sirst --data-root data --against all
    """
    from benchmark.data.audit import audit_dataset

    raise typer.Exit(audit_dataset(name, data_root, json, against, out))
