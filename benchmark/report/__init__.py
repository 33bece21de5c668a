"""Records -> leaderboard, figures. Knows records only; imports neither torch nor the run side."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmark.errors import UserError
from benchmark.report.collect import collect
from benchmark.report.columns import title
from benchmark.report.latex import latex
from benchmark.report.model import Collection
from benchmark.report.operating import Point
from benchmark.report.tables import csv_text, markdown, print_tables


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
    paths = _write(folder, collection, warnings)
    for path in paths:
        console.print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)
    for warning in warnings:
        console.print(
            f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True
        )
    return paths


def _write(folder: Path, collection: Collection, warnings: list[str]) -> list[Path]:
    from benchmark.records.store import write_atomic
    from benchmark.report.losses_compared import losses_csv
    from benchmark.report.published import published_section
    from benchmark.report.sensitivity import sensitivity_csv
    from benchmark.report.statistics_page import pairs_csv, statistics_markdown

    published = published_section(table.dataset for table in collection.tables)
    page = folder / "leaderboard.md"
    texts = {
        page: markdown(collection, [], published),
        folder / "leaderboard.csv": csv_text(collection),
        folder / "leaderboard.tex": latex(collection),
        folder / "statistics.md": statistics_markdown(collection),
        folder / "pairs.csv": pairs_csv(collection),
        folder / "losses.csv": losses_csv(collection),
        folder / "sensitivity.md": _sensitivity_page(collection),
        folder / "sensitivity.csv": sensitivity_csv(collection),
    }
    for path in [path for path, text in texts.items() if not text]:
        path.unlink(missing_ok=True)  # an earlier report may have had more to say
        del texts[path]
    for path, text in texts.items():
        write_atomic(path, text)
    figures = _draw(folder / "figures", collection, warnings)
    # Once more with the pictures, whose names are known only now.
    pictures = [path.relative_to(folder).as_posix() for path in figures if path.suffix == ".png"]
    write_atomic(page, markdown(collection, pictures, published))
    return [*texts, *figures]


def _sensitivity_page(collection: Collection) -> str:
    """All sections on the targets' sizes, contrasts and places; "" where there is none."""
    from benchmark.report.sensitivity import sensitivity_markdown

    sections = [(title(table), sensitivity_markdown(table)) for table in collection.tables]
    parts = [f"## {name}\n\n{section}" for name, section in sections if section]
    return "\n".join(["# Scale and location sensitivity\n", *parts]) if parts else ""


def _draw(folder: Path, collection: Collection, warnings: list[str]) -> list[Path]:
    from benchmark.report.curve_figures import pd_fa_figure, roc_pr_figure
    from benchmark.report.figures import overview_figure, training_figure
    from benchmark.report.panels import example_figures
    from benchmark.report.sensitivity_figure import sensitivity_figure
    from benchmark.report.style import Style, drawing, save

    paths, trained = [], set()
    with drawing():
        style = Style(collection)
        for table in collection.tables:
            figures = {
                f"leaderboard_{table.slug}": overview_figure(table, style),
                f"pd_fa_{table.slug}": pd_fa_figure(table, style),
                f"roc_pr_{table.slug}": roc_pr_figure(table, style),
                f"sensitivity_{table.slug}": sensitivity_figure(table, style),
            }
            runs = table.dataset, table.test_hash, table.recipe, table.selection, table.leaked
            # Neither again under another protocol nor under a further rule of the same runs.
            own = any(run.own for row in table.rows for run in row.done)
            if own and runs not in trained:
                trained.add(runs)
                figures[f"training_{table.slug}"] = training_figure(table, style)
                examples, unusable = example_figures(table)
                warnings += unusable
                for number, figure in enumerate(examples, start=1):
                    suffix = f"_{number}" if number > 1 else ""
                    figures[f"examples_{table.slug}{suffix}"] = figure
            for name, figure in figures.items():
                if figure is not None:
                    paths += save(figure, folder / name)
    return paths
