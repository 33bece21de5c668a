"""The `datasets` commands: what data there is, where to get it, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import out

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
def export(
    name: Annotated[
        str, typer.Argument(help="synthetic, with level and options behind colons if you like")
    ],
    folder: Annotated[Path, typer.Argument(help="folder to write to; new or empty")],
    force: Annotated[bool, typer.Option("--force", help="replace an earlier export there")] = False,
) -> None:
    """Write the synthetic set as files: images, masks, lists and a README.

    Levels: standard (the default), easy, hard. Options: size (side, px), train and
    test (images), seed, bits (8 or 14). --dataset takes the same names.

    Examples:

      python run_benchmark.py datasets export synthetic data/synthetic

      python run_benchmark.py datasets export synthetic:hard:size=256:train=1000 data/hard
    """
    from benchmark.dataset_export import export_synthetic

    export_synthetic(name, folder, force, out)
