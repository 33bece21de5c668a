"""`datasets get`: a data set below the data root."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import DATA_ROOT, out


def command(
    name: Annotated[str, typer.Argument(help="data set, e.g. sirst; see `datasets list`")],
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    url: Annotated[
        str | None,
        typer.Option(help="take the archive from here: a mirror's address, or a file you have"),
    ] = None,
) -> None:
    """Download a data set, or say how to, and check that it is complete.

    SIRST is downloaded from its public repository into DIR/SIRST. Every file is
    compared with a known checksum, so that any mirror will do. The same command
    begins an interrupted download anew. What is there is never overwritten, only
    checked.

    For sets that their authors keep behind drive links, the steps and the folder
    are printed, and whether the files are there.

    Exit code: 0 it is there and complete, 1 it is not there, 2 the download
    failed or a file is wrong.

    \b
      python run_benchmark.py datasets get sirst --data-root data
      python run_benchmark.py datasets get sirst --data-root data --url sirst.zip
      python run_benchmark.py datasets get irstd1k --data-root data
    """
    from benchmark.data.get import get_dataset

    raise typer.Exit(get_dataset(name, data_root, url, out))
