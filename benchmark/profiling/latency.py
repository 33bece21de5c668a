"""Time and memory of a detector's forward pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.networks.memory import give_back, peak_resident
from benchmark.records.record import Latency
from datasets.scenes.difficulty import LEVELS
from datasets.scenes.scene import make_scene
from detectors.base import Detector

WARMUP = 3
"""Smallest number of runs before timing."""
CLOCK_UP = 1.0
"""Smallest warm-up of a GPU, seconds: a card that was idle raises its clocks only after some time
under load, and until then its times agree well with each other, on too high a level."""
REPEATS = 5
"""Smallest number of timed runs."""
SETTLED = 0.05
"""Warm: the last `WARMUP` times differ by no more than this fraction."""
PATIENCE = 10
"""Multiple of `seconds` after which very slow methods do without these numbers."""


class PeakMemory:
    """Largest memory since this was made, in bytes.

    On a GPU, memory that torch has allocated, weights and inputs included; on a CPU, growth of the
    resident memory of the process, so use it in a fresh process and before building inputs. Weights
    that are in memory already do not count there.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        if self._cuda:
            self.kind = "allocated on the GPU, weights and inputs included"
            torch.cuda.reset_peak_memory_stats(device)
        else:
            self.kind = "growth of the resident memory by inputs, activations and work space"
            give_back()  # a process that keeps what it frees would fill that first, unseen
            _reset_high_water()
        self._before = 0 if self._cuda else _high_water()

    def __call__(self) -> int:
        return (torch.cuda.max_memory_allocated() if self._cuda else _high_water()) - self._before


def measure(
    detector: Detector,
    device: torch.device,
    batch: int,
    side: int,
    precision: str = "fp32",
    seconds: float = 2.0,
    memory: PeakMemory | None = None,
    graph: bool = False,
) -> Latency:
    """Time the forward pass on `batch` synthetic frames of `side` x `side` px.

    Eval and inference mode, channels last, inputs on the device, each run synchronised; warmed up
    until times settle, a GPU for `CLOCK_UP` at least.

    Args:
        detector: moved to `device` and to eval mode, in place.
        device: where to compute.
        batch: images a forward pass.
        side: a multiple of the detector's stride.
        precision: `fp32`, or `bf16` through autocast, its casts included.
        seconds: what to spend on the timed runs, and at most on the warm-up of a CPU; more where
            `WARMUP` and `REPEATS` runs take longer.
        memory: counts from its creation; without one, counts from here.
        graph: replay a CUDA graph of the forward pass, which spares launching each kernel.

    Raises:
        RuntimeError: the graph cannot be captured.
    """
    detector.eval().to(device, memory_format=torch.channels_last)
    memory = memory or PeakMemory(device)
    with torch.inference_mode():
        x = detector.normalise(_frames(batch, side).to(device))
        x = x.contiguous(memory_format=torch.channels_last)

        def forward() -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                detector(x)

        work = _capture(forward) if graph else forward

        def run() -> float:
            """Milliseconds of one forward pass."""
            _synchronise(device)
            started = time.perf_counter()
            work()
            _synchronise(device)
            return (time.perf_counter() - started) * 1e3

        _warm_up(run, seconds, device)
        peak = memory()
        times = _repeat(run, REPEATS, seconds)
    p10, median, p90 = np.percentile(times, (10, 50, 90)).tolist()
    return Latency(
        batch=batch,
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        repeats=len(times),
        peak_memory_bytes=peak,
    )


def _capture(work: Callable[[], None]) -> Callable[[], None]:
    """A function that replays the kernels that `work` launches on the GPU."""
    stream = torch.cuda.Stream()  # nothing may be captured on the default one
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARMUP):  # what libraries set up at first use must not be captured
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay


def _warm_up(run: Callable[[], float], seconds: float, device: torch.device) -> None:
    """Run until times settle, for `seconds` at most; a GPU for `CLOCK_UP` at least."""
    least = CLOCK_UP if device.type == "cuda" else 0.0
    started = time.perf_counter()

    def done(times: list[float]) -> bool:
        return time.perf_counter() - started >= least and _settled(times)

    _repeat(run, WARMUP, max(seconds, least), done)


def _repeat(
    run: Callable[[], float],
    least: int,
    seconds: float,
    done: Callable[[list[float]], bool] = lambda _: False,
) -> list[float]:
    """Run until `seconds` are over or `done` agrees, `least` times unless that takes ages."""
    times: list[float] = []
    started = time.perf_counter()
    while True:
        times.append(run())
        spent = time.perf_counter() - started
        if len(times) >= least and (spent >= seconds or done(times)):
            return times
        if spent >= PATIENCE * seconds:
            return times


def _settled(times: list[float]) -> bool:
    last = times[-WARMUP:]
    return max(last) <= min(last) * (1 + SETTLED)


def _frames(batch: int, side: int) -> Tensor:
    """Synthetic frames (B, 1, side, side) in [0, 1]; of some methods, the time depends on them."""
    level = LEVELS["standard"]
    frames = [make_scene(np.random.default_rng(k), level, side).image for k in range(batch)]
    return torch.from_numpy(np.stack(frames)).unsqueeze(1) / 255


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_high_water() -> None:
    """Forget how large the process was before, where the system can (Linux)."""
    with suppress(OSError):  # then only what exceeds the old peak counts
        Path("/proc/self/clear_refs").write_text("5")


def _high_water() -> int:
    """Largest resident memory of this process, bytes.

    Linux hands the peak on from the parent to the child, so it is asked elsewhere there.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return peak_resident()
