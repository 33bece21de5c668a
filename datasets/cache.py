"""Decoded splits kept on disk: one file a split, mapped into memory at the next start.

An entry holds all images of a split as bytes, one after the other, then the places of all target
pixels (they are few: bits would take longer to unpack than all the rest), then a table: names,
shapes, and the files that it was made from, each with size, inode and times as the file system
knows them. It ends in a checksum of all that.

An entry is used only if
- the split has the same names and files, in the same order;
- no file's size, modification time, change time or inode differs from that before decoding. The
  change time cannot be set by programs, so a file replaced by one of equal size and modification
  time is noticed. A data set that was copied elsewhere is decoded once more;
- the checksum fits: a damaged entry is decoded anew, never used;
- it was written by this version of the format and of Pillow.

Entries are written under another name and renamed when they are complete, so several processes may
read and write at once, and one that is killed leaves no broken entry. A split has one entry: the
next one replaces it. Entries that nobody used for `KEEP_DAYS` go when another is written.

The format is our own because safetensors has no checksum, and its NumPy reader copies: reading took
2.3 to 2.7 times as long (57 ms instead of 23 for NUDT-SIRST's 663 training images), in memory of
each process's own. Its reader for torch, which maps, took 1.3 to 1.7 times as long, and commands do
without torch.

The folder is IRSTD_CACHE, by default `irstd-bench` in XDG_CACHE_HOME or `~/.cache`;
`IRSTD_CACHE=off` means no cache. One that cannot be written to is reported in a line, and the data
set works without.
"""

from __future__ import annotations

import functools
import hashlib
import json
import mmap
import os
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL

from datasets.base import Item, Sample

VARIABLE = "IRSTD_CACHE"
FORMAT = 1
"""Counts changes of what an entry holds, and of how files are decoded."""
KEEP_DAYS = 90
TICK = 0.02
"""Seconds in which a file system may give two changes of a file the same time."""

_SUFFIX = ".split"
_END = struct.Struct("<QI8s")
"""Last bytes of an entry: length of the table, checksum of everything before, a mark."""
_MARK = b"irstd\r\n\0"
_PLACE = np.dtype(np.uint32)
"""Type of a target pixel's place in its mask."""
_ALIGN = 16
"""Images begin at multiples of this many bytes."""

Decoded = tuple[list[Sample], list[str]]
"""Samples, and notes on what had to be repaired while decoding."""
State = list[list[Any]]
"""For every file: path, size, modification and change time in ns, inode."""


def load(name: str, split: str, items: Sequence[Item], decode: Callable[[], Decoded]) -> Decoded:
    """The samples of `items`: from the cache if it has them, else decoded and put there.

    Args:
        name: of the data set with all that tells its splits apart; any text.
        split: its split.
        items: what is to be decoded.
        decode: does it.

    Raises:
        UserError: raised by `decode`.
    """
    folder = cache_folder()
    state = _settled(items) if folder is not None else None
    if folder is None or state is None:
        return decode()
    path = folder / entry_name(name, split, items)
    found = _read(path, items, state)
    if found is not None:
        with suppress(OSError):
            os.utime(path)  # the time of the last use
        return found
    decoded = decode()
    if state != _state(items):  # a file changed while it was decoded: keep no entry
        return decoded
    try:
        _write(path, state, decoded)
        _prune(folder)
    except OSError as error:
        _complain(folder, error.strerror or str(error))
    return _read(path, items, state) or decoded  # mapped memory is shared and can be swapped out


