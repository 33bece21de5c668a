"""Whole trainings: against a bare step and a plain loop, and under the profiler."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmark.records.record import Epoch
from benchmark.training.stop import Interrupted
from tests.bench._timing import clock, ratio
from tests.bench.training import plain
from tests.gpu.bench_common import (
    Bench,
    Child,
    Row,
    attempt,
    ready_step,
    report,
    run_training,
    samples,
    until_interrupted,
)
from tests.gpu.bench_steps import repeated

PLAIN_STEPS = 4
"""Of the plain loop in a round; they are alike, and slow."""
KEEP_CUPTI = {"TEARDOWN_CUPTI": "0", "DISABLE_CUPTI_LAZY_REINIT": "1"}
"""torch.profiler and CUDA graphs in one process crash without, where it profiles more than once."""


# ---- against a bare step and a plain loop


def loop(bench: Bench) -> Iterator[Row]:
    """MSHNet, ms a step: `train` (augmentation, guard, state kept each epoch), bare, plain PIL.

    A round is an epoch of `train`, as many bare steps on a batch that lies ready, and a few of the
    plain loop, which is fp32, NCHW and eager always. The checkpoint that is written once a minute
    is not in it (see `checkpoints`).
    """
    for precision in ("fp32", "bf16"):
        for mode in bench.modes:
            names = {"ours in": precision, "mode": mode}
            yield attempt(names, partial(_compare, bench, precision, mode))
            bench.clear()


def _compare(bench: Bench, precision: str, mode: str) -> Row:
    rounds, images = (2, 8) if bench.small else (6, len(samples()))
    steps = images // 4
    counts = {"ours": steps, "bare": steps, "plain": min(steps, PLAIN_STEPS)}
    with tempfile.TemporaryDirectory() as folder:
        bare, one = ready_step(bench, "mshnet", precision, mode=mode)
        others = {
            "bare": repeated(one, steps),
            "plain": plain(
                samples()[: 4 * counts["plain"]], bench.device, bench.crop, Path(folder) / "files"
            ),
        }
        taking_turns = TakingTurns(others, bench)
        how = run_training(
            bench, "mshnet", precision, mode, rounds + 2, on_epoch=taking_turns, images=images
        )
    # the first epoch warms up, the last one writes the checkpoint
    times = {name: values[1:-1] for name, values in taking_turns.times.items()}
    a_step = {name: [t / counts[name] for t in values] for name, values in times.items()}
    excess, gain = ratio(a_step["ours"], a_step["bare"]), ratio(a_step["plain"], a_step["ours"])
    return {
        **{f"{name}_ms": 1e3 * statistics.median(values) for name, values in a_step.items()},
        "ours/bare": excess.median,
        "low": excess.low,
        "high": excess.high,
        "plain/ours": gain.median,
        "note": "" if how == bare.how == mode else f"ours: {how}; bare: {bare.how}",
    }


class TakingTurns:
    """An `on_epoch` that takes the time of the epoch, then lets the others have theirs."""

    def __init__(self, others: dict[str, Callable[[], object]], bench: Bench) -> None:
        self._others, self._bench = others, bench
        self.times: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
        self._started = time.perf_counter()

    def __call__(self, _: Epoch) -> None:
        self._bench.synchronise()
        self.times["ours"].append(time.perf_counter() - self._started)
        for name, work in self._others.items():
            self.times[name].append(clock(work, self._bench.device))
        self._started = time.perf_counter()


# ---- under the profiler


def kernels(bench: Bench) -> Iterator[Row]:
    """Steps of `train` under torch.profiler: launches, waits and copies a step, share of time busy.

    `busy` is the time in which the GPU computes or copies, over the time of the same steps; under
    the profiler those take longer. `busy, as run` is over as many steps just before it.
    """
    child = Child(bench, "profiled", threads=bench.threads, patience=150, variables=KEEP_CUPTI)
    try:
        while row := child.hear():
            yield row
    finally:
        child.kill()


def profiled(bench: Bench) -> None:
    """In a child, for what the profiler leaves behind slows a process down."""
    with _profiler(bench):  # starts it, before there is any graph
        torch.zeros(1, device=bench.device)
    for name in ("mshnet", "acm") if bench.small else ("mshnet", "dnanet", "uiunet"):
        for mode in bench.modes:
            names = {"detector": name, "mode": mode}
            report(attempt(names, partial(until_interrupted, Profiled(bench), name, mode)))
            bench.clear()


def _profiler(bench: Bench) -> profile:
    cuda = bench.device.type == "cuda"  # there without the CPU's side, which slows down the host
    return profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU])


class Profiled:
    """An `on_step` that times some steps, profiles as many, and stops the training."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._warm, self._steps = (1, 2) if bench.small else (10, 20)
        self._count = 0
        self._profiler = _profiler(bench)
        self.row: Row = {}

    def __call__(self, *_: int) -> None:
        self._count += 1
        if self._count == self._warm:
            self.bench.synchronise()
            self._started = time.perf_counter()
        elif self._count == self._warm + self._steps:
            self.bench.synchronise()
            self._as_run = time.perf_counter() - self._started
            self._profiler.start()
            self._started = time.perf_counter()
        elif self._count == self._warm + 2 * self._steps:
            self.bench.synchronise()
            wall = time.perf_counter() - self._started
            self._profiler.stop()
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "trace.json"
                self._profiler.export_chrome_trace(str(path))
                events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
            self.row = summarise(events, self._steps, wall, self._as_run)
            raise Interrupted("profiled")


def summarise(events: Iterable[dict[str, Any]], steps: int, wall: float, as_run: float) -> Row:
    """What a trace says.

    Args:
        events: of Chrome's format; times in microseconds.
        steps: that it shows.
        wall: seconds that they took.
        as_run: seconds that as many took without the profiler.
    """
    calls: Counter[str] = Counter()
    busy = []
    for event in events:
        kind, name = event.get("cat"), event.get("name", "")
        if kind in ("kernel", "gpu_memcpy", "gpu_memset"):
            calls[kind] += 1
            busy.append((event["ts"], event["ts"] + event["dur"]))
        elif kind in ("cuda_runtime", "cuda_driver"):
            calls["launch"] += "Launch" in name
            calls["graph"] += "GraphLaunch" in name
            calls["wait"] += name in ("cudaStreamSynchronize", "cudaEventSynchronize")
        elif kind == "cpu_op":
            calls["op"] += 1
    seconds = union(busy) / 1e6
    return {
        "ms a step": 1e3 * as_run / steps,
        "launches": calls["launch"] / steps,
        "graphs": calls["graph"] / steps,
        "kernels": calls["kernel"] / steps,
        "waits": calls["wait"] / steps,
        "copies": calls["gpu_memcpy"] / steps,
        "CPU ops": calls["op"] / steps,
        "busy": seconds / wall if busy else None,
        "busy, as run": seconds / as_run if busy else None,
    }


def union(intervals: list[tuple[float, float]]) -> float:
    """Length of what the intervals cover together."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(intervals):
        total += max(stop - max(start, end), 0.0)
        end = max(end, stop)
    return total
