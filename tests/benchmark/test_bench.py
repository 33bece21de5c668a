"""`make bench`: its modules fit together (what they measure is never tested)."""

import subprocess
import sys

import pytest

from tests.e2e.commands import ROOT


def test_every_module_adds_its_options():
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for path in (ROOT / "tests" / "bench").glob("[!_]*.py"):
        assert f"{path.stem}:" in result.stdout or path.stem in result.stdout.split()


@pytest.mark.extra
@pytest.mark.parametrize(
    "arguments",
    ["training --batches 1 --crop 64", "losses --images 2 --map 32",
     "detectors --only acm --side 80 --image 80", "synthetic --frames 2"],
)  # fmt: skip
def test_it_runs(arguments):
    """What it calls has not changed under it."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments.split(), "--seconds", "0"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
