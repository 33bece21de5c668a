"""The parent's side of child processes: how they start, how they end, and what that means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from benchmark.environment import ROOT, device_environment

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that bound the thread pools of libraries, which else are as large as the machine."""

STOPPED = (1,) if sys.platform == "win32" else (-signal.SIGTERM, -signal.SIGKILL)
"""Exit codes of a process that was ended by `terminate` or `kill`."""


def child_variables(device: str, threads: int) -> dict[str, str]:
    """Environment of a process that works on `device` (`cpu` or `cuda:K`) with `threads` threads on
    the CPU, set before it imports anything that computes."""
    return dict.fromkeys(POOLS, str(threads)) | device_environment(device)


def start_child(
    module: str,
    arguments: Sequence[object],
    variables: Mapping[str, str],
    *,
    attached: bool = False,
    errors: IO[str] | int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start `python -m MODULE ARGUMENTS` in a session of its own: Ctrl-C reaches this one only.

    Args:
        module: with its package.
        arguments: of its command line.
        variables: set in addition to those of this process, see `child_variables`.
        attached: its standard input is a pipe, which closes when this process dies.
        errors: its standard error.

    Raises:
        OSError: no process could be made.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        | dict(variables),
        cwd=ROOT,  # a folder `datasets` where the user is must not shadow ours
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
    )


def end_child(process: subprocess.Popen[str], patience: float) -> None:
    """Close its standard input, wait for it, and kill it if that takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def describe_exit(code: int) -> str:
    """The end of a process in words, from an exit code other than 0."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # real-time signals have no name
        name = f"signal {-code}"
    hint = " (the system does this when memory runs out)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def last_line(text: str | Path) -> str:
    """The last line of what a process printed, or of the file that it printed to."""
    try:
        printed = text if isinstance(text, str) else text.read_text("utf-8", errors="replace")
    except OSError:
        printed = ""
    return (printed.strip().splitlines() or ["no message"])[-1]
