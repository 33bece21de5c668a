"""help, list, --dry-run and report never import torch, nor the run side the report."""

import subprocess
import sys

import pytest

from tests.e2e.commands import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["--dry-run"],
        ["list", "protocols"],
        ["report", "--help"],
        ["datasets", "--help"],
        ["datasets", "list"],
        ["datasets", "get", "--help"],
        ["datasets", "audit", "--help"],
        ["datasets", "list", "--data-root", "."],
        ["--dataset", "folder:.", "--dry-run"],
        ["datasets", "show", "--help"],
        ["datasets", "compare", "--help"],
        ["losses", "--help"],
    ],
    ids=" ".join,
)
def test_never_imports_torch(arguments):
    code = (
        "import sys\nfrom benchmark.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        "heavy = {'torch', 'matplotlib', 'pandas', 'cv2', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_run_side_does_not_import_the_report():
    code = (
        "import sys\nimport benchmark.execute.run, benchmark.execute.worker, benchmark.profile\n"
        "assert not any(m.startswith('benchmark.report') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
