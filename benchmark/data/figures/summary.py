"""The numbers of data sets, printed on the terminal."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.console import say
from benchmark.data.figures.comparison import QUANTILES, Line
from benchmark.data.figures.named_set import NamedSet
from benchmark.data.figures.quantities import SUMMARY, quantiles

_ALL_QUANTILES = (0.0, *QUANTILES, 1.0)
_MOST_NOTES = 10
_UNKNOWN = "—"


def print_summary(subject: NamedSet, console: Console) -> None:
    """Print the set's name and size, the quantiles of its numbers, and the reader's notes."""
    facts = Table(title=escape(subject.title), title_justify="left", show_header=False, box=None)
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for key, value in _facts(subject).items():
        facts.add_row(key, escape(value))
    console.print(facts)
    console.print()
    console.print(_quantile_table(subject), highlight=False)
    for note in subject.notes[:_MOST_NOTES]:
        say(console, f"note: {note}")
    if len(subject.notes) > _MOST_NOTES:
        console.print(f"and {len(subject.notes) - _MOST_NOTES} more notes of this kind")


def print_comparison(a: NamedSet, b: NamedSet, lines: dict[str, Line], console: Console) -> None:
    """Print the median, the 5 % and 95 % quantiles of every quantity, and the overlap."""
    table = _table(f"{a.title} ({len(a.samples)} images), and {b.title} ({len(b.samples)})")
    table.caption = (
        "median [5 %, 95 %]; overlap: of the histograms, 1 is the same; ceiling: what two sets of "
        f"these sizes overlap by that are both drawn from {escape(b.label)}"
    )
    for head in (a.label, b.label, "overlap", "ceiling"):
        table.add_column(escape(head), justify="right", overflow="fold")
    for line in lines.values():
        table.add_row(
            line.quantity.label,
            spread(line.a),
            spread(line.b),
            number(line.overlap, ".2f"),
            number(line.ceiling, ".2f"),
        )
    console.print(table)


def _facts(subject: NamedSet) -> dict[str, str]:
    images, about = subject.statistics.images, subject.entry.info
    parts = ", ".join(f"{part} {count}" for part, count in subject.parts.items())
    depths = sorted({sample.image.dtype.itemsize * 8 for sample in subject.samples})
    bits = " and ".join(map(str, depths))
    found = {
        "data set": f"{subject.name}: {subject.entry.summary}",
        "paper": about.paper,
        "source": about.source,
        "splits": ", ".join(about.splits),
        "images": f"{len(subject.samples)} ({parts}), stored in {bits} bits",
        "targets": f"{len(subject.statistics.targets.area)}; "
        f"images without any: {int((images.targets == 0).sum())}",
    }
    return {key: value for key, value in found.items() if value}


def _quantile_table(subject: NamedSet) -> Table:
    table = _table("Quantiles")
    for at in _ALL_QUANTILES:
        head = {0.0: "least", 0.5: "median", 1.0: "most"}.get(at, f"{100 * at:g} %")
        table.add_column(head, justify="right", no_wrap=True)
    for quantity in SUMMARY:
        values = quantity.values(subject.statistics)[:, 0]
        numbers = [number(x) for x in quantiles(values, _ALL_QUANTILES)]
        table.add_row(quantity.label, *numbers)
    return table


def _table(title: str) -> Table:
    """An empty table, compact enough for a terminal of 80 columns."""
    table = Table(
        title=escape(title), title_justify="left", caption_justify="left", box=None,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("", style="bold")
    return table


def spread(values: list[float]) -> str:
    """Median and outer quantiles of `QUANTILES`; empty where there are none."""
    if not values:
        return ""
    if np.isnan(values[0]):
        return _UNKNOWN
    by = dict(zip(QUANTILES, values, strict=True))
    return f"{number(by[0.5])} [{number(by[0.05])}, {number(by[0.95])}]"


def number(value: float, form: str = ".3g") -> str:
    """Three digits, without an exponent for large numbers."""
    if np.isnan(value):
        return _UNKNOWN
    return f"{value:.0f}" if abs(value) >= 1000 else format(value, form)
