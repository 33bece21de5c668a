"""`docs`: the computed pages of docs/."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import out


def command(
    folder: Annotated[Path, typer.Argument(help="where to")] = Path("docs"),
    data_root: Annotated[
        Path | None,
        typer.Option(help="folder with the real SIRST images; then the page on the synthetic set"),
    ] = None,
) -> None:
    """Write the computed pages of docs/: protocols by eye, what seeds buy, losses.

    With --data-root DIR, write instead the page that sets the synthetic set beside the SIRST images
    in that folder: without them it is left alone (IRSTD_DATA_ROOT does not count here).
    """
    from docs.build import write_docs, write_synthetic

    if data_root is None:
        write_docs(folder, out)
    else:
        write_synthetic(folder, data_root, out)
