"""Running the command line as a user does: in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "tests" / "plugins"
SMALL = ["--plugins", str(PLUGINS), "--limit", "16", "--epochs", "3", "--device", "cpu"]
SMALL += ["--no-profile", "--set", "selection=best-val", "--set", "val_fraction=0.1"]
"""Options that make a run take seconds."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "run_benchmark.py"), *map(str, arguments)]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; standard output and error come back together."""
    return subprocess.run(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        timeout=240,
        check=False,
    )


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start in the background; it hears Ctrl-C even where the tests themselves do not."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def children(pid: int) -> list[int]:
    """Direct children of a process, those of its threads included."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Poll until the condition holds.

    Raises:
        TimeoutError: it never did.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process still runs (zombies do not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
