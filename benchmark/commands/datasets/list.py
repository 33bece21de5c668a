"""`datasets list`: the data sets that can be read, and those on this disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import out


def command(
    data_root: Annotated[
        Path | None,
        typer.Option(
            help="folder with the downloaded data sets, or one of them: says what is there; "
            "or set IRSTD_DATA_ROOT"
        ),
    ] = None,
) -> None:
    """List the data sets, where to get them, and which are on this disk.

    A data root holds the folders of the sets (SIRST/, IRSTD-1k/, ...), or is
    one of these. Your own images and masks are read as [cyan]folder:PATH[/cyan].

    \b
      python run_benchmark.py datasets list
      python run_benchmark.py datasets list --data-root ~/data

    Images are decoded once and then read from a cache in ~/.cache/irstd-bench;
    IRSTD_CACHE names another folder, IRSTD_CACHE=off does without.
    """
    from benchmark.data.list import print_datasets

    root = data_root or os.environ.get("IRSTD_DATA_ROOT") or None
    print_datasets(None if root is None else Path(root), out)
