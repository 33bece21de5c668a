"""`datasets export`: the synthetic set as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import out


def command(
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
    from benchmark.data.export import export_synthetic

    export_synthetic(name, folder, force, out)
