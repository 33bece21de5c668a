"""Output for people: plain lines, durations and progress."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # for types only: `measures` prints times and must not wait for rich
    from rich.console import Console
    from rich.text import Text

PLAIN_EVERY = 20.0
"""Seconds between two progress lines of one job where the output is not a terminal."""
PATIENCE = 2.0
"""Seconds before the first such line of a loop."""

_Item = TypeVar("_Item")


def say(console: Console, text: str | Text, style: str | None = None) -> None:
    """Print a line verbatim: no markup in brackets, no coloured numbers, no wrapping."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Whole seconds or minutes, for lines about running jobs: `42s`, `3m05s` or `2h07m`."""
    s = round(seconds)
    if s < 60:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m{s % 60:02d}s"
    return f"{s // 3600}h{s % 3600 // 60:02d}m"


def rounded_duration(seconds: float) -> str:
    """Three digits in one unit, for tables: `42 s`, `3.08 min` or `2.12 h`."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (float("inf"), "h", 3600)):
        if seconds < limit:
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    raise ValueError(f"not a duration: {seconds}")


def with_progress(
    items: Sequence[_Item], what: str, console: Console, patience: float = PATIENCE
) -> Iterator[_Item]:
    """Yield the items and show progress: a bar in a terminal, lines elsewhere.

    Args:
        items: to go through.
        what: their name in the lines, plural.
        console: where to print.
        patience: seconds before the first line.
    """
    if console.is_terminal:
        from rich.progress import track

        yield from track(items, what, console=console, transient=True)
        return
    started = time.monotonic()
    said = started + patience - PLAIN_EVERY
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - said >= PLAIN_EVERY:
            said = now
            left = (now - started) / done * (len(items) - done)
            text = f"{done} of {len(items)} {what}, {duration(left)} left"
            console.print(text, highlight=False)
        yield item
