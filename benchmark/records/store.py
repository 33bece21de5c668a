"""Files of a run on disk: atomic writes, the lock, and the state that can be read from them.

OUTPUT/runs/<dataset>/<detector>+<loss>/seed<k>-<id>/
    task.json       the job with its resolved settings, and where and how it runs
    events.jsonl    the worker's reports while it runs, one JSON object a line
    checkpoint.pt   a finished epoch, to resume from; at most a minute old while it trains
    best-*.pt       the weights of the best epoch so far, by rule of selection and epoch
    untrained.json  scores of the network before its first step
    weights.pt      the weights that were scored
    record.json     the result; written last
    log.txt         what the worker printed
    diverged.pt     the batch on which the loss became infinite or NaN, if it did
    lock            held by the process that works on the run
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.records.record import Record, RecordError, read_record


def write_atomic(path: Path, data: bytes | bytearray | memoryview | str) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        OSError: disk full, read-only, ..., with the file's name; an existing file stays as it was.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, raw)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _replace(path: Path, raw: bytes | bytearray | memoryview) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.task = path / "task.json"
        self.events = path / "events.jsonl"
        self.record = path / "record.json"
        self.checkpoint = path / "checkpoint.pt"
        self.untrained = path / "untrained.json"
        self.weights = path / "weights.pt"
        self.crops = path / "crops.npz"
        self.log = path / "log.txt"
        self.diverged = path / "diverged.pt"

    def best(self, rule: str, epoch: int) -> Path:
        """Weights of the best epoch by a rule of selection, while training goes on."""
        return self.path / f"{rule}-{epoch}.pt"

    def all_best(self) -> list[Path]:
        """All such files that there are."""
        return list(self.path.glob("best-*.pt"))

    def discard_checkpoint(self) -> None:
        """Remove the files that only an unfinished training needs."""
        for path in (self.checkpoint, self.untrained, *self.all_best()):
            path.unlink(missing_ok=True)

    def lock(self) -> FileLock:
        """The lock of the run; the system frees it when its holder dies, however it dies."""
        return FileLock(self.path / "lock")

    def read(self, job_id: str) -> Record | None:
        """The record of this job; None if there is none, or one that is broken or another's."""
        if not self.record.exists():
            return None
        try:
            record = read_record(self.record)
        except RecordError:
            return None
        return record if record.cell.id == job_id else None

    def discard_record(self, job_id: str) -> None:
        """Make room for a new record: keep a broken or foreign file as `record.json.bad`."""
        if self.record.exists() and self.read(job_id) is None:
            self.record.replace(self.path / "record.json.bad")
        self.record.unlink(missing_ok=True)

    def clean(self, job_id: str) -> None:
        """Make room for a new start: `discard_record`, and remove what a killed write has left."""
        self.discard_record(job_id)
        for pattern in (".*.pt.*", ".record.json.*", ".crops.npz.*"):
            for leftover in self.path.glob(pattern):
                leftover.unlink(missing_ok=True)

    def state(self, job_id: str, locked: bool = True) -> str:
        """`todo`, `running`, `interrupted`, or the status of the record.

        Args:
            job_id: of the job that the folder is meant for.
            locked: look at the lock too; False for the process that holds it.
        """
        if not self.path.exists():
            return "todo"
        record = self.read(job_id)
        if record is not None and record.status == "done":
            return "done"
        if locked and self._locked():
            return "running"
        if record is not None:
            return record.status
        return "interrupted" if self.task.exists() or self.checkpoint.exists() else "todo"

    def _locked(self) -> bool:
        if not (self.path / "lock").exists():
            return False
        try:
            with self.lock().acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a read-only folder cannot be locked, so nothing runs in it
            return False
