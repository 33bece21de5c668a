"""The `datasets show` command: reads, measures, prints, draws."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmark.data.figures.files import checked_output, write_png
from benchmark.data.figures.histograms import histogram_figure
from benchmark.data.figures.named_set import read_set
from benchmark.data.figures.sheet import contact_sheet
from benchmark.data.figures.summary import print_summary
from benchmark.figures.style import drawing


def show_set(text: str, root: Path | None, output: Path | None, console: Console) -> None:
    """Print the numbers of a set, and write its contact sheet and its histograms.

    Args:
        text: `NAME` or `NAME@SPLIT`, see `read_set`.
        root: folder of the downloaded sets.
        output: the contact sheet, .png; the histograms go beside it, as `...-statistics.png`.
        console: where to print.

    Raises:
        UserError: see `read_set`; or the output is no .png.
    """
    checked_output(output, text)  # before the work
    subject = read_set(text, root, console)
    path = checked_output(output, subject.file_name)
    print_summary(subject, console)
    with drawing():
        write_png(contact_sheet(subject), path, console)
        statistics = path.with_name(f"{path.stem}-statistics.png")
        write_png(histogram_figure(subject), statistics, console)
