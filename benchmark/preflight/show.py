"""The lines of `--dry-run` below the matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from benchmark.console import duration, say
from benchmark.plan.matrix import Cell
from benchmark.preflight import Outlook
from benchmark.preflight.hours import Hours
from benchmark.registry.short_names import short_dataset
from benchmark.settings.plan import Plan


def print_outlook(outlook: Outlook, cells: Sequence[Cell], plan: Plan, console: Console) -> None:
    """Print where the cells would run, on what, and how long they would take.

    Args:
        outlook: the findings.
        cells: those to run.
        plan: where they run.
        console: where to print.
    """
    for key, text in _lines(outlook, cells, plan):
        say(console, f"{key:<10} {text}")


def _lines(outlook: Outlook, cells: Sequence[Cell], plan: Plan) -> Iterator[tuple[str, str]]:
    site = outlook.site
    if site is not None:
        names = ", ".join(card.name for card in site.cards)
        runs = f"{site.at_once} run{'s' * (site.at_once > 1)} at a time"
        yield "device", f"{names} ({site.device}), {runs}"
        yield "threads", f"{site.threads} a run"
        precisions = dict.fromkeys(site.precision(c.job.settings.precision) for c in cells)
        if precisions:
            yield "precision", ", ".join(precisions)
    yield "recipe", plan.recipe
    for name, found in outlook.data.items():
        yield "data", f"{short_dataset(name)}: {found.describe()}"
    if cells and outlook.hours is not None:
        yield "time", describe_hours(outlook.hours)


def describe_hours(hours: Hours) -> str:
    """The total time, and what is missing to know it."""
    parts = [f"about {duration(hours.total)} in all"] if hours.cells else []
    if hours.unmeasured:
        which = f": {', '.join(hours.unmeasured)}" if parts else ""
        parts.append(f"not measured on this device{which} (--dry-run --measure does, in seconds)")
    if hours.unknown:
        parts.append(f"{', '.join(hours.unknown)}: known after a first run in this folder")
    return "; ".join(parts)
