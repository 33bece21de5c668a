"""Errors that are shown as one line, without a traceback."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Names the file or option, the value and the remedy; the command line exits with 2.

    Where several things are wrong at once, each is an argument of its own.
    """


def did_you_mean(word: str, among: Iterable[str], prefix: str = "", cutoff: float = 0.6) -> str:
    """`did you mean 'x'? ` with the nearest of some words, or nothing where none is near.

    Args:
        word: as it was written.
        among: the words it could have been.
        prefix: goes before the nearest one, inside the quotation marks.
        cutoff: how alike two words must be, from 0 to 1.
    """
    near = difflib.get_close_matches(word, list(among), 1, cutoff)
    return f"did you mean '{prefix}{near[0]}'? " if near else ""


@contextmanager
def collecting(problems: list[str]) -> Iterator[None]:
    """Add the lines of a UserError raised inside to `problems`, and carry on."""
    try:
        yield
    except UserError as error:
        problems += error.args


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def describe_os_error(error: OSError) -> str:
    """One line for a failure of the file system: the file, what happened, the remedy."""
    where = error.filename or "the output folder"
    if error.errno == errno.ENOSPC:
        return f"{where}: disk full; free some space and run the same command again"
    return f"{where}: {error.strerror or error}"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make a file-system error raised inside name this file; a failed write names none itself."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
