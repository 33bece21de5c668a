"""Lines for people: how long something took, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

PLAIN_EVERY = 20.0
"""Seconds between two progress lines of one job where the output is no terminal."""
PATIENCE = 2.0
"""Seconds before the first such line of a loop."""

_Item = TypeVar("_Item")


def duration(seconds: float) -> str:
    """`42s`, `3m05s` or `2h07m`."""
    s = round(seconds)
    if s < 60:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m{s % 60:02d}s"
    return f"{s // 3600}h{s % 3600 // 60:02d}m"


def with_progress(
    items: Sequence[_Item], what: str, console: Console, patience: float = PATIENCE
) -> Iterator[_Item]:
    """The items one by one, saying how far it is: as a bar in a terminal, as lines elsewhere.

    Args:
        items: what is gone through.
        what: their name in the lines, plural.
        console: where to say it.
        patience: seconds before the first line.
    """
    if console.is_terminal:
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
