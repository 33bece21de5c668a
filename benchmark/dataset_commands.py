"""The `datasets` commands: what data there is, where to get it, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import out

DATA_ROOT = typer.Option(help="folder with the downloaded data sets; or set IRSTD_DATA_ROOT")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def datasets() -> None:
    """What data there is, where to get it, what it looks like, and what is wrong with it."""


@app.command("list")
def list_() -> None:
    """List the data sets that can be read."""
    from benchmark.listing import print_lists

    print_lists("datasets", None, out)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="data set, e.g. sirst; see `datasets list`")],
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    url: Annotated[
        str | None,
        typer.Option(help="take the archive from here: a mirror's address, or a file you have"),
    ] = None,
) -> None:
    """Download a data set, or say how to, and check that it is complete.

    SIRST is downloaded from its public repository into DIR/SIRST, and every file is compared with a
    known checksum, so that any mirror will do. An interrupted download goes on where it stopped
    (if the server can; else from the start) with the same command. Nothing that is there is ever
    overwritten: a copy that you have is only checked. For sets that their authors keep behind
    drive links the steps and the folder are printed, and whether the files are there.

    Exit code: 0 it is there and complete, 1 it is not, 2 the download failed or a file is wrong.

    Examples:

      python run_benchmark.py datasets get sirst --data-root data

      python run_benchmark.py datasets get sirst --data-root data --url ~/Downloads/sirst.zip

      python run_benchmark.py datasets get irstd1k --data-root data
    """
    from benchmark.get import get_dataset

    raise typer.Exit(get_dataset(name, data_root, url, out))
