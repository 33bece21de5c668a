"""What a worker tells its parent, one JSON object a line, and how it notices the parent's end."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any, TextIO


class EventWriter:
    """Writes events; a parent that has gone away is no error (the worker's watchdog sees to it)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: str, **fields: Any) -> None:
        """Send one event."""
        try:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            pass


def parse_event(line: str) -> dict[str, Any] | None:
    """The event in a line; None for anything else."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def exit_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open, and leave at once."""
    while os.read(0, 1024):
        pass
    os._exit(1)


def listen_to_parent(on_jobs: Callable[[int], None], patience: float) -> None:
    """Read what the parent says on standard input; when it is gone, stop as if asked to.

    Args:
        on_jobs: called with the number of runs on the device, whenever it changes.
        patience: seconds between asking this process to stop and leaving all the same.
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
