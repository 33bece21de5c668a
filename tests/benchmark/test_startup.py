"""help, list, --dry-run and report never import torch, nor the run side the report."""

import os
import resource
import subprocess
import sys

import pytest

from benchmark.execute.process import POOLS
from tests.datasets.tiny import write_pairs
from tests.e2e.commands import ROOT, command


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["--dry-run"],
        ["list", "protocols"],
        ["list", "--plugins", "tests/plugins"],
        ["report", "--help"],
        ["datasets", "--help"],
        ["datasets", "list"],
        ["datasets", "get", "--help"],
        ["datasets", "audit", "--help"],
        ["datasets", "list", "--data-root", "."],
        ["--dataset", "folder:{own}", "--dry-run"],
        ["clear", "failed", "--results", "{own}"],
        ["datasets", "show", "--help"],
        ["datasets", "compare", "--help"],
        ["losses", "--help"],
    ],
    ids=" ".join,
)
def test_never_imports_torch(arguments, tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks", [f"frame{i}" for i in range(20)])
    arguments = [argument.format(own=tmp_path) for argument in arguments]
    code = (
        "import sys\nfrom benchmark.commands.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "heavy = {'torch', 'matplotlib', 'pandas', 'cv2', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_run_side_does_not_import_the_report():
    code = (
        "import sys, benchmark.execute.run, benchmark.execute.worker, benchmark.profiling.parent\n"
        "assert not any(m.startswith('benchmark.report') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_a_dry_run_takes_less_than_importing_torch():
    """Computing time, which other processes disturb less than the clock on the wall."""

    def seconds(arguments: list[str]) -> float:
        def used() -> float:
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime

        times = []
        for _ in range(2):
            before = used()
            one = dict(os.environ) | dict.fromkeys(POOLS, "1")
            subprocess.run(arguments, cwd=ROOT, env=one, check=True, capture_output=True)
            times.append(used() - before)
        return min(times)

    assert seconds(command("--dry-run")) < 0.6 * seconds([sys.executable, "-c", "import torch"])
