"""Numbers that others published, set beside ours without pretending that they compare."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from benchmark.figures.wording import DASH
from benchmark.measures import MEASURES

_FILE = Path(__file__).with_name("published.yaml")
_TITLES = (
    "Data set",
    "Detector",
    "Loss",
    *(MEASURES[key].plain for key in ("iou", "niou", "pd", "fa")),
    "Split",
    "Source",
    "Run by",
)


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
    body = [[_digits(cell) for cell in (*row, sources[row[-1]]["by"])] for row in rows]
    align = ("left",) * 3 + ("right",) * 4 + ("left",) * 3
    table = tabulate(body, _TITLES, tablefmt="pipe", disable_numparse=True, colalign=align)
    legend = "\n".join(
        f"- `{key}`: {sources[key]['text']}. Protocol: {sources[key]['protocol']}." for key in used
    )
    return (
        "## Published (other splits, protocols and budgets; not comparable cell by cell)\n\n"
        "As printed by others, mostly of one run and rounded here to two decimals; an em dash "
        "stands for what a source does not print. In parentheses our name of a network that is not "
        "the one its paper published. Sources differ by several points for the same "
        "detector and data set.\n\n"
        f"{table}\n\n{legend}\n"
    ).replace("<", "&lt;")


def _digits(cell: object) -> str:
    if cell is None:
        return DASH
    if isinstance(cell, float):
        # By its decimal digits, as a reader of the source would round it.
        return str(Decimal(str(cell)).quantize(Decimal("0.01"), ROUND_HALF_UP))
    return str(cell)
