"""Errors that are shown as one line, without a traceback."""

from __future__ import annotations

import errno


class UserError(Exception):
    """Names the file or option, the value and the remedy; the command line exits with 2."""


def describe_os_error(error: OSError) -> str:
    """One line for a failure of the file system: the file, what happened, the remedy."""
    where = error.filename or "the output folder"
    if error.errno == errno.ENOSPC:
        return f"{where}: disk full; free some space and run the same command again"
    return f"{where}: {error.strerror or error}"
