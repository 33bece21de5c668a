"""Numbers that others published, set beside ours without pretending that they compare."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.report.columns import DASH

_FILE = Path(__file__).with_name("published.yaml")
_TITLES = ("Data set", "Detector", "Loss", "IoU", "nIoU", "Pd", "Fa (1e-6)", "Split", "Source")


def published_section(datasets: Iterable[str]) -> str:
    """A Markdown section for the data sets that have published rows; "" where none has."""
    # Imported here: the terminal's table, which comes first, needs neither.
    import yaml
    from tabulate import tabulate

    data = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    wanted = {data["datasets"][name] for name in datasets if name in data["datasets"]}
    rows = [row for row in data["rows"] if row[0] in wanted]
    if not rows:
        return ""
    sources = data["sources"]
    used = [key for key in sources if any(row[-1] == key for row in rows)]
    body = [
        [DASH if cell is None else cell for cell in row[:-1]]
        + [row[-1] + (" †" if sources[row[-1]].get("second_hand") else "")]
        for row in rows
    ]
    table = tabulate(
        [[_digits(cell) for cell in row] for row in body], _TITLES, tablefmt="pipe",
        disable_numparse=True, colalign=("left",) * 3 + ("right",) * 4 + ("left",) * 2,
    )  # fmt: skip
    legend = "\n".join(
        f"- `{key}`{' †' if sources[key].get('second_hand') else ''}: {sources[key]['text']}. "
        f"Protocol: {sources[key]['protocol']}."
        for key in used
    )
    return (
        "## Published (other splits, protocols and budgets; not comparable cell by cell)\n\n"
        "Printed by others, mostly for one run; an em dash stands for what a source does not "
        "print. Two sources differ by several points for the same detector and data set.\n\n"
        f"{table}\n\n{legend}\n- † not the authors' own: quoted or retrained by a third party.\n"
    ).replace("<", "&lt;")


def _digits(cell: object) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
