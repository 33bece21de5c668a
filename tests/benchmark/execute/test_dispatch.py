"""Cells through an executor that runs nothing: order, repeats, time limits, ends without a word."""

import io
import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console

from benchmark.errors import UserError
from benchmark.execute import dispatch
from benchmark.execute.executors import Exit, find_executor, list_executors
from benchmark.plan.job import Job
from benchmark.plan.matrix import Cell
from benchmark.records.store import RunFolder
from benchmark.settings.plan import Plan
from benchmark.settings.run_settings import Settings


@dataclass
class Started:
    """A task that ends at the next look, as its script says."""

    seed: int
    alone: bool
    place: str = "nowhere"


@dataclass
class Scripted:
    """By seed what becomes of a run, one end a start; `room` of them at a time."""

    ends: dict[int, list[Any]]
    room: int = 1
    usable: bool = True
    running: list[Started] = field(default_factory=list)
    log: list[tuple[str, int]] = field(default_factory=list)
    heard: list[dict] = field(default_factory=list)
    closed: bool = False

    def start(self, task, folder, alone):
        seed = task.job["seed"]
        if len(self.running) >= self.room or (alone and self.running):
            return None
        if self.ends[seed][0] == "no process":
            raise OSError(28, "No space left on device", str(folder.task))
        if self.ends[seed][0] == "tells":
            folder.path.mkdir(parents=True)
            last = {"event": "end", "status": "done", "metrics": {"iou": 0.5, "pd": 1, "fa": 1e-6}}
            lines = [{"event": "ready", "memory": None}, last]
            text = "".join(json.dumps(line | {"session": task.session}) + "\n" for line in lines)
            folder.events.write_text(text)
        self.log.append(("alone" if alone else "start", seed))
        self.running.append(Started(seed, alone))
        return self.running[-1]

    def poll(self, handle):
        end = self.ends[handle.seed][0]
        if end == "runs":
            return None
        self.ends[handle.seed].pop(0)
        self.running.remove(handle)
        return Exit("done", "") if end == "tells" else end

    def hear(self, handle, event):
        self.heard.append(event)

    def stop(self, handle):
        self.log.append(("stop", handle.seed))
        self.ends[handle.seed] = [Exit("interrupted", "stopped")]

    def close(self):
        self.closed = True


def run(tmp_path, executor, deadline=None):
    jobs = [Job("synthetic", "acm", "sls", seed, Settings(), "test") for seed in executor.ends]
    cells = [Cell(job, RunFolder(job.folder(tmp_path)), "todo") for job in jobs]
    console = Console(file=io.StringIO(), width=200)
    outcomes = dispatch.run_cells(cells, Plan(output=tmp_path), executor, console, deadline)
    assert executor.closed
    found = [(o.cell.job.seed, o.status, o.message) for o in outcomes]
    return found, console.file.getvalue()


def test_what_a_run_tells_counts_more_than_how_it_ended(tmp_path):
    executor = Scripted({0: ["tells"], 1: [Exit("failed", "worker ended with exit code 3")]})
    found, text = run(tmp_path, executor)
    assert found == [
        (0, "done", "IoU 50.00  Pd 100.00  Fa 1.00e-6"),
        (1, "failed", "worker ended with exit code 3"),
    ]
    assert [event["event"] for event in executor.heard] == ["ready"]
    assert "done   synthetic acm+sls seed 0 (1/2" in text


def test_short_of_memory_beside_others_means_once_more_alone(tmp_path):
    """The smaller one that waits does not take the room before it."""
    short = Exit("failed", "", {"event": "end", "status": "oom", "message": "m"}, crowded=True)
    fine = Exit("failed", "", {"event": "end", "status": "done"})
    executor = Scripted({0: [short, short], 1: ["tells"], 2: [fine]}, room=2)
    found, text = run(tmp_path, executor)
    assert executor.log == [("start", 0), ("start", 1), ("alone", 0), ("start", 2)]
    assert [(seed, status) for seed, status, _ in found] == [(1, "done"), (0, "oom"), (2, "done")]
    assert text.count("seed 0: once more, alone on a device") == 1


def test_a_process_that_cannot_be_made_costs_its_own_cell(tmp_path):
    fine = Exit("failed", "", {"event": "end", "status": "done"})
    found, text = run(tmp_path, Scripted({0: ["no process"], 1: [fine]}))
    assert [(seed, status) for seed, status, _ in found] == [(0, "failed"), (1, "done")]
    assert "disk full" in text


def test_when_the_time_is_over(tmp_path, monkeypatch):
    """What runs is asked to stop, what waits is not started."""
    monkeypatch.setattr(dispatch, "START_SECONDS", 0.05)
    executor = Scripted({0: ["runs"], 1: ["runs"]})
    found, _ = run(tmp_path, executor, deadline=time.time() + 0.2)
    assert executor.log == [("start", 0), ("stop", 0)]
    assert found == [(0, "interrupted", "stopped")]


def test_an_executor_that_gives_up_starts_nothing_more(tmp_path):
    executor = Scripted({0: ["tells"]}, usable=False)
    assert run(tmp_path, executor)[0] == []


def test_names_and_options_of_executors(tmp_path):
    assert "local" in list_executors()
    with pytest.raises(UserError, match=r"--executor slrum: no such .*there are: .*local"):
        find_executor(Plan(output=tmp_path, executor="slrum"))
    with pytest.raises(UserError, match=r"executor_options of local: atached .*'attached'"):
        find_executor(Plan(output=tmp_path, executor_options={"atached": True}))
    plan = Plan(output=tmp_path, device="cpu", executor_options={"attached": False})
    assert not find_executor(plan)().options.attached
