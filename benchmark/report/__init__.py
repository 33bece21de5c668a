"""Records -> leaderboard, figures. Knows records only; imports neither torch nor the run side.

`write` does it; what it writes is listed in `pages` and `figures`. `collect` reads the records into
the tables of `model`.
"""

from __future__ import annotations

from benchmark.report.write import write_report

__all__ = ["write_report"]
