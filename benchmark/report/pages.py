"""The texts of a report besides the leaderboard's page. A new one is a line here.

Figures are listed in `figures`.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmark.report.latex import latex
from benchmark.report.losses_compared import losses_csv
from benchmark.report.model import Collection
from benchmark.report.sensitivity_page import sensitivity_csv, sensitivity_page
from benchmark.report.statistics_page import pairs_csv, statistics_markdown
from benchmark.report.tables import csv_text

PAGES: dict[str, Callable[[Collection], str]] = {
    "leaderboard.csv": csv_text,
    "leaderboard.tex": latex,
    "statistics.md": statistics_markdown,
    "pairs.csv": pairs_csv,
    "losses.csv": losses_csv,
    "sensitivity.md": sensitivity_page,
    "sensitivity.csv": sensitivity_csv,
}
"""File name -> its text; "" where the records have nothing for it, then it is not written.

In the order in which they are listed to the user.
"""
