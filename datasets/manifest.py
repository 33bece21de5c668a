"""Contents of a published set: the SHA-256, size and name of every file.

Kept as text in manifests/NAME.txt, one file a line: `sha256 bytes path`. The archives that servers
make of a repository differ in their bytes from day to day; the files in them do not. So the files
are checked, and any mirror will do.

The entries of sirst.txt were computed from a copy of the public repository's folders images/,
masks/, idx_427/ and idx_320/, not from a download by this program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError

FOLDER = Path(__file__).parent / "manifests"


class Entry(NamedTuple):
    """One file of a set.

    Attributes:
        sha256: of its bytes, 64 hex digits.
        size: bytes.
        path: below the set's folder, with forward slashes.
    """

    sha256: str
    size: int
    path: str

    def problem(self, content: bytes | None) -> str | None:
        """One line on what is wrong with these bytes (None: no such file); None if nothing is."""
        if content is None:
            return f"{self.path}: missing"
        if len(content) != self.size:
            return f"{self.path}: {len(content):,} bytes, expected {self.size:,}"
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            return f"{self.path}: sha256 is {found[:16]}…, expected {self.sha256[:16]}…"
        return None


def read_manifest(name: str) -> list[Entry]:
    """The files of a set, in the order of their paths."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    lines = [line.split(" ", 2) for line in text.splitlines()]
    return [Entry(sha256, int(size), file) for sha256, size, file in lines]


def problems(entries: Iterable[Entry], folder: Path) -> list[str]:
    """Files that are missing from a folder or differ in it, one line each.

    Raises:
        UserError: a file that is there and cannot be read.
    """
    return [line for e in entries if (line := e.problem(_content(folder / e.path)))]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
