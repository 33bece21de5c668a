"""help, list, --dry-run and report never import torch, nor the run side the report."""

import os
import resource
import shutil
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


def _seconds(arguments: list[str]) -> float:
    """Computing time, which other processes disturb less than the clock on the wall."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    one = dict(os.environ) | dict.fromkeys(POOLS, "1")
    subprocess.run(arguments, cwd=ROOT, env=one, check=True, capture_output=True)
    return used() - before


def test_what_only_reads_takes_less_than_importing_torch(tmp_path):
    """Up to the terminal's tables; the figures of a report come after them."""
    torch = min(_seconds([sys.executable, "-c", "import torch"]) for _ in range(2))
    shutil.copytree(ROOT / "results/reference/sirst-first/runs", tmp_path / "runs")
    tables = (
        "import sys; from rich.console import Console; from pathlib import Path\n"
        "from benchmark.report.collect import collect\n"
        "from benchmark.report.tables import print_tables\n"
        f"print_tables(collect(Path({str(tmp_path)!r})), Console())"
    )
    for arguments in (
        command("--dry-run"), command("--help"), command("list"), command("report", "--help"),
        [sys.executable, "-c", tables],
    ):  # fmt: skip
        limit = 0.6 * torch
        assert _seconds(arguments) < limit or _seconds(arguments) < limit, arguments
