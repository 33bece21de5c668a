"""This machine: a fresh process a task, as many at a time as its devices have room for."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from benchmark.execute.cards import Card, Demand, make_cards, threads_of_a_run
from benchmark.execute.events import parse_event
from benchmark.execute.executors import Exit
from benchmark.execute.process import (
    STOPPED,
    child_variables,
    describe_exit,
    last_line,
    start_child,
)
from benchmark.execute.task import Task
from benchmark.records.record import RecordError, read_record
from benchmark.records.store import RunFolder, write_atomic
from benchmark.settings.plan import Plan

PATIENCE = 40.0
"""Seconds that workers get to save what they have and leave; see `worker.PATIENCE`."""


class Options(BaseModel):
    """What a preset may say in `executor_options`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attached: bool = Field(
        True, description="runs end with the process that started them, however it ends"
    )


def create(plan: Plan, options: Options) -> LocalExecutor:
    """See the package.

    Raises:
        UserError: a device that is not there.
    """
    return LocalExecutor(make_cards(plan), plan.output, options)


@dataclass(eq=False)
class Worker:
    """A running process on a device."""

    folder: RunFolder
    card: Card
    demand: Demand
    process: subprocess.Popen[str]
    bounded: bool  # it may take a part of the device's memory only
    ready: bool = False  # its device has come up
    shared: bool = False  # other runs were on the device meanwhile
    asked: bool = False  # to stop

    @property
    def place(self) -> str:
        """The device."""
        return self.card.name

    @property
    def crowded(self) -> bool:
        """Whether it had less than the whole device, and might do with all of it."""
        return (self.shared or self.bounded) and not self.demand.alone


@dataclass
class LocalExecutor:
    """The devices of this machine and what runs on them.

    Args:
        cards: the devices.
        output: folder of the benchmark; its records tell what memory runs need.
        options: see there.
    """

    cards: list[Card]
    output: Path
    options: Options
    workers: list[Worker] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether some device has not been left out."""
        return not all(card.lost for card in self.cards)

    @cached_property
    def _needs(self) -> dict[tuple[Any, ...], int]:
        """The GPU memory that kinds of runs need, as far as it is known."""
        packed = any(card.jobs is None and card.name != "cpu" for card in self.cards)
        return _needs_of_records(self.output) if packed else {}

    def start(self, task: Task, folder: RunFolder, alone: bool) -> Worker | None:
        """On the device with the fewest runs of those that have room; see `Executor`."""
        kind = _kind(task)
        demand = Demand(kind, self._needs.get(kind), alone)
        free = [card for card in self.cards if card.admits(demand)]
        if not free:
            return None
        card = min(free, key=lambda card: len(card.running))
        threads, share = threads_of_a_run(self.cards), card.share(demand)
        placed = task.model_copy(
            update={
                "device": card.name.partition(":")[0],
                "threads": threads,
                "variables": child_variables(card.name, threads),
                "memory_share": share,
                "packed": share is not None and card.jobs is None,
            }
        )
        write_atomic(folder.task, placed.to_json())
        attached = self.options.attached
        arguments = [folder.path.resolve(), *(["--attached"] if attached else [])]
        with folder.log.open("a", encoding="utf-8") as log:
            process = start_child(
                "benchmark.execute.worker", arguments, {}, attached=attached, errors=log
            )
        worker = Worker(folder, card, demand, process, bounded=share is not None)
        self.workers.append(worker)
        card.running.append(demand)
        self._tell(card)
        return worker

    def poll(self, handle: Worker) -> Exit | None:
        """See `Executor`."""
        code = handle.process.poll()
        if code is None:
            return None
        assert handle.process.stdout is not None
        with handle.process.stdout as stdout:
            lines = stdout.read().splitlines()
        if handle.process.stdin is not None:
            with suppress(OSError):
                handle.process.stdin.close()
        last = parse_event(lines[-1]) if lines else None
        note = self._remove(handle, last)
        return Exit(*_end(handle, code), last, handle.crowded, note)

    def hear(self, handle: Worker, event: dict[str, Any]) -> None:
        """Learn that its device works, and what memory it has and the run needs."""
        if event["event"] == "ready":
            handle.ready = True
            handle.card.failures = 0
            handle.card.memory = event["memory"]
        elif event["event"] == "memory":
            handle.demand.need = self._needs[handle.demand.kind] = event["need"]

    def stop(self, handle: Worker) -> None:
        """See `Executor`."""
        handle.asked = True
        with suppress(ProcessLookupError):
            handle.process.terminate()

    def close(self) -> None:
        """See `Executor`."""
        try:
            for worker in self.workers:
                self.stop(worker)
            patience = time.monotonic() + PATIENCE
            for worker in self.workers:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(patience - time.monotonic(), 0))
        finally:  # also at a second Ctrl-C
            for worker in self.workers:
                worker.process.kill()
                worker.process.wait()

    def _remove(self, worker: Worker, last: dict[str, Any] | None) -> str:
        """A worker's process has ended; says if its device is left out from now on."""
        card = worker.card
        self.workers.remove(worker)
        card.running.remove(worker.demand)
        # no fault of the device's where the cell was taken or done by another process
        failed = last is None or last["status"] == "failed"
        if failed and not worker.ready and not worker.asked:
            card.failures += 1
        self._tell(card)
        if not card.lost or card.running:
            return ""
        return (
            f"{card.name} is left out: {card.failures} runs in a row failed before they could use "
            f"it; see {worker.folder.log}"
        )

    def _tell(self, card: Card) -> None:
        """Let the runs of a device know how many they are; it stands in their records."""
        here = [worker for worker in self.workers if worker.card is card]
        for worker in here:
            worker.shared |= len(here) > 1
            if worker.process.stdin is not None:
                with suppress(BrokenPipeError):
                    worker.process.stdin.write(f"jobs {len(here)}\n")
                    worker.process.stdin.flush()


def _kind(task: Task) -> tuple[Any, ...]:
    """What decides how much memory a run takes; a graph has a set of feature maps of its own."""
    settings = task.job["settings"]
    names = ("batch_size", "crop_size", "precision")
    return task.job["detector"], *(settings[name] for name in names), task.cuda_graph


def _needs_of_records(output: Path) -> dict[tuple[Any, ...], int]:
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


def _end(worker: Worker, code: int) -> tuple[str, str]:
    """Status and message of a worker that has told nothing itself."""
    if worker.asked and code in STOPPED:
        return "interrupted", "stopped"
    if code < 0:
        return "interrupted", f"{describe_exit(code)}; run the same command again to resume"
    log = worker.folder.log
    return "failed", f"worker {describe_exit(code)}: {last_line(log)} (see {log})"
