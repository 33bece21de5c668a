"""Records of a folder -> `OUTPUT/report/`: everything that `PAGES` and `FIGURES` list."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmark.console import say
from benchmark.errors import UserError
from benchmark.report.collect import collect
from benchmark.report.model import Collection
from benchmark.report.operating import Point
from benchmark.report.tables import markdown, print_tables


def write_report(
    output: Path, console: Console, at: Point | None = None, without_failed: bool = False
) -> list[Path]:
    """Print the leaderboard, then write `OUTPUT/report/`.

    Args:
        output: the folder that a benchmark wrote, with `runs/` in it.
        at: read the numbers from the curves there, and write to `OUTPUT/report/at-.../`.
        console: where the tables, the list of written files and the warnings go.
        without_failed: leave out cells that have no result.

    Returns:
        The files written.

    Raises:
        UserError: there is no record to report on.
    """
    collection = collect(output, at, without_failed)
    warnings = collection.warnings
    if not collection.tables:
        number = "1 file is no record" if len(warnings) == 1 else f"{len(warnings)} are no records"
        found = f"; {number}: {warnings[0]}" if warnings else ""
        if without_failed and collect(output).tables:
            raise UserError(f"{output}: no cell has a result; leave out --without-failed")
        if at is not None and collect(output).tables:
            raise UserError(f"{output}: no record has a curve, so --at cannot be applied")
        raise UserError(
            f"no records in {output / 'runs'} (looked for **/record.json{found}); name the "
            "--output folder of a benchmark run, or run one with that --output first"
        )
    # First of all, and before matplotlib is imported: a person waits for this.
    print_tables(collection, console)
    folder = output / "report" / (f"at-{at.slug}" if at else "")
    paths, unusable = _write(folder, collection)
    for path in paths:
        say(console, f"wrote {path}")
    for warning in [*warnings, *unusable]:
        say(console, f"warning: {warning}", "yellow")
    return paths


def _write(folder: Path, collection: Collection) -> tuple[list[Path], list[str]]:
    """Write the files of the report; returns them, and what could not be drawn."""
    # Here, not at the top: matplotlib is not needed for what is printed first.
    from benchmark.records.store import write_atomic
    from benchmark.report.figures import draw
    from benchmark.report.pages import PAGES
    from benchmark.report.published import published_section

    written = []
    for name, text_of in PAGES.items():
        path = folder / name
        if text := text_of(collection):
            write_atomic(path, text)
            written.append(path)
        else:
            path.unlink(missing_ok=True)  # an earlier report may have had more to say
    figures, warnings = draw(collection, folder / "figures")
    # Last of all: it shows the pictures.
    page = folder / "leaderboard.md"
    pictures = [path.relative_to(folder).as_posix() for path in figures if path.suffix == ".png"]
    published = published_section(table.dataset for table in collection.tables)
    write_atomic(page, markdown(collection, pictures, published))
    return [page, *written, *figures], warnings
