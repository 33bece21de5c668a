"""The `datasets compare` command: reads two sets, measures, prints, draws."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmark.console import say
from benchmark.data.figures.comparison import compare, to_csv
from benchmark.data.figures.comparison_figure import comparison_figure
from benchmark.data.figures.files import checked_output, write_png
from benchmark.data.figures.named_set import read_set
from benchmark.data.figures.summary import print_comparison
from benchmark.figures.style import drawing
from benchmark.records.store import write_atomic


def compare_sets(
    first: str, second: str, root: Path | None, output: Path | None, console: Console
) -> None:
    """Print two sets side by side, and write the figure and the table.

    Args:
        first: `NAME` or `NAME@SPLIT`, see `read_set`.
        second: the set it is compared with, named in the same way.
        root: folder of the downloaded sets.
        output: the figure, .png; the table goes beside it, as .csv.
        console: where to print.

    Raises:
        UserError: see `read_set`; or the output is no .png.
    """
    checked_output(output, first)  # before the work
    a, b = (read_set(text, root, console) for text in (first, second))
    path = checked_output(output, f"{a.file_name}-vs-{b.file_name}")
    lines = compare(a, b)
    print_comparison(a, b, lines, console)
    with drawing():
        write_png(comparison_figure(a, b, lines), path, console)
    table = path.with_suffix(".csv")
    write_atomic(table, to_csv(a, b, lines))
    say(console, f"wrote {table}")