def cache_folder() -> Path | None:
    """Where entries are; None for no cache."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # no home
        return (Path(base) if base else Path.home() / ".cache") / "irstd-bench"
    return None


def entry_name(name: str, split: str, items: Sequence[Item]) -> str:
    """File name of the entry: one for each data set, split and place."""
    place = [str(path.parent.absolute()) for path in (items[0].image, items[0].mask)]
    digest = hashlib.sha256(json.dumps([name, split, *place]).encode()).hexdigest()
    return f"{name.partition(':')[0]}-{split}-{digest[:16]}{_SUFFIX}"


def _state(items: Sequence[Item]) -> State | None:
    """Sizes, times and inodes of the files; None if one is missing."""
    state = []
    try:
        for path in (path for item in items for path in (item.image, item.mask)):
            s = path.stat()
            state.append([str(path.absolute()), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino])
    except OSError:
        return None
    return state


def _settled(items: Sequence[Item]) -> State | None:
    """`_state`, taken late enough after the last change for every further one to show."""
    state = _state(items)
    if state and time.time_ns() - max(change for _, _, _, change, _ in state) < TICK * 1e9:
        time.sleep(TICK)
        state = _state(items)
    return state or None


def _read(path: Path, items: Sequence[Item], state: State) -> Decoded | None:
    """The samples of an entry; None if there is none, or one that is damaged or out of date."""
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        length, checksum, mark = _END.unpack(data[-_END.size :])
        body = data[: -_END.size]
        if mark != _MARK:
            return None
        table = json.loads(bytes(body[len(body) - length :]))
        # Cheap reasons to refuse come first: the checksum reads the whole entry.
        made_from = [table[key] for key in ("format", "pillow", "names", "state")]
        if made_from != [FORMAT, PIL.__version__, [item.name for item in items], state]:
            return None
        if zlib.crc32(body) != checksum:
            return None
        return _unpack(body, table), table["notes"]
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def _unpack(data: memoryview, table: dict[str, Any]) -> list[Sample]:
    samples = []
    rows = table["samples"]
    # One block for all masks: zeroed memory costs nothing until its pages are written to.
    blank = np.zeros(sum(height * width for _, height, width, *_ in rows), bool)
    for name, height, width, kind, image_at, targets_at, count in rows:
        image = np.ndarray((height, width), kind, data, image_at)  # a view of the file: no copy
        mask, blank = blank[: image.size], blank[image.size :]
        mask[np.ndarray(count, _PLACE, data, targets_at)] = True
        mask = mask.reshape(image.shape)
        mask.flags.writeable = False
        samples.append(Sample(image, mask, name))
    return samples


def _write(path: Path, state: State, decoded: Decoded) -> None:
    """Write an entry under another name, then give it its own.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(".tmp", f"{path.name}.", path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            _write_entry(_Checked(file), state, *decoded)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class _Checked:
    """A file that is written from beginning to end, with place and checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.place, self.checksum = file, 0, 0

    def write(self, data: bytes | memoryview) -> int:
        """Write `data`; returns where it begins."""
        begin = self.place
        self.file.write(data)
        self.checksum = zlib.crc32(data, self.checksum)
        self.place += len(data)
        return begin


def _write_entry(file: _Checked, state: State, samples: list[Sample], notes: list[str]) -> None:
    images = []
    for sample in samples:
        file.write(bytes(-file.place % _ALIGN))  # so that views of the file are aligned
        images.append(file.write(np.ascontiguousarray(sample.image).tobytes()))
    file.write(bytes(-file.place % _ALIGN))
    targets = [file.write(np.flatnonzero(s.mask).astype(_PLACE).tobytes()) for s in samples]
    rows = [
        [s.name, *s.image.shape, s.image.dtype.str, image, places, int(s.mask.sum())]
        for s, image, places in zip(samples, images, targets, strict=True)
    ]
    table = {
        "format": FORMAT,
        "pillow": PIL.__version__,
        "names": [sample.name for sample in samples],
        "state": state,
        "samples": rows,
        "notes": notes,
    }
    text = json.dumps(table).encode()
    file.write(text)
    file.file.write(_END.pack(len(text), file.checksum, _MARK))


def _prune(folder: Path) -> None:
    """Delete entries that have long been unused, and files that a killed process left."""
    now = time.time()
    for path in folder.glob(f"*{_SUFFIX}*"):
        days = 1 if path.suffix == ".tmp" else KEEP_DAYS
        with suppress(OSError):  # another process deleted it
            if now - path.stat().st_mtime > days * 86400:
                path.unlink()


@functools.cache  # once a process
def _complain(folder: Path, reason: str) -> None:
    print(
        f"data cache {folder}: cannot be written ({reason}), so images are decoded at every start; "
        f"name another folder in {VARIABLE}, or set {VARIABLE}=off",
        file=sys.stderr,
        flush=True,
    )
