"""What a worker tells its parent, one JSON object a line, and how it notices the parent's end."""

from __future__ import annotations

import json
import os
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
