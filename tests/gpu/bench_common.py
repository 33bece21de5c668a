"""What the parts of the GPU benchmark share: steps and trainings to time, and child processes."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmark.environment import ROOT, device_environment
from benchmark.execute.process import POOLS
from benchmark.networks.compute import Compute
from benchmark.records.record import Epoch
from benchmark.records.store import RunFolder
from benchmark.training.batches import Batches
from benchmark.training.loop import Hooks, train
from benchmark.training.optim import make_optimizer
from benchmark.training.step import GraphedStep, Step, cuda_capture, side_stream
from benchmark.training.stop import Interrupted
from datasets import load_dataset
from datasets.base import Sample
from detectors import create_detector
from losses import create_loss
from tests.bench.training import EPOCH, ORIGIN, settings_for

Row = dict[str, Any]
"""A line of a table: names and numbers, or names and why it was skipped (`skipped`)."""

ENDLESS = 10**6
"""Epochs of a training that is stopped."""


@dataclass
class Bench:
    """What is asked for.

    Attributes:
        seconds: for each timing.
        small: only whether everything works, on a CPU in about a minute.
        threads: on the CPU.
    """

    device: torch.device
    seconds: float
    small: bool
    threads: int

    @property
    def crop(self) -> int:
        """Side of the training crops, px."""
        return 64 if self.small else 256

    @property
    def modes(self) -> tuple[str, ...]:
        """How steps are taken here."""
        return ("eager", "graph") if self.device.type == "cuda" else ("eager",)

    def stream(self, mode: str) -> AbstractContextManager[None]:
        """The stream on which a run would work."""
        return side_stream(self.device) if mode == "graph" else nullcontext()

    def synchronise(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def clear(self) -> None:
        """Give back the memory of what is not needed any more."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


@cache
def samples() -> list[Sample]:
    """224 synthetic training images of 128 x 128 px."""
    return load_dataset("synthetic", split="train").samples


def ready_step(
    bench: Bench,
    name: str,
    precision: str = "fp32",
    layout: torch.memory_format = torch.channels_last,
    mode: str = "eager",
    optimizer: str = "adagrad",
) -> tuple[Step | GraphedStep, Callable[[], Tensor]]:
    """A step of a detector, and what takes it on a batch that lies ready.

    As in `train`, with the settings of the MSHNet recipe and the SLS loss after its warm-up.
    """
    settings = settings_for(bench.crop, optimizer=optimizer)
    torch.manual_seed(0)
    detector = create_detector(name).to(bench.device, memory_format=layout)
    step: Step | GraphedStep = Step(
        detector, detector, create_loss("sls").to(bench.device), make_optimizer(detector, settings),
        None, settings.clip_grad, Compute(bench.device, precision),
    )  # fmt: skip
    if mode == "graph":
        step = GraphedStep(step, cuda_capture)
    detector.begin_epoch(EPOCH)
    detector.train()
    step.begin_epoch(EPOCH)
    images, target = next(Batches(samples(), "bench", 0, settings, bench.device).epoch(0))
    return step, lambda: step(images, target)


def run_training(
    bench: Bench,
    name: str,
    precision: str,
    mode: str,
    epochs: int,
    on_step: Callable[[int, int, int], None] = lambda *_: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    images: int | None = None,
) -> str:
    """`train` in a temporary folder, watching nothing; returns how its steps were taken.

    Args:
        mode: `eager` or `graph`.
        epochs: to train.
        on_step, on_epoch: see `train`.
        images: so many of the synthetic ones; all by default.
    """
    settings = settings_for(bench.crop, warm_epoch=-1, epochs=epochs)
    torch.manual_seed(0)
    detector = create_detector(name).to(bench.device, memory_format=torch.channels_last)
    batches = Batches(samples()[:images], "bench", 0, settings, bench.device)
    with tempfile.TemporaryDirectory() as folder, bench.stream(mode):
        _, how = train(
            detector, create_loss("sls").to(bench.device), batches, settings,
            RunFolder(Path(folder)), ORIGIN, Compute(bench.device, precision), {},
            Hooks(on_step, on_epoch), graph=mode == "graph",
        )  # fmt: skip
    return how


class Hook(Protocol):
    """An `on_step` that raises `Interrupted` when it has its numbers, `row`."""

    bench: Bench
    row: Row

    def __call__(self, *_: int) -> None: ...


def until_interrupted(hook: Hook, name: str, mode: str) -> Row:
    """Train in fp32 until the hook has its numbers."""
    with suppress(Interrupted):
        run_training(hook.bench, name, "fp32", mode, ENDLESS, on_step=hook)
    return hook.row


def attempt(names: Row, measure: Callable[[], Row]) -> Row:
    """The names of a row with its numbers, or with the reason why there are none."""
    try:
        return names | measure()
    except Exception as error:  # whatever; the next one may do
        return names | {"skipped": first_line(error)}


class Child:
    """A process of this program that does one thing (`--child`), with a CUDA context of its own.

    It says what it has found in lines of JSON; the last of its other `lines` is the reason if it
    fails.

    Args:
        bench: what is asked for; passed on.
        job: which function, and its arguments.
        patience: seconds after which it is ended.
        variables: of its environment.
    """

    def __init__(
        self,
        bench: Bench,
        *job: str,
        threads: int,
        patience: float,
        variables: Mapping[str, str] = {},
    ) -> None:
        command = [sys.executable, "-m", "tests.gpu.bench", "--device", bench.device.type]
        command += ["--seconds", str(bench.seconds), "--threads", str(threads)]
        command += ["--small"] * bench.small + ["--child", *job]
        environment = dict(os.environ) | dict.fromkeys(POOLS, str(threads)) | variables
        self.lines = ["no message"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment | device_environment("cpu"),  # it sees the GPU that is seen here
            cwd=ROOT,
        )
        self._patience = threading.Timer(patience, self._process.kill)
        self._patience.start()

    def hear(self) -> Row | None:
        """Its next finding; None when it has ended well.

        Raises:
            RuntimeError: it failed, for the reason that is given.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
            if line.strip():
                self.lines.append(line.strip())
        if code := self._process.wait():
            raise RuntimeError(f"exit code {code}: {self.lines[-1]}")
        return None

    def go(self) -> None:
        """Tell it to go on; see `report`."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._patience.cancel()
        self._process.kill()
        self._process.wait()


def report(row: Row, wait: bool = False) -> None:
    """In a child: say what was found.

    Args:
        row: the finding.
        wait: for `Child.go`.
    """
    print(json.dumps(row), flush=True)
    if wait:
        sys.stdin.readline()


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    text = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {text}"
