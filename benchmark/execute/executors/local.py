"""Runs cells on this machine: one fresh process per job, as many at a time as there is room for."""

from __future__ import annotations

import json
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.console import Display, Progress
from benchmark.environment import ROOT, worker_environment
from benchmark.errors import describe_os_error
from benchmark.execute.cards import Card, Demand, make_cards, threads_of_a_run
from benchmark.execute.events import parse_event
from benchmark.plan.matrix import Cell
from benchmark.records.record import RecordError, read_record
from benchmark.records.store import write_atomic
from benchmark.settings.config import Plan

PATIENCE = 40.0
"""Seconds that workers get to save what they have and leave; see `worker.PATIENCE`."""
START_SECONDS = 15.0
"""No run is started with less time than that left: it would not reach its first epoch."""


@dataclass
class Outcome:
    """How a cell ended."""

    cell: Cell
    status: str
    message: str


@dataclass
class Worker:
    """A running process on a device."""

    cell: Cell
    card: Card
    demand: Demand
    process: subprocess.Popen[str]
    progress: Progress
    end: dict[str, Any] | None = None  # its last word
    ready: bool = False  # its device has come up
    bounded: bool = False  # it may take a part of the device's memory only
    shared: bool = False  # other runs were on the device meanwhile
    asked: bool = False  # to stop

    def ask_to_stop(self) -> None:
        """It saves the epochs that it has finished, and leaves."""
        self.asked = True
        with suppress(ProcessLookupError):
            self.process.terminate()


