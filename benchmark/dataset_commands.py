"""The `datasets` commands: what data there is, where to get it, and what is wrong with it."""

from __future__ import annotations

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
