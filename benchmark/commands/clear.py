"""`clear`: removes failed runs, or a single one, from the disk."""

from __future__ import annotations

import glob
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.commands.options import out
from benchmark.console import say
from benchmark.errors import UserError

if TYPE_CHECKING:
    from benchmark.records.store import RunFolder

FAILED = "failed"
"""Word for every run in one of these states."""
STATES = ("failed", "oom", "diverged")


def command(
    what: Annotated[
        str, typer.Argument(help="failed (also out of memory, diverged), or the id of a run")
    ],
    results: Annotated[Path, typer.Option(help="where runs are looked for")] = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete the folders of failed runs, or of one run, after showing them and asking."""
    clear(what, results, yes, out)


def clear(what: str, results: Path, yes: bool, console: Console) -> None:
    """Delete folders of runs, after showing them and asking.

    Args:
        what: `failed`, or the id of a run (or the beginning of it).
        results: where to look for them.
        yes: do not ask.
        console: where to show them.

    Raises:
        UserError: no such run, several with this id, one that is running, or nobody to ask.
    """
    found = _failed(results) if what == FAILED else [_run(what, results)]
    for folder, state in found:
        say(console, f"{state:<11} {folder.path}")
    if not found:
        say(console, f"no failed runs below {results}")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(f"clear {what}: nobody to ask here; repeat it with --yes")
        if not typer.confirm(f"Delete {len(found)} folder(s) with all that is in them?"):
            return
    for folder, _ in found:
        _remove(folder)
    say(console, f"{len(found)} deleted; `report FOLDER` writes the tables without them")


def _failed(results: Path) -> list[tuple[RunFolder, str]]:
    found = [(folder, _state(folder)) for folder in _folders(results)]
    return [(folder, state) for folder, state in found if state in STATES]


def _run(run_id: str, results: Path) -> tuple[RunFolder, str]:
    """The one run with this id.

    Raises:
        UserError: none, several, or it is running.
    """
    found = _folders(results, run_id)
    if len(found) != 1:
        what = "no run" if not found else f"{len(found)} runs"
        raise UserError(
            f"clear {run_id}: {what} of this id below {results}; say '{FAILED}' or the id of one "
            "run, and where it is with --results"
        )
    (folder,) = found
    if (state := _state(folder)) == "running":
        raise UserError(f"clear {run_id}: {folder.path} is running; stop it first")
    return folder, state


def _folders(results: Path, run_id: str = "") -> list[RunFolder]:
    from benchmark.records.store import RunFolder

    paths = results.glob(f"**/runs/*/*/seed*-{glob.escape(run_id)}*/")
    return [RunFolder(path) for path in sorted(paths)]


def _state(folder: RunFolder) -> str:
    return folder.state(folder.path.name.rpartition("-")[2])


def _remove(folder: RunFolder) -> None:
    """Delete a run's folder that no process works on, and the parents that it leaves empty.

    Raises:
        UserError: a run has begun there in the meantime.
    """
    from filelock import Timeout

    try:
        with folder.lock().acquire(timeout=0):
            shutil.rmtree(folder.path)
    except Timeout:
        raise UserError(f"{folder.path}: another process has begun to run it; left alone") from None
    for above in folder.path.parents[:2]:
        with suppress(OSError):  # it holds other runs
            above.rmdir()
