"""Processes killed for real: nothing finished is lost, and the result stays the same."""

import os
import signal
import subprocess

import pytest
import torch

from benchmark.record import read_record
from tests.e2e.commands import SMALL, alive, children, run, start, wait_for

CELL = ["--detectors", "tiny", "--loss", "sls", *SMALL, "--epochs", "5"]
SLEEP = "0.4"  # seconds per step, so that a signal lands inside an epoch


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


@pytest.mark.slow
def test_kill_worker_then_parent_then_finish(uninterrupted, tmp_path):
    output = tmp_path / "out"

    parent = start(*CELL, "--output", output, TINY_SLEEP=SLEEP)
    wait_for(lambda: epochs_done(output) >= 1)
    (worker,) = children(parent.pid)
    os.kill(worker, signal.SIGKILL)
    text, _ = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert "killed by SIGKILL" in text
    assert not (folder(output) / "record.json").exists()
    before = epochs_done(output)
    assert 1 <= before < 5

    parent = start(*CELL, "--output", output, TINY_SLEEP=SLEEP)
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
def test_ctrl_c_stops_the_workers_and_says_how_to_resume(tmp_path):
    parent = start(*CELL, "--output", tmp_path, TINY_SLEEP=SLEEP)
    wait_for(lambda: epochs_done(tmp_path) >= 1)
    (worker,) = children(parent.pid)
    parent.send_signal(signal.SIGINT)
    text, _ = parent.communicate(timeout=30)
    assert parent.returncode == 130
    assert "run the same command to resume" in text
    assert "Traceback" not in text
    assert not alive(worker)


@pytest.mark.slow
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


@pytest.mark.slow
def test_worker_stops_when_its_parent_is_stopped_by_sigterm(tmp_path):
    parent = start(*CELL, "--output", tmp_path, TINY_SLEEP=SLEEP)
    wait_for(lambda: epochs_done(tmp_path) >= 1)
    (worker,) = children(parent.pid)
    parent.terminate()
    try:
        parent.wait(30)
    except subprocess.TimeoutExpired:
        parent.kill()
        raise
    assert parent.returncode == 130
    assert not alive(worker)
