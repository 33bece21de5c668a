"""A worker needs its folder and nothing else; its streams, its events, its task."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.execute.child import set_variables
from benchmark.execute.events import EventFile, EventReader, EventWriter
from benchmark.execute.task import Task, read_task
from benchmark.plan.job import Job
from benchmark.records.record import read_record
from benchmark.records.store import RunFolder
from benchmark.settings.run_settings import Settings
from tests.e2e.commands import PLUGINS, ROOT

SETTINGS = Settings(
    epochs=1, batch_size=4, crop_size=32, base_size=32, selection="last", val_fraction=0
)
JOB = Job("synthetic:easy:size=32:test=4:train=8", "tiny", "sls", 0, SETTINGS, "test")
TASK = Task(job=JOB.to_dict(), plugins=PLUGINS, session="abc", variables={"OMP_NUM_THREADS": "1"})


def worker(folder, shell="exec {}"):
    """Start one from a shell, with the streams that its redirections leave."""
    command = f"{sys.executable} -m benchmark.execute.worker {folder}"
    return subprocess.run(
        ["/bin/sh", "-c", shell.format(command)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_from_any_shell(tmp_path):
    """With all its streams closed: no file takes their place."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.task.write_text(TASK.to_json())
    done = worker(folder.path, "exec {} <&- >&- 2>&-")
    assert done.returncode == 0, folder.log.read_text()
    record = read_record(folder.record)
    assert (record.status, record.environment.jobs, record.environment.threads) == ("done", 1, 1)
    events = [json.loads(line) for line in folder.events.read_text().splitlines()]
    assert {event["session"] for event in events} == {"abc"}
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("ready", "end")
    assert {"phase", "step", "epoch"} <= set(kinds)
    assert events[-1]["status"] == "done"
    assert events[-1]["metrics"] == record.scores["native"].metrics
    assert "images" in folder.log.read_text()  # what was printed, not an event
    assert "event" not in folder.log.read_text()

    again = worker(folder.path)
    assert again.returncode == 0
    last = json.loads(again.stdout)
    assert (last["event"], last["message"]) == ("end", "done by another process")


def test_a_task_that_cannot_be_read(tmp_path):
    done = worker(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'task.json'}: cannot be read")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not a task (the file: Invalid JSON"),
        ("{}", "not a task (job: Field required)"),
        (TASK.to_json().replace("task/1", "task/9"), "schema 'irstd-bench/task/9'"),
        (TASK.to_json().replace('"threads": 1', '"threads": "some"'), "threads: "),
        (TASK.to_json().replace('"threads"', '"treads"'), "treads: "),
    ],
)
def test_a_wrong_task_is_one_line(tmp_path, text, part):
    path = tmp_path / "task.json"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_task(path)
    assert str(path) in str(error.value)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "task.json"
    path.write_text(TASK.to_json())
    assert read_task(path) == TASK
    assert Job.from_dict(read_task(path).job).id == JOB.id


def test_variables_come_before_what_reads_them():
    """NumPy is imported here already."""
    with pytest.raises(RuntimeError, match="numpy"):
        set_variables({"OMP_NUM_THREADS": "1"})


def test_events_are_read_as_they_are_written(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path, "mine")
    assert reader.read() == []
    send = EventWriter(EventFile(path), session="mine")
    other = EventFile(path)
    send("phase", text="a")
    EventWriter(other, session="other")("end", status="running")
    assert [event["text"] for event in reader.read()] == ["a"]
    assert reader.read() == []
    line = json.dumps({"event": "phase", "session": "mine", "text": "ä"}) + "\n"
    other.write(line[:20])
    assert reader.read() == []  # not whole yet
    other.write(line[20:])
    other.write("no json\n[]\n")
    assert [event["text"] for event in reader.read()] == ["ä"]
    other.clear()
    send("phase", text="b")
    assert [event["text"] for event in reader.read()] == ["b"]


def test_an_event_that_nobody_can_take_is_lost():
    EventWriter(io.StringIO())("phase", text="kept")
    full = EventFile(Path("/dev/full"))
    with pytest.raises(OSError, match="No space"):
        full.write("a line")
    EventWriter(full)("phase", text="lost")
