"""Processes killed for real: nothing finished is lost, and the result stays the same."""

import os
import signal
import time

import pytest
import torch

from benchmark.records.record import read_record
from tests.e2e.commands import SMALL, alive, children, run, start, wait_for

CELL = ["--detectors", "tiny", "--loss", "sls", "--dataset", "synthetic", *SMALL, "--epochs", "5"]
SLEEP = "0.4"  # seconds per step, so that a signal lands inside an epoch
STEPS = 3  # of an epoch


def folder(output):
    found = list(output.glob("runs/*/*/seed*"))
    return found[0] if found else output


def epochs_done(output) -> int:
    try:
        return torch.load(folder(output) / "checkpoint.pt", weights_only=True)["next_epoch"]
    except (FileNotFoundError, RuntimeError, EOFError):
        return 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted")
    result = run(*CELL, "--output", output)
    assert result.returncode == 0, result.stdout
    return output


@pytest.mark.extra
def test_kill_worker_then_parent_then_finish(uninterrupted, tmp_path):
    output = tmp_path / "out"

    slow = {"TINY_SLEEP": SLEEP, "TINY_SAVE_EVERY": "0"}
    parent = start(*CELL, "--output", output, **slow)
    wait_for(lambda: epochs_done(output) >= 1)
    (worker,) = children(parent.pid)
    os.kill(worker, signal.SIGKILL)
    text, _ = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert "killed by SIGKILL" in text
    assert not (folder(output) / "record.json").exists()
    before = epochs_done(output)
    assert 1 <= before < 5

    parent = start(*CELL, "--output", output, **slow)
    wait_for(lambda: epochs_done(output) > before)
    (worker,) = children(parent.pid)
    parent.kill()
    parent.wait()
    wait_for(lambda: not alive(worker), 15)
    assert not (folder(output) / "record.json").exists()
    assert "interrupted" in run(*CELL, "--output", output, "--dry-run").stdout

    result = run(*CELL, "--output", output)
    assert result.returncode == 0, result.stdout
    ours = read_record(folder(output) / "record.json")
    theirs = read_record(folder(uninterrupted) / "record.json")
    assert ours.environment.sessions == 3
    assert ours.scores == theirs.scores
    assert [e.loss for e in ours.history] == [e.loss for e in theirs.history]
    mine, other = (
        torch.load(folder(o) / "weights.pt", weights_only=True)["state_dict"]
        for o in (output, uninterrupted)
    )
    assert all(torch.equal(mine[key], other[key]) for key in other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        signal.SIGINT,
        *(pytest.param(s, marks=pytest.mark.extra) for s in (signal.SIGTERM, signal.SIGKILL)),
    ],
)
def test_a_stop_saves_the_epochs_that_are_finished(how, tmp_path):
    """Ctrl-C, SIGTERM and the sudden end of the parent, before the first checkpoint is due."""
    output, steps = tmp_path / "out", tmp_path / "steps"
    parent = start(*CELL, "--output", output, TINY_SLEEP=SLEEP, TINY_STEPS=str(steps))
    wait_for(lambda: steps.exists() and steps.stat().st_size > 2 * STEPS)
    (worker,) = children(parent.pid)
    assert epochs_done(output) == 0
    parent.send_signal(how)
    text, _ = parent.communicate(timeout=30)
    wait_for(lambda: not alive(worker), 15)
    taken = steps.stat().st_size
    assert epochs_done(output) == (taken - 1) // STEPS  # the last one was not finished
    if how != signal.SIGKILL:
        assert parent.returncode == 130
        assert "run the same command to resume" in text
        assert "Traceback" not in text


@pytest.mark.extra
def test_a_run_that_is_not_attached_outlives_its_parent(uninterrupted, tmp_path):
    """An option of the local executor: the worker goes on alone, and its record is the same."""
    preset, output, steps = tmp_path / "own.yaml", tmp_path / "out", tmp_path / "steps"
    preset.write_text("recipe: quick\nexecutor_options: {attached: false}\n")
    command = [*CELL, "--preset", preset, "--output", output]
    parent = start(*command, TINY_SLEEP="0.1", TINY_STEPS=str(steps))
    wait_for(steps.exists)
    (worker,) = children(parent.pid)
    parent.kill()
    parent.wait()
    assert alive(worker)
    assert "another process is running it" in run(*command, "--dry-run").stdout
    wait_for(lambda: (folder(output) / "record.json").exists())
    ours = read_record(folder(output) / "record.json")
    assert (ours.status, ours.environment.sessions) == ("done", 1)
    assert ours.scores == read_record(folder(uninterrupted) / "record.json").scores


@pytest.mark.extra
def test_a_time_limit_ends_in_time_and_the_same_command_goes_on(uninterrupted, tmp_path):
    """Exit code 75 until all is done; then the result is that of one run."""
    command = [*CELL, "--output", tmp_path, "--time-limit", "30s"]
    started = time.monotonic()
    result = run(*command, TINY_SLEEP="2")
    took = time.monotonic() - started
    assert result.returncode == 75, result.stdout
    done = epochs_done(tmp_path)
    assert 1 <= done < 5
    assert "paused synthetic tiny+sls seed 0 (1/1" in result.stdout
    assert f"saved: synthetic tiny+sls seed 0: time limit, {done} of 5 epochs" in result.stdout
    assert "1 of 1 cells are not done" in result.stdout
    assert "the time is over: run the same command again to go on" in result.stdout
    assert took < 30 + 30  # the report comes after it
    result = run(*CELL, "--output", tmp_path)
    assert result.returncode == 0, result.stdout
    ours, theirs = (read_record(folder(o) / "record.json") for o in (tmp_path, uninterrupted))
    assert ours.scores == theirs.scores
    assert ours.environment.sessions == 2


@pytest.mark.extra
def test_two_harnesses_never_run_a_cell_twice(tmp_path):
    starts = tmp_path / "starts"
    cells = ["--detectors", "tiny", "--loss", "sls,soft_iou", *SMALL]
    environment = {"TINY_STARTS": str(starts), "TINY_SLEEP": SLEEP}
    both = [start(*cells, "--output", tmp_path / "out", **environment) for _ in range(2)]
    texts = [p.communicate(timeout=120)[0] for p in both]
    assert len(starts.read_text().splitlines()) == 2, texts
    records = list((tmp_path / "out").glob("runs/*/*/*/record.json"))
    assert len(records) == 2
    assert all(read_record(path).status == "done" for path in records)
