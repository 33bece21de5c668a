"""Faults of every kind, through the command line: one clear line, a non-zero exit, nothing lost."""

import os
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.records.record import read_record
from tests.e2e.commands import SMALL, run, start, wait_for
from tests.e2e.disk import small_disk as small_disk  # a fixture


@pytest.fixture
def sirst(tmp_path):
    """A tiny data set in SIRST's layout."""
    root = tmp_path / "SIRST"
    for name in ("images", "masks", "idx_427"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"Misc_{i}" for i in range(12)]
    for name in names:
        image = rng.integers(60, 90, (48, 64), dtype=np.uint8)
        mask = np.zeros((48, 64), np.uint8)
        mask[20:23, 30:34] = 255
        image[mask > 0] = 220
        Image.fromarray(image).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}_pixels0.png")
    (root / "idx_427" / "trainval.txt").write_text("\n".join(names[:8]) + "\n")
    (root / "idx_427" / "test.txt").write_text("\n".join(names[8:]) + "\n")
    return root


def sirst_run(root, output, *more):
    options = ["--detectors", "tiny", "--loss", "sls", "--dataset", "sirst"]
    return run(*options, *SMALL, "--data-root", root.parent, "--output", output, *more)


def assert_one_clear_line(result, *parts):
    """Exit code not 0, no traceback, and one line that names every part."""
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    assert any(all(str(p) in line for p in parts) for line in result.stdout.splitlines()), (
        result.stdout
    )


@pytest.mark.extra
def test_failures_stay_in_their_cell(tmp_path):
    result = run(
        "--detectors", "crash,oom,diverge,tiny", "--loss", "sls", *SMALL,
        "--jobs-per-device", "2", "--output", tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    assert "3 of 4 cells are not done" in result.stdout
    # for lack of memory beside others: perhaps it does by itself
    assert result.stdout.count("oom+sls seed 0: once more, alone on a device") == 1
    assert result.stdout.count("oom+sls seed 0 on cpu") == 2
    records = {
        record.cell.detector: record
        for record in map(read_record, tmp_path.glob("runs/*/*/*/record.json"))
    }
    assert records["tiny"].status == "done"
    assert records["crash"].status == "failed"
    assert "a bug in forward" in records["crash"].error
    assert "in forward" in records["crash"].traceback
    assert records["oom"].status == "oom"
    assert "--batch-size" in records["oom"].error
    assert records["diverge"].status == "diverged"
    assert {record.selection for record in records.values()} == {"best-val"}
    table = (tmp_path / "report" / "leaderboard.md").read_text()
    for status in ("failed", "oom", "diverged"):
        assert status in table
    again = run("--detectors", "diverge,crash", "--loss", "sls", *SMALL, "--output", tmp_path)
    assert "2 cells: 1 to run, 1 skipped" in again.stdout  # divergence is a result, a crash is not
    assert again.returncode == 1


@pytest.mark.extra
def test_good_data_runs(sirst, tmp_path):
    result = sirst_run(sirst, tmp_path / "out")
    assert result.returncode == 0, result.stdout


@pytest.mark.extra
def test_broken_png(sirst, tmp_path):
    path = sirst / "images" / "Misc_3.png"
    path.write_bytes(path.read_bytes()[:400])
    assert_one_clear_line(sirst_run(sirst, tmp_path / "out"), "failed", path, "cannot be decoded")


def test_unknown_detector(tmp_path):
    result = run("--detectors", "mshnett", "--output", tmp_path / "out")
    assert_one_clear_line(result, "error:", "mshnett", "did you mean 'mshnet'?")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a torch that sees no GPU")
@pytest.mark.extra
def test_a_device_that_does_not_come_up_is_left_out(tmp_path):
    """A driver that lists a card which torch cannot use; the cells after three are not started."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-1)'\n")
    tool.chmod(0o755)
    cells = ["--detectors", "tiny", "--loss", "sls,soft_iou,dice,bce,focal", *SMALL]
    cells += ["--dataset", "synthetic"]
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    where = ["--device", "cuda", "--jobs-per-device", "1", "--output", tmp_path / "out"]
    result = run(*cells, *where, PATH=path)
    assert result.returncode == 1
    assert result.stdout.count("failed synthetic tiny") == 3
    assert "cuda:0 is left out: 3 runs in a row failed before they could use it" in result.stdout
    assert_one_clear_line(result, "failed", "this torch sees no GPU")
    assert "5 of 5 cells are not done" in result.stdout


def test_output_in_the_way_of_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("--detectors", "tiny", *SMALL, "--output", tmp_path / "file" / "out")
    assert_one_clear_line(result, "error:", "--output", "cannot write")


def test_read_only_output_folder(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = run("--detectors", "tiny", *SMALL, "--output", small_disk / "out")
    assert_one_clear_line(result, "error:", "--output", "cannot write there", "ead-only")


@pytest.mark.extra
def test_full_disk_keeps_what_is_finished_and_resumes(small_disk, tmp_path):
    cell = ["--loss", "sls", *SMALL, "--output", small_disk / "out"]
    first = run("--detectors", "tiny", *cell)
    assert first.returncode == 0, first.stdout
    path = next((small_disk / "out").glob("runs/*/tiny+sls/seed0-*/record.json"))
    record = path.read_bytes()
    filler, steps = small_disk / "filler", tmp_path / "steps"
    both = ["--detectors", "tiny", *cell, "--seeds", "0,1"]
    process = start(*both, TINY_STEPS=str(steps), TINY_SLEEP="0.3")
    wait_for(steps.exists)  # it trains: what was checked before is true no longer
    with filler.open("wb") as file:
        file.write(b"x" * shutil.disk_usage(small_disk).free)
    full = SimpleNamespace(stdout=process.communicate(timeout=60)[0], returncode=process.returncode)
    assert_one_clear_line(full, "failed", "disk full")
    assert path.read_bytes() == record
    refused = run(*both)
    assert refused.returncode == 2
    assert_one_clear_line(refused, "error:", "--output", "cannot write there", "No space left")
    filler.unlink()
    assert run(*both).returncode == 0
