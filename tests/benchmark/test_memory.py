"""What workers do with freed memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from benchmark.memory import KEEP_FREED
from tests.e2e.commands import ROOT

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from benchmark.memory import give_back

def resident():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024

give_back()
before = resident()
maps = [np.ones(1_000_000) for _ in range(50)]  # 8 MB each
del maps
kept = resident() - before
give_back()
print(kept, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this")
def test_kept_until_given_back():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT, env=dict(os.environ) | KEEP_FREED, capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept, left = map(int, result.stdout.split())
    assert kept > 350  # MB
    assert left < 20