@dataclass
class Pool:
    """The devices of this machine and what runs on them."""

    plan: Plan
    cards: list[Card]
    deadline: float | None = None  # seconds since 1970
    events: queue.Queue = field(default_factory=queue.Queue)
    workers: list[Worker] = field(default_factory=list)

    def room(self, demand: Demand) -> Card | None:
        """A device for such a run: of those that admit it the one with the fewest runs."""
        free = [card for card in self.cards if card.admits(demand)]
        return min(free, key=lambda card: len(card.running)) if free else None

    def start(self, cell: Cell, demand: Demand, card: Card, display: Display) -> None:
        """Start a cell on a device that admits it.

        Raises:
            OSError: the process, or the files it needs, could not be made.
        """
        threads, share = threads_of_a_run(self.cards), card.share(demand)
        write_atomic(cell.folder.job, json.dumps(cell.job.to_dict(), indent=1))
        with cell.folder.log.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                self._command(cell, card, share, threads),
                stdin=subprocess.PIPE,  # closes when this process dies; the worker watches it
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=worker_environment(card.name, threads),
                cwd=ROOT,  # a folder `datasets` where the user is must not shadow ours
                start_new_session=True,  # Ctrl-C reaches this process only
            )
        progress = Progress(cell.job.label, card.name)
        worker = Worker(cell, card, demand, process, progress, bounded=share is not None)
        self.workers.append(worker)
        card.running.append(demand)
        self._tell(card)
        display.start(worker.progress)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def remove(self, worker: Worker) -> None:
        """A worker's process has ended."""
        self.workers.remove(worker)
        worker.card.running.remove(worker.demand)
        # no fault of the device's where the cell was taken or done by another process
        failed = worker.end is None or worker.end["status"] == "failed"
        if failed and not worker.ready and not worker.asked:
            worker.card.failures += 1
        self._tell(worker.card)

    def stop(self) -> None:
        """Ask every worker to leave, wait for it, and end those that do not."""
        try:
            for worker in self.workers:
                worker.ask_to_stop()
            patience = time.monotonic() + PATIENCE
            for worker in self.workers:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(patience - time.monotonic(), 0))
        finally:  # also at a second Ctrl-C
            for worker in self.workers:
                worker.process.kill()
                worker.process.wait()

    def _tell(self, card: Card) -> None:
        """Let the runs of a device know how many they are; it stands in their records."""
        here = [worker for worker in self.workers if worker.card is card]
        for worker in here:
            worker.shared |= len(here) > 1
            assert worker.process.stdin is not None
            with suppress(BrokenPipeError):
                worker.process.stdin.write(f"jobs {len(here)}\n")
                worker.process.stdin.flush()

    def _listen(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            event = parse_event(line)
            if event is not None:
                self.events.put((worker, event))
        worker.process.wait()
        self.events.put((worker, None))

    def _command(self, cell: Cell, card: Card, share: float | None, threads: int) -> list[str]:
        plan = self.plan
        command = [
            sys.executable,
            "-m",
            "benchmark.execute.worker",
            str(cell.folder.path.resolve()),
        ]
        command += ["--device", card.name.partition(":")[0], "--threads", str(threads)]
        command += ["--command", shlex.join(["run_benchmark.py", *sys.argv[1:]])]
        if plan.data_root is not None:
            command += ["--data-root", str(plan.data_root.resolve())]
        if plan.plugins is not None:
            command += ["--plugins", str(plan.plugins.resolve())]
        if plan.weights is not None:
            command += ["--weights", str(plan.weights.resolve())]
        if plan.allow_leakage:
            command += ["--allow-leakage"]
        if share is not None:
            command += ["--memory-share", f"{share:.4f}"]
            command += ["--packed"] if card.jobs is None else []
        if self.deadline is not None:
            command += ["--deadline", f"{self.deadline:.3f}"]
        if plan.cuda_graph == "auto":
            command += ["--cuda-graph"]
        return command


def run_cells(
    cells: Sequence[Cell], plan: Plan, console: Console, deadline: float | None = None
) -> list[Outcome]:
    """Run every cell; a cell that fails never stops the others.

    One that ran out of memory beside others, or within a part of it, is repeated once, alone.

    Args:
        cells: those to run, the first ones first.
        plan: devices, and runs on each.
        console: for progress.
        deadline: when all must have ended, in seconds since 1970; None: never.

    Returns:
        One outcome per cell that was started, in the order in which they ended.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the workers have been stopped, finished epochs are on
            disk.
    """
    cards = make_cards(plan)
    pool = Pool(plan, cards, deadline)
    graph = plan.cuda_graph == "auto"
    packed = plan.jobs_per_device == "auto" and cards[0].name != "cpu"
    known = _known_needs(plan.output) if packed else {}
    waiting = [(cell, Demand(kind := _kind(cell, graph), known.get(kind))) for cell in cells]
    outcomes: list[Outcome] = []
    over = False  # the time
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Display(console, len(waiting)) as display:
            while waiting or pool.workers:
                left = float("inf") if deadline is None else deadline - time.time()
                if left <= 0 and not over:
                    over = True
                    for worker in pool.workers:
                        worker.ask_to_stop()
                if left < START_SECONDS or all(card.lost for card in pool.cards):
                    waiting.clear()
                waiting = _start_what_fits(waiting, pool, display, outcomes)
                try:
                    worker, event = pool.events.get(timeout=0.5)
                except queue.Empty:
                    if left < -PATIENCE:
                        pool.stop()
                    display.refresh()
                    continue
                if event is None:
                    pool.remove(worker)
                    outcome = _outcome(worker)
                    display.end(worker.progress, outcome.status, outcome.message)
                    crowded = worker.shared or worker.bounded
                    if outcome.status == "oom" and crowded and not worker.demand.alone:
                        waiting.insert(0, (worker.cell, Demand(worker.demand.kind, alone=True)))
                        display.total += 1
                        display.say(f"       {worker.cell.job.label}: once more, alone on a device")
                    else:
                        outcomes.append(outcome)
                    if worker.card.lost and not worker.card.running:
                        display.say(
                            f"{worker.card.name} is left out: {worker.card.failures} runs in a "
                            f"row failed before they could use it; see {worker.cell.folder.log}"
                        )
                else:
                    _apply(worker, event, known, waiting)
                    display.update(worker.progress)
                display.refresh()
    finally:
        pool.stop()
        signal.signal(signal.SIGTERM, previous)
    return outcomes


def _start_what_fits(
    waiting: list[tuple[Cell, Demand]], pool: Pool, display: Display, outcomes: list[Outcome]
) -> list[tuple[Cell, Demand]]:
    """Start cells in their order, as far as there is room; returns those that wait on."""
    left = []
    for number, (cell, demand) in enumerate(waiting):
        card = pool.room(demand)
        if card is None and demand.alone:  # smaller ones must not keep the device from it
            return left + waiting[number:]
        if card is None:
            left.append((cell, demand))
            continue
        try:
            pool.start(cell, demand, card, display)
        except OSError as error:
            message = describe_os_error(error)
            display.fail(Progress(cell.job.label, card.name), message)
            outcomes.append(Outcome(cell, "failed", message))
    return left


def _apply(
    worker: Worker,
    event: dict[str, Any],
    known: dict[tuple[Any, ...], int],
    waiting: list[tuple[Cell, Demand]],
) -> None:
    """Take in what a worker says."""
    kind = event["event"]
    if kind == "end":
        worker.end = event
    elif kind == "ready":
        worker.ready = True
        worker.card.failures = 0
        worker.card.memory = event["memory"]
    elif kind == "memory":
        worker.demand.need = known[worker.demand.kind] = event["need"]
        for _, demand in waiting:
            demand.need = known.get(demand.kind)
    else:
        worker.progress.apply(event)


def _kind(cell: Cell, graph: bool) -> tuple[Any, ...]:
    """What decides how much memory a run takes; a graph has a set of feature maps of its own."""
    s = cell.job.settings
    return cell.job.detector, s.batch_size, s.crop_size, s.precision, graph


def _known_needs(output: Path) -> dict[tuple[Any, ...], int]:
    """The GPU memory, by kind of run, that is known from the records of earlier ones."""
    found: dict[tuple[Any, ...], int] = {}
    for path in output.glob("runs/*/*/*/record.json"):
        try:
            record = read_record(path)
        except RecordError:  # the report tells
            continue
        if record.cost is None or record.cost.reserved_memory_bytes is None:
            continue
        names = ("batch_size", "crop_size", "precision")
        graph = record.environment.cuda_graph == "graph"
        kind = record.cell.detector, *(record.settings.get(name) for name in names), graph
        found[kind] = max(record.cost.reserved_memory_bytes, found.get(kind, 0))
    return found


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
    if worker.asked and code in (-signal.SIGTERM, -signal.SIGKILL):
        return Outcome(worker.cell, "interrupted", "stopped")
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
