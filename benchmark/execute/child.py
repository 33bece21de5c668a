"""The child's side of child processes: standard streams, and how it notices its parent's end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO


def take_output(log: Path | None = None) -> TextIO:
    """The former standard output, for messages to the parent; anything printed from now on goes to
    standard error, or to the end of a log.

    Streams that were closed when this process was started are opened again: otherwise a file would
    take their place, and printed text would go into it. Where the log cannot be written, standard
    error takes its place.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    if log is not None:
        with suppress(OSError):
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(file, 2)
            os.close(file)
    os.dup2(2, 1)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    return answers


def leave_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open, then exit at once."""
    while os.read(0, 1024):
        pass
    os._exit(1)


def listen_to_parent(on_jobs: Callable[[int], None], patience: float) -> None:
    """Read the parent's messages on standard input; when it is gone, stop as if asked to.

    Args:
        on_jobs: called with the number of runs on the device, whenever it changes.
        patience: seconds between asking this process to stop and exiting regardless.
    """
    rest = b""
    while more := os.read(0, 1024):
        *lines, rest = (rest + more).split(b"\n")
        for line in lines:
            if line.startswith(b"jobs "):
                on_jobs(int(line.split()[1]))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os._exit(1)


def set_variables(variables: Mapping[str, str]) -> None:
    """Set environment variables that libraries read when they are imported.

    Raises:
        RuntimeError: one of them has been imported already.
    """
    if late := {"numpy", "torch"} & set(sys.modules):
        raise RuntimeError(f"{', '.join(sorted(late))} imported before the variables were set")
    os.environ.update(variables)
