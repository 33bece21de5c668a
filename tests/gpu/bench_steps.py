"""Single operations, steps and forward passes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch

from benchmark.networks.compute import Compute
from benchmark.profiling.latency import measure
from benchmark.training.step import EAGER_STEPS, cuda_capture
from detectors import create_detector
from detectors.base import Detector
from tests.bench._timing import clock, interleave
from tests.gpu.bench_common import Bench, Row, attempt, ready_step

FORMS = {
    "fp32 NHWC": ("fp32", torch.channels_last),
    "fp32 NCHW": ("fp32", torch.contiguous_format),
    "bf16 NHWC": ("bf16", torch.channels_last),
}
"""Precision and layout of the network."""
DETECTORS = ("mshnet", "acm", "alcnet", "dnanet", "uiunet")
CHUNK = 0.1
"""Seconds of steps between two looks at the clock."""


def warm_up(bench: Bench) -> None:
    """Two seconds of work: a card that was idle has low clocks."""
    if bench.device.type == "cuda":
        a = torch.randn(4096, 4096, device=bench.device)
        spent = 0.0
        while spent < 2:
            spent += clock(lambda: [a @ a for _ in range(10)], bench.device)


def ceilings(bench: Bench) -> Iterator[Row]:
    """What the device can do: copies within its memory, products of large matrices."""
    size, side = (2**24, 256) if bench.small else (2**30, 8192)
    source = torch.zeros(size, dtype=torch.uint8, device=bench.device)
    sink = torch.empty_like(source)
    a = torch.randn(side, side, device=bench.device)
    b = a.bfloat16()
    works = {"copy": lambda: sink.copy_(source), "fp32": lambda: a @ a, "bf16": lambda: b @ b}
    repeats = 1 if bench.small else 5
    times = interleave(
        {name: repeated(work, repeats) for name, work in works.items()}, bench.device, bench.seconds
    )
    for name, what, amount, unit in (
        ("copy", f"copy of {size // 2**20} MiB, read and written", 2 * size / 1e9, "GB/s"),
        ("fp32", f"fp32 product, {side} square", 2 * side**3 / 1e12, "TFLOP/s"),
        ("bf16", f"bf16 product, {side} square", 2 * side**3 / 1e12, "TFLOP/s"),
    ):
        rate = amount * repeats / statistics.median(times[name])
        yield {"what": what, "rate": rate, "unit": unit}


def grid(bench: Bench) -> Iterator[Row]:
    """Steps on a batch of 4 that lies ready, ms: eager, and as a CUDA graph."""
    for name in DETECTORS[:2] if bench.small else DETECTORS:
        for form in FORMS:
            names = {"detector": name, "form": form}
            yield attempt(names, partial(_point, bench, name, form))
            bench.clear()


def _point(bench: Bench, name: str, form: str) -> Row:
    precision, layout = FORMS[form]
    works: dict[str, Callable[[], object]] = {}
    counts: dict[str, int] = {}
    note = ""
    with bench.stream(bench.modes[-1]):
        for mode in bench.modes:
            step, work = ready_step(bench, name, precision, layout, mode)
            for _ in range(1 if bench.small else EAGER_STEPS + 2):  # the graph is captured
                work()
            if step.how != mode:
                note = step.how
                continue
            counts[mode] = _chunk(work, bench)
            works[mode] = repeated(work, counts[mode])
        least = 2 if bench.small else 5
        times = interleave(works, bench.device, bench.seconds * len(works), least)
    ms = {mode: 1e3 * statistics.median(times[mode]) / counts[mode] for mode in works}
    return {
        "eager_ms": ms["eager"],
        "graph_ms": ms.get("graph"),
        "eager/graph": ms["eager"] / ms["graph"] if "graph" in ms else None,
        "note": note,
    }


def _chunk(work: Callable[[], object], bench: Bench) -> int:
    """So many calls take about `CHUNK` seconds."""
    if bench.small:
        return 1
    return min(max(round(3 * CHUNK / clock(repeated(work, 3), bench.device)), 1), 50)


def repeated(work: Callable[[], object], count: int) -> Callable[[], None]:
    """The same several times, without waiting for the GPU in between."""

    def several() -> None:
        for _ in range(count):
            work()

    return several


def latency(bench: Bench) -> Iterator[Row]:
    """MSHNet, one image: what `profile` measures against a forward pass timed here."""
    for precision in ("fp32", "bf16"):
        for mode in bench.modes:
            names = {"ours in": precision, "mode": mode}
            yield attempt(names, partial(_latency, bench, precision, mode))


def _latency(bench: Bench, precision: str, mode: str) -> Row:
    detector = create_detector("mshnet")
    graph = mode == "graph"
    profiled = measure(detector, bench.device, 1, bench.crop, precision, bench.seconds, graph=graph)
    here = _forward_ms(bench, detector, precision, mode)
    return {
        "profile_ms": profiled.median_ms,
        "p10_ms": profiled.p10_ms,
        "p90_ms": profiled.p90_ms,
        "here_ms": here,
        "profile/here": profiled.median_ms / here,
    }


def _forward_ms(bench: Bench, detector: Detector, precision: str, mode: str) -> float:
    """Median time of a forward pass, waiting for the GPU before and after."""
    with torch.inference_mode(), bench.stream(mode):
        grey = torch.rand(1, 1, bench.crop, bench.crop, device=bench.device)
        x = detector.normalise(grey).contiguous(memory_format=torch.channels_last)

        def forward() -> None:
            with Compute(bench.device, precision).autocast():
                detector(x)

        repeated(forward, 3)()
        work = cuda_capture(forward) if mode == "graph" else forward
        (times,) = interleave({"forward": work}, bench.device, bench.seconds).values()
    return 1e3 * statistics.median(times)
