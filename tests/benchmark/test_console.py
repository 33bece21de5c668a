"""What people see while it runs."""

import io
import time

import pytest
from rich.console import Console

from benchmark.console import duration, rounded_duration, say
from benchmark.execute.display import Display, Progress, describe


def events(progress):
    progress.apply({"event": "phase", "text": "training", "epochs": 4})
    progress.apply({"event": "step", "epoch": 0, "step": 1, "steps": 2})
    progress.apply({"event": "epoch", "epoch": 0, "loss": 0.5, "val": {"iou": 0.25}})


@pytest.mark.parametrize("terminal", [False, True])
def test_a_job_from_start_to_end(terminal):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, color_system=None)
    with Display(console, total=2) as display:
        progress = Progress("set [mine] tiny+sls seed 0", "cpu")
        display.start(progress)
        events(progress)
        display.update(progress)
        display.refresh()
        display.end(progress, "done", "IoU [x] 50.00")
    text = out.getvalue()
    assert "done   set [mine] tiny+sls seed 0 (1/2, 0s)  IoU [x] 50.00" in text
    assert ("1.0/4" in text) == terminal or "epoch 1.0/4" in text


def test_description_and_time_left():
    progress = Progress("job", "cpu")
    assert progress.eta is None
    events(progress)
    progress.training_since = time.monotonic() - 10
    assert progress.eta == pytest.approx(30, abs=1)  # one epoch in 10 s, three to go
    assert describe(progress).startswith("job: epoch 1.0/4, loss 0.5000, val IoU 25.00, 30s left")


def test_time_left_after_a_resume_counts_this_session_only():
    progress = Progress("job", "cpu")
    progress.apply({"event": "phase", "text": "training", "epochs": 4})
    progress.apply({"event": "epoch", "epoch": 2, "loss": 0.5, "val": None})
    progress.training_since = time.monotonic() - 10
    assert progress.eta == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59, "59s"), (185, "3m05s"), (7620, "2h07m")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (42, "42 s"), (119.6, "120 s"), (600, "10 min"), (6048, "101 min"),
     (21312, "5.92 h")],
)  # fmt: skip
def test_duration_in_tables(seconds, text):
    assert rounded_duration(seconds) == text


def test_a_line_is_printed_as_it_is():
    out = io.StringIO()
    console = Console(file=out, width=20, force_terminal=True, color_system="standard")
    line = "wrote [red]/a/b[/] 'x' 12 True and further than the console is wide"
    say(console, line)
    say(console, line, "yellow")
    assert out.getvalue() == f"{line}\n\x1b[33m{line}\x1b[0m\n"
