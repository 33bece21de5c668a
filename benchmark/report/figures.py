"""The figures of a report. A new one is a line here.

Texts are listed in `pages`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from benchmark.figures.style import drawing, save
from benchmark.report.curve_figures import pd_fa_figure, roc_pr_figure
from benchmark.report.line_styles import Style
from benchmark.report.model import Collection, Table
from benchmark.report.overview_figure import overview_figure
from benchmark.report.panels import example_figures
from benchmark.report.sensitivity_figure import sensitivity_figure
from benchmark.report.training_figure import training_figure

Drawn = Figure | None | tuple[list[Figure], list[str]]
"""A figure, or None where a table has nothing for it; or several, with warnings."""


class Kind(NamedTuple):
    """How a figure is drawn.

    Attributes:
        draw: from a table of the report, in the report's looks.
        once: the same for all tables of one training: drawn neither again under another protocol
            nor under a further selection rule of the same runs.
    """

    draw: Callable[[Table, Style], Drawn]
    once: bool = False


FIGURES: dict[str, Kind] = {
    "leaderboard": Kind(overview_figure),
    "pd_fa": Kind(pd_fa_figure),
    "roc_pr": Kind(roc_pr_figure),
    "sensitivity": Kind(sensitivity_figure),
    "training": Kind(training_figure, once=True),
    "examples": Kind(lambda table, _: example_figures(table), once=True),
}
"""Beginning of its file names -> the figure. In the order of the leaderboard's page."""


def draw(collection: Collection, folder: Path) -> tuple[list[Path], list[str]]:
    """Draw all figures of all tables; the files written, and what could not be used."""
    paths, warnings = [], []
    trained = set()
    with drawing():
        style = Style(collection)
        for table in collection.tables:
            training = table.dataset, table.test_hash, table.recipe, table.selection, table.leaked
            own = any(run.own for row in table.rows for run in row.done)
            first = own and training not in trained
            if first:
                trained.add(training)
            for name, kind in FIGURES.items():
                if kind.once and not first:
                    continue
                found = kind.draw(table, style)
                figures: Sequence[Figure | None]
                figures, problems = found if isinstance(found, tuple) else ((found,), [])
                warnings += problems
                for number, figure in enumerate(filter(None, figures), start=1):
                    suffix = f"_{number}" if number > 1 else ""
                    paths += save(figure, folder / f"{name}_{table.slug}{suffix}")
    return paths, warnings
