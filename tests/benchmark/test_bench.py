"""`make bench`: its modules fit together (what they measure is never tested)."""

import subprocess
import sys

from tests.e2e.commands import ROOT


def test_every_module_adds_its_options():
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for path in (ROOT / "tests" / "bench").glob("[!_]*.py"):
        assert f"{path.stem}:" in result.stdout or path.stem in result.stdout.split()
