"""Events that a child process reports to its parent: one JSON object a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TextIO


class EventWriter:
    """Writes events to a stream, each with the fields that all of them share.

    Events are lost where nobody reads any more or the disk is full: that stops no run.
    """

    def __init__(self, stream: TextIO | EventFile, **always: Any) -> None:
        self._stream, self._always = stream, always

    def __call__(self, event: str, **fields: Any) -> None:
        """Send one event."""
        line = json.dumps({"event": event, **self._always, **fields}) + "\n"
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError:
            pass


class EventFile:
    """A file of events that several writers append to: each line is written whole or not at all.

    Args:
        path: of the file; made if it is not there.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def clear(self) -> None:
        """Empty the file."""
        os.truncate(self._file, 0)

    def write(self, line: str) -> None:
        """Add a line."""
        os.write(self._file, line.encode())

    def flush(self) -> None:
        """Do nothing: no line is ever held back."""


class EventReader:
    """Reads the events of one session as they are written.

    Args:
        path: a file that may not be there yet.
        session: events of others in it are left out.
    """

    def __init__(self, path: Path, session: str) -> None:
        self._path, self._session, self._position = path, session, 0

    def read(self) -> list[dict[str, Any]]:
        """Events written since the last call, from whole lines only."""
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._position:  # it was cleared
                    self._position = 0
                file.seek(self._position)
                lines = file.read()
        except OSError:
            return []
        lines = lines[: lines.rfind(b"\n") + 1]
        self._position += len(lines)
        found = (parse_event(line) for line in lines.decode(errors="replace").splitlines())
        return [e for e in found if e is not None and e.get("session") == self._session]


def parse_event(line: str) -> dict[str, Any] | None:
    """The event in a line; None for anything else."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
