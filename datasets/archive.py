"""Unpacking a published set: the files of its manifest, each checked, all of them or nothing."""

from __future__ import annotations

import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from benchmark.errors import naming
from datasets.layouts import some
from datasets.manifest import Entry


class ArchiveError(Exception):
    """The archive is not what it should be; says in one line why."""


def unpack(archive: Path, entries: Sequence[Entry], folder: Path) -> None:
    """Write the files of a manifest from a zip archive into a new folder.

    The archive may hold them below any folder (servers name it after the commit) and beside other
    files, which are left out. Names in the archive never become paths: the manifest says where a
    file goes. An archive with names that leave its folder is refused all the same.

    Args:
        archive: the zip file.
        entries: the files that must be in it.
        folder: where to; its contents are removed first. Its files are complete and right when
            this returns; after an error they are not.

    Raises:
        ArchiveError: no zip archive, a broken one, unsafe names, or a file that is missing or
            differs (with both values).
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as source:
            sizes = {info.filename: info.file_size for info in source.infolist()}
            _refuse_unsafe(sizes)
            top = _top(sizes, entries)
            wrong = [line for e in entries if (line := _unpack_one(source, top, sizes, e, folder))]
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
        struct.error,
    ) as error:  # fmt: skip
        raise ArchiveError(_not_a_zip(archive, error)) from None
    except OSError as error:
        if error.filename is not None:  # of a file that is written
            raise
        raise ArchiveError(_not_a_zip(archive, error)) from None  # a seek to where nothing is
    if wrong:
        raise ArchiveError(f"{len(wrong)} of {len(entries)} files are wrong: {some(wrong)}")


def _refuse_unsafe(names: Iterable[str]) -> None:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
            raise ArchiveError(f"it holds '{name}', which leaves its folder: not a file to trust")


def _top(names: Iterable[str], entries: Sequence[Entry]) -> str:
    """The folder within the archive that most files of the manifest are found under."""
    known = set(names)
    first = entries[0].path
    tops = [n.removesuffix(first) for n in names if n == first or n.endswith(f"/{first}")]
    return max(tops, key=lambda top: sum(top + e.path in known for e in entries), default="")


def _unpack_one(
    source: zipfile.ZipFile, top: str, sizes: dict[str, int], entry: Entry, folder: Path
) -> str | None:
    """Write one file if it is right, else say what is wrong with it."""
    name = top + entry.path
    if name not in sizes:
        return entry.problem(None)
    if sizes[name] != entry.size:  # not read: it may be anything but small
        return f"{entry.path}: {sizes[name]:,} bytes, expected {entry.size:,}"
    content = source.read(name)
    if (problem := entry.problem(content)) is None:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with naming(target):
            target.write_bytes(content)
    return problem


def _not_a_zip(archive: Path, error: Exception) -> str:
    with archive.open("rb") as file:
        begins = file.read(16)
    if begins.startswith(b"PK"):
        return f"it is a broken zip archive ({error})"
    return f"it is not a zip archive (it begins with {begins!r})"
