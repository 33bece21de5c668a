"""Fair timing of several ways to do the same thing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

Work = Callable[[], object]


class Ratio(NamedTuple):
    """How many times longer one took than the other, over the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}..{self.high:.2f})"


def clock(work: Work, device: torch.device) -> float:
    """Seconds of one call, waiting for the GPU before and after."""
    _synchronise(device)
    started = time.perf_counter()
    work()
    _synchronise(device)
    return time.perf_counter() - started


def interleave(
    candidates: dict[str, Work], device: torch.device, seconds: float, least: int = 5
) -> dict[str, list[float]]:
    """Seconds of every call, one list per candidate and as many entries as rounds.

    The candidates take turns (A B A B ...), so that whatever else the machine does hits all of them
    alike. One round to warm up, then rounds until `seconds` have passed, but `least` at the least.
    """
    for work in candidates.values():
        clock(work, device)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    started, rounds = time.perf_counter(), 0
    while rounds < least or time.perf_counter() - started < seconds:
        for name, work in candidates.items():
            times[name].append(clock(work, device))
        rounds += 1
    return times


def ratio(longer: Sequence[float], shorter: Sequence[float]) -> Ratio:
    """Ratio of two candidates round by round, which cancels what slowed a whole round down."""
    values = [a / b for a, b in zip(longer, shorter, strict=True)]
    return Ratio(statistics.median(values), min(values), max(values))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
