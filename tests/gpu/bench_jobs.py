"""Several trainings at a time on one device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import torch

from benchmark.training.stop import Interrupted
from tests.gpu.bench_common import Bench, Child, Row, attempt, report, until_interrupted

START = 90.0
"""Seconds that the processes get to come up."""


def jobs(bench: Bench) -> Iterator[Row]:
    """1, 2, 4 and 8 trainings of MSHNet at a time on one device, a process each: steps a second."""
    for count in (1, 2) if bench.small else (1, 2, 4, 8):
        for mode in bench.modes:
            yield attempt({"jobs": count, "mode": mode}, partial(_together, bench, count, mode))


def _together(bench: Bench, count: int, mode: str) -> Row:
    threads = max(bench.threads // count, 1)
    children: list[Child] = []
    patience = START + 2 * _seconds(bench)
    try:
        for _ in range(count):
            children.append(Child(bench, "job", mode, threads=threads, patience=patience))
        for child in children:
            child.hear()
        for child in children:
            child.go()
        found = [row for child in children if (row := child.hear())]
    finally:
        for child in children:
            child.kill()
    rates = [row["rate"] for row in found]
    notes = {line for child in children for line in child.lines if "cannot be captured" in line}
    return {
        "steps/s": sum(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "reserved_MiB": _mib(sum(row["reserved"] for row in found)),
        "card_MiB": _mib(max(row["card"] for row in found)),
        "note": "; ".join(sorted(notes)),
    }


def _mib(size: float) -> float | None:
    return size / 2**20 if size else None


def job(bench: Bench, mode: str) -> None:
    """In a child: train, wait for a word when warm, and report the speed from then on."""
    report(until_interrupted(Job(bench), "mshnet", mode))


class Job:
    """An `on_step` that counts."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self._warm = bench, 1 if bench.small else 60  # more than an epoch
        self._count = 0
        self.row: Row = {}

    def __call__(self, *_: int) -> None:
        self._count += 1
        if self._count == self._warm:
            self.bench.synchronise()
            report({"ready": True}, wait=True)
            self._started = time.perf_counter()
        after = self._count - self._warm
        if after <= 0 or time.perf_counter() - self._started < _seconds(self.bench):
            return
        self.bench.synchronise()
        rate = after / (time.perf_counter() - self._started)
        self.row = {"rate": rate, "reserved": 0, "card": 0}
        if self.bench.device.type == "cuda":
            free, total = torch.cuda.mem_get_info()
            self.row |= {"reserved": torch.cuda.max_memory_reserved(), "card": total - free}
        raise Interrupted("measured")


def _seconds(bench: Bench) -> float:
    """How long all train together."""
    return 2.0 if bench.small else 6 * bench.seconds
