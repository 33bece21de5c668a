"""Runs cells on this machine: one fresh process per job, as many at a time as there are slots."""

from __future__ import annotations

import json
import queue
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.config import Plan
from benchmark.console import Display, Progress
from benchmark.environment import ROOT, cpu_count, devices, worker_environment
from benchmark.errors import describe_os_error
from benchmark.execute.events import parse_event
from benchmark.memory import KEEP_FREED
from benchmark.plan.matrix import Cell
from benchmark.store import write_atomic

PATIENCE = 10.0
"""Seconds that a worker gets to leave after its standard input was closed."""


@dataclass
class Outcome:
    """How a cell ended."""

    cell: Cell
    status: str
    message: str


@dataclass
class Worker:
    """A running process on a slot."""

    cell: Cell
    device: str
    process: subprocess.Popen[str]
    progress: Progress
    end: dict[str, Any] | None = None  # its last word


@dataclass
class Pool:
    """The slots of this machine and what runs on them."""

    plan: Plan
    slots: list[str]
    events: queue.Queue = field(default_factory=queue.Queue)
    workers: list[Worker] = field(default_factory=list)

    def start(self, cell: Cell, display: Display) -> None:
        """Start a cell on a free slot."""
        device = self.slots.pop(0)
        worker = None
        try:
            write_atomic(cell.folder.job, json.dumps(cell.job.to_dict(), indent=1))
            with cell.folder.log.open("a", encoding="utf-8") as log:
                process = subprocess.Popen(
                    self._command(cell, device),
                    stdin=subprocess.PIPE,  # closes when this process dies; the worker watches it
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=KEEP_FREED | worker_environment(device),
                    cwd=ROOT,  # a folder `datasets` where the user is must not shadow ours
                    start_new_session=True,  # Ctrl-C reaches this process only
                )
            worker = Worker(cell, device, process, Progress(cell.job.label, device))
        finally:
            if worker is None:
                self.slots.append(device)
        self.workers.append(worker)
        display.start(worker.progress)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def stop(self) -> None:
        """Let every worker go; what they have finished of an epoch is lost, no more."""
        for worker in self.workers:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        for worker in self.workers:
            try:
                worker.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                worker.process.kill()

    def _listen(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            event = parse_event(line)
            if event is not None:
                self.events.put((worker, event))
        worker.process.wait()
        self.events.put((worker, None))

    def _command(self, cell: Cell, device: str) -> list[str]:
        threads = max(cpu_count() // max(len(self.slots) + len(self.workers) + 1, 1), 1)
        command = [
            sys.executable,
            "-m",
            "benchmark.execute.worker",
            str(cell.folder.path.resolve()),
        ]
        command += ["--device", device.partition(":")[0], "--threads", str(threads)]
        command += ["--command", shlex.join(["run_benchmark.py", *sys.argv[1:]])]
        if self.plan.data_root is not None:
            command += ["--data-root", str(self.plan.data_root.resolve())]
        if self.plan.plugins is not None:
            command += ["--plugins", str(self.plan.plugins.resolve())]
        if self.plan.weights is not None:
            command += ["--weights", str(self.plan.weights.resolve())]
        if self.plan.allow_leakage:
            command += ["--allow-leakage"]
        return command


def run_cells(cells: Sequence[Cell], plan: Plan, console: Console) -> list[Outcome]:
    """Run every cell; a cell that fails never stops the others.

    Args:
        cells: those to run.
        plan: devices and slots.
        console: for progress.

    Returns:
        One outcome per cell, in the order in which they ended.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the workers have been stopped, finished epochs are on
            disk.
    """
    slots = [d for _ in range(plan.jobs_per_device) for d in devices(plan.device)]
    pool = Pool(plan, slots)
    waiting = list(cells)
    outcomes: list[Outcome] = []
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Display(console, len(waiting)) as display:
            while waiting or pool.workers:
                while waiting and pool.slots:
                    cell = waiting.pop(0)
                    try:
                        pool.start(cell, display)
                    except OSError as error:
                        progress = Progress(cell.job.label, "")
                        message = describe_os_error(error)
                        display.running.append(progress)
                        display.end(progress, "failed", message)
                        outcomes.append(Outcome(cell, "failed", message))
                try:
                    worker, event = pool.events.get(timeout=0.5)
                except queue.Empty:
                    display.refresh()
                    continue
                if event is None:
                    pool.workers.remove(worker)
                    pool.slots.append(worker.device)
                    outcome = _outcome(worker)
                    outcomes.append(outcome)
                    display.end(worker.progress, outcome.status, outcome.message)
                elif event["event"] == "end":
                    worker.end = event
                else:
                    worker.progress.apply(event)
                    display.update(worker.progress)
                display.refresh()
    finally:
        pool.stop()
        signal.signal(signal.SIGTERM, previous)
    return outcomes


def _outcome(worker: Worker) -> Outcome:
    """What became of a worker that has ended."""
    if worker.end is not None:
        metrics = worker.end.get("metrics") or {}
        message = worker.end.get("message") or ""
        if metrics:
            message = (
                f"IoU {100 * metrics['iou']:.2f}  Pd {100 * metrics['pd']:.2f}  "
                f"Fa {1e6 * metrics['fa']:.2f}e-6"
            )
        return Outcome(worker.cell, worker.end["status"], message)
    code = worker.process.returncode
    if code < 0:
        name = _signal_name(-code)
        hint = " (the system does this when memory runs out)" if name == "SIGKILL" else ""
        message = f"killed by {name}{hint}; run the same command again to resume"
        return Outcome(worker.cell, "interrupted", message)
    last = _last_line(worker.cell.folder.log)
    return Outcome(worker.cell, "failed", f"worker ended with exit code {code}: {last}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return (lines[-1] if lines else "no message") + f" (see {path})"
