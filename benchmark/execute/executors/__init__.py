"""Executors: where tasks run. One file each, found by scanning this folder.

A file has `Options`, a pydantic model of the keys that a preset may set in `executor_options`, and
`create(plan, options)`, which returns an `Executor`. It may refuse a plan with a UserError.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchmark.errors import UserError
from benchmark.execute.task import Task
from benchmark.records.store import RunFolder
from benchmark.settings.layers import build
from benchmark.settings.plan import Plan


class Exit(NamedTuple):
    """How a task ended.

    Attributes:
        status: of the run, where it has reported none itself: `interrupted` or `failed`.
        message: one line, in the same case.
        last: its last event, where the executor has it; else it is in the run's folder.
        crowded: it had only part of a device: if its memory did not suffice, it is worth a try
            alone.
        note: a further remark, one line.
    """

    status: str
    message: str
    last: dict[str, Any] | None = None
    crowded: bool = False
    note: str = ""


class Handle(Protocol):
    """A task that was started."""

    place: str
    """Where it runs, for people."""


class Executor(Protocol):
    """Starts tasks, watches them, stops them. It knows nothing of the matrix or the records."""

    @property
    def usable(self) -> bool:
        """Whether a task can still be started, now or later."""

    def start(self, task: Task, folder: RunFolder, alone: bool) -> Handle | None:
        """Write the task into the folder and start a worker there; None while there is no room.

        Args:
            task: complete but for where it runs.
            folder: of the run.
            alone: nothing else may run on the same device.

        Raises:
            OSError: the process, or the files it needs, could not be made.
        """

    def poll(self, handle: Any) -> Exit | None:
        """How the task ended, reported once; None while it runs."""

    def hear(self, handle: Any, event: dict[str, Any]) -> None:
        """Take in an event of the task."""

    def stop(self, handle: Any) -> None:
        """Ask the task to save its state and exit; one that does not is ended by `close`."""

    def close(self) -> None:
        """Stop all running tasks and wait for them; those that do not exit are ended."""


def list_executors() -> list[str]:
    """Names of all executors."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def find_executor(plan: Plan) -> Callable[[], Executor]:
    """Maker of the executor that a plan names; it may refuse the plan with a UserError.

    Raises:
        UserError: no such executor, or options that it does not have.
    """
    if plan.executor not in list_executors():
        raise UserError(
            f"--executor {plan.executor}: no such executor; there are: "
            f"{', '.join(list_executors())}"
        )
    module = importlib.import_module(f"{__name__}.{plan.executor}")
    try:
        options = build(module.Options, plan.executor_options)
    except UserError as error:
        raise UserError(f"executor_options of {plan.executor}: {error}") from None
    return partial(module.create, plan, options)
