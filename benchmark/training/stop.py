"""Stopping a run before its end without losing what it has done."""

from __future__ import annotations

import os
import signal
import time

MARGIN = 1.2
"""Time that an epoch is expected to take, over that of the longest one so far."""


class Interrupted(Exception):  # noqa: N818  # not an error: it was asked for
    """The run was stopped; its state is on disk."""


class OutOfTime(Interrupted):
    """The next epoch would not have ended in time."""


class Stop:
    """Whether a run should go on.

    Args:
        deadline: when it must have ended, in seconds since 1970; None: never.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.started = time.time()
        self.heard = False  # whether anybody calls `check` from now on
        self.asked = False

    def ask(self, *_: object) -> None:
        """Ask the run to end; a signal handler. If nobody would hear it, the process ends here."""
        if not self.heard:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        self.asked = True

    def check(self) -> None:
        """Stop if that was asked for; to be called every few seconds.

        Raises:
            Interrupted: it was asked for.
        """
        if self.asked:
            raise Interrupted("stopped")

    def expected(self, seconds: float | None) -> float | None:
        """How long the first epoch of this session may take, judged by those of earlier ones.

        Nothing where such an epoch would never end within a session, as on another machine: then
        it is tried.
        """
        if seconds is None or self.deadline is None:
            return None
        return seconds if MARGIN * seconds < self.deadline - self.started else None

    def check_epoch(self, seconds: float | None) -> None:
        """Stop if the next epoch would not end in time.

        Args:
            seconds: the longest epoch so far, with saving it; None where there was none.

        Raises:
            OutOfTime: it would not.
            Interrupted: it was asked for.
        """
        self.check()
        if self.deadline is None:
            return
        left = self.deadline - time.time()
        if left < MARGIN * (seconds or 0.0):
            raise OutOfTime("time limit")
