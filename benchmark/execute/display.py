"""Display for people while cells run: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from benchmark.console import PLAIN_EVERY, duration, say
from benchmark.measures import MEASURES

_IOU = MEASURES["iou"]


@dataclass
class Progress:
    """The progress of a running job."""

    label: str
    device: str
    phase: str = "starting"
    epochs: int = 0
    epoch: float = 0.0  # epochs done, with the fraction of the current one
    loss: float | None = None
    iou: float | None = None
    started: float = field(default_factory=time.monotonic)
    first_epoch: float | None = None  # where this session began; > 0 after a resume
    training_since: float = 0.0
    said: float = 0.0

    def apply(self, event: dict[str, Any]) -> None:
        """Take in an event of the worker."""
        kind = event["event"]
        if kind == "phase":
            self.phase = event["text"]
            self.epochs = event.get("epochs", self.epochs)
            self.training_since = time.monotonic()
        elif kind in ("step", "epoch"):
            whole = event["epoch"]
            if self.first_epoch is None:
                self.first_epoch = float(whole)
            if kind == "step":
                self.epoch = whole + event["step"] / event["steps"]
            else:
                self.epoch = whole + 1.0
                self.loss = event["loss"]
                self.iou = (event["val"] or {}).get("iou", self.iou)

    @property
    def eta(self) -> float | None:
        """Seconds of training left, None where it cannot be known yet."""
        if self.first_epoch is None or self.epoch <= self.first_epoch:
            return None
        elapsed = time.monotonic() - self.training_since
        return elapsed / (self.epoch - self.first_epoch) * (self.epochs - self.epoch)


class Display:
    """Shows the running jobs; use as a context manager around the run.

    Args:
        console: where to print; a live table if it is a terminal.
        total: number of cells that will run.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.finished = console, total, 0
        self.running: list[Progress] = []
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.update("")
            self._live.stop()

    def start(self, progress: Progress) -> None:
        """Show that a job has started."""
        self.running.append(progress)
        if not self._live:
            say(self.console, f"start  {progress.label} on {progress.device}")

    def update(self, progress: Progress) -> None:
        """Show an event that a job has sent."""
        now = time.monotonic()
        if not self._live and progress.epoch and now - progress.said >= PLAIN_EVERY:
            progress.said = now
            say(self.console, f"       {describe(progress)}")

    def end(self, progress: Progress, status: str, text: str) -> None:
        """Show that a job has ended; `text` is its result or its error."""
        self.running.remove(progress)
        self.finished += 1
        goes_on = dict.fromkeys(("running", "interrupted", "paused"), "yellow")
        colour = ({"done": "green"} | goes_on).get(status, "red")
        took = duration(time.monotonic() - progress.started)
        line = Text.assemble(
            (f"{status:<6}", colour),
            f" {progress.label} ({self.finished}/{self.total}, {took})  {text}",
        )
        say(self.console, line)

    def fail(self, progress: Progress, text: str) -> None:
        """Show that a job could not be started."""
        self.running.append(progress)
        self.end(progress, "failed", text)

    def say(self, text: str) -> None:
        """Print a line between those of the jobs."""
        say(self.console, text)

    def refresh(self) -> None:
        """Redraw the live table."""
        if self._live:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("job", "device", "phase", "epoch", "loss", f"val {_IOU.name}", "left"):
            table.add_column(name, style="bold" if name == "job" else "")
        for p in self.running:
            table.add_row(
                escape(p.label),
                p.device,
                p.phase,
                f"{p.epoch:.1f}/{p.epochs}" if p.epochs else "",
                "" if p.loss is None else f"{p.loss:.4f}",
                "" if p.iou is None else _IOU.digits(p.iou),
                "" if p.eta is None else duration(p.eta),
            )
        table.caption = f"{self.finished} of {self.total} cells finished"
        return table


def describe(p: Progress) -> str:
    """One line on a running job."""
    parts = [f"{p.label}: epoch {p.epoch:.1f}/{p.epochs}"]
    if p.loss is not None:
        parts.append(f"loss {p.loss:.4f}")
    if p.iou is not None:
        parts.append(f"val {_IOU.text(p.iou)}")
    if p.eta is not None:
        parts.append(f"{duration(p.eta)} left")
    return ", ".join(parts)
