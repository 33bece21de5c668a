"""Deleting runs: what is shown and asked before, and what is never touched."""

from __future__ import annotations

import io
import json

import pytest
import typer
from filelock import FileLock
from rich.console import Console

from benchmark.commands import clear as module
from benchmark.commands.clear import clear
from benchmark.errors import UserError
from benchmark.plan.job import Job
from benchmark.records.record import Cell, Environment, Record
from benchmark.records.store import RunFolder, write_atomic
from benchmark.report.collect import collect
from benchmark.settings.run_settings import Settings

STATES = ("done", "failed", "oom", "diverged", "interrupted", "running")


@pytest.fixture
def runs(tmp_path):
    """A run in every state, by state; the lock of one is held."""
    found = {}
    for number, state in enumerate(STATES):
        job = Job("synthetic", "acm" if number else "mshnet", "sls", number, Settings(), "quick")
        folder = found[state] = RunFolder(job.folder(tmp_path / "out"))
        write_atomic(folder.task, json.dumps(job.to_dict()))
        if state not in ("interrupted", "running"):
            write_atomic(folder.record, record(job, state).to_json())
    # one that failed before and runs again
    failed = json.loads(found["failed"].record.read_text())
    failed["cell"]["id"] = found["running"].path.name.rpartition("-")[2]
    write_atomic(found["running"].record, json.dumps(failed))
    with FileLock(found["running"].path / "lock"):
        yield found


def record(job, status):
    environment = Environment(
        harness="0", python="3", torch="2", platform="x", device="x", threads=1, precision="fp32"
    )
    fields = {k: v for k, v in job.to_dict().items() if k != "settings"}
    return Record(
        cell=Cell(**fields), status=status, settings=job.settings.model_dump(mode="json"),
        started="", finished="", command="", environment=environment,
    )  # fmt: skip


def run(*arguments, yes=True):
    text = io.StringIO()
    clear(*arguments, yes, Console(file=text, width=400))
    return text.getvalue()


def left(runs):
    return [state for state, folder in runs.items() if folder.path.exists()]


def test_failed_ones_go_and_others_stay(runs, tmp_path):
    text = run("failed", tmp_path)
    assert left(runs) == ["done", "interrupted", "running"]
    assert [line.split()[0] for line in text.splitlines()] == ["failed", "oom", "diverged", "3"]
    assert str(runs["oom"].path) in text
    assert "no failed runs" in run("failed", tmp_path)


def test_one_by_its_id(runs, tmp_path):
    path = runs["done"].path
    run(path.name.rpartition("-")[2][:6], tmp_path)
    assert "done" not in left(runs)
    assert not path.parent.exists()  # nothing else was in it
    assert path.parents[1].exists()
    with pytest.raises(UserError, match="no run of this id"):
        run("ffffffffff", tmp_path)
    with pytest.raises(UserError, match="5 runs of this id"):
        run("", tmp_path)


def test_never_one_that_runs(runs, tmp_path):
    path = runs["running"].path
    with pytest.raises(UserError, match="is running; stop it first"):
        run(path.name.rpartition("-")[2], tmp_path)
    with pytest.raises(UserError, match="another process has begun"):  # after it was looked at
        module._remove(runs["running"])
    assert left(runs) == list(STATES)


def test_asks_first(runs, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="clear failed: nobody to ask here; repeat it with --yes"):
        run("failed", tmp_path, yes=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    for answer in (False, True):
        monkeypatch.setattr(
            typer, "confirm", lambda text, answer=answer: asked.append(text) or answer
        )
        run("failed", tmp_path, yes=False)
        assert (left(runs) == list(STATES)) is not answer
    assert asked == ["Delete 3 folder(s) with all that is in them?"] * 2


@pytest.mark.usefixtures("runs")
def test_tables_without_failed_cells(tmp_path):
    output = tmp_path / "out"

    def statuses(**options):
        tables = collect(output, **options).tables
        return {run.record.status for table in tables for run in table.runs}

    assert {"failed", "oom", "diverged"} <= statuses()
    assert not {"failed", "oom", "diverged"} & statuses(without_failed=True)
