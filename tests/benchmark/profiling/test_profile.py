"""Detectors measured for real, each in a process of its own."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

import detectors
from benchmark import environment
from benchmark.environment import cpu_name
from benchmark.errors import UserError
from benchmark.execute.events import EventWriter
from benchmark.profiling import child as profiler
from benchmark.profiling import latency
from benchmark.profiling import parent as module
from benchmark.profiling.parent import profile_detectors, profile_path
from benchmark.records.record import Profile, RecordError, read_profile
from benchmark.registry import Registry, add_plugins
from tests.benchmark.test_environment import ANSWERS, put_nvidia_smi
from tests.e2e.commands import ROOT, alive, children, run, start, wait_for

PLUGIN = '''
import os, time
import torch
from torch import nn
from detectors.base import Detector, Prediction

class Normed(Detector):
    """One convolution with its batch normalisation."""
    name = "normed"
    in_channels = 1
    mean, std = (0.0,), (1.0,)
    published_cost = {"parameters": 9.5, "flops": 1.5, "source": "a table", "difference": "a joke"}
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)
    def forward(self, x):
        return Prediction(self.norm(self.conv(x)))

class Dies(Normed):
    """Kills its process, as the system does when memory runs out."""
    name = "dies"
    def forward(self, x):
        if x.device.type != "meta":
            os.kill(os.getpid(), 9)
        return super().forward(x)

class Hangs(Normed):
    """Never ends."""
    name = "hangs"
    def forward(self, x):
        if x.device.type != "meta":
            time.sleep(600)
        return super().forward(x)
'''


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with those of the end-to-end tests and more, in a registry of its own."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "tiny.py").write_text((ROOT / "tests/plugins/tiny.py").read_text())
    (folder / "more.py").write_text(PLUGIN)
    registry = Registry("detector", base="Detector", package="detectors")
    add_plugins(folder, [registry])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detectors, "REGISTRY", registry)
        patch.setattr(module, "NOTICEABLE", 1e9)  # other tests run beside this one
        yield folder


class Measured:
    """A folder of profiles and what was printed while they were made."""

    def __init__(self, folder: Path, plugins: Path) -> None:
        self.folder, self.plugins = folder, plugins

    def __call__(self, *names: str, **options: object) -> list[Profile]:
        self.console = Console(file=io.StringIO(), width=200)
        options = {"side": 64, "threads": 1, "seconds": 0.05, "plugins": self.plugins, **options}
        profiles, self.failed = profile_detectors(
            names, self.folder, "cpu", self.console, **options
        )
        return profiles

    @property
    def text(self) -> str:
        return self.console.file.getvalue()

    def line(self, start: str) -> str:
        return next(line for line in self.text.splitlines() if line.startswith(start))


@pytest.fixture(scope="module")
def measured(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Five detectors, one after the other, of which three fail; one again, folded."""
    made = Measured(tmp_path_factory.mktemp("out"), plugins)
    made.profiles = made("crash", "normed", "oom", "dies", "tiny")
    made.first, made.first_failed = made.text, made.failed
    made.folded = made("normed", fuse=True)[1]
    return made


def test_each_detector_gets_its_numbers(measured: Measured) -> None:
    (normed, tiny), folded = measured.profiles, measured.folded
    assert [normed.detector, tiny.detector, folded.detector] == ["normed", "tiny", "normed"]
    assert (normed.fused, tiny.fused, folded.fused) == (False, False, True)
    assert folded.folded == "1 of 1"
    assert (normed.parameters, folded.parameters, tiny.parameters) == (12, 10, 153)
    assert (tiny.macs, tiny.flops) == (144 * 64 * 64, 288 * 64 * 64)
    for profile in (normed, tiny, folded):
        assert profile.input == "1x1x64x64"
        assert (profile.single.batch, profile.batched.batch) == (1, 4)
        for found in (profile.single, profile.batched):
            assert 0 < found.p10_ms <= found.median_ms <= found.p90_ms
            assert found.peak_memory_bytes > 0
        assert profile.throughput == pytest.approx(4e3 / profile.batched.median_ms)
        assert (profile.device, profile.threads, profile.precision) == (cpu_name(), 1, "fp32")
        assert profile.torch == torch.__version__
        assert profile.deterministic is True
        assert profile.graph is None
        path = profile_path(measured.folder, profile.detector, cpu_name(), profile.fused)
        assert read_profile(path) == profile


def test_one_that_fails_gets_a_line_and_stops_no_other(measured: Measured) -> None:
    lines = [line for line in measured.first.splitlines() if line.strip()]
    assert measured.first_failed == ["crash (1/5)", "oom (3/5)", "dies (4/5)"]
    by_name = {line.split()[1]: line for line in lines if not line.startswith("  ")}
    assert by_name["crash"].startswith("failed crash (1/5)")
    assert "IndexError: a bug in forward (see " in by_name["crash"]
    assert by_name["oom"].startswith("oom ")
    assert "out of memory" in by_name["oom"]
    assert "--batch (now 4)" in by_name["oom"]
    assert by_name["dies"].startswith("failed")
    assert "SIGKILL" in by_name["dies"]
    assert "images/s in batches of 4" in measured.first
    logs = sorted(path.name.partition("-")[0] for path in measured.folder.glob("profiles/*.log"))
    assert logs == ["crash", "dies"]
    assert "a bug in forward" in next(measured.folder.glob("profiles/crash*.log")).read_text()
    assert len(list(measured.folder.glob("profiles/*.json"))) == 3


def test_what_was_measured_is_kept(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def run(name: str, *_: object) -> dict[str, str]:
        started.append(name)
        return {"status": "failed", "message": "not now"}

    path = profile_path(measured.folder, "normed", cpu_name(), False)
    text = path.read_text()
    monkeypatch.setattr(module, "_run", run)
    assert measured("normed", fuse=True) == [measured.profiles[0], measured.folded]
    assert measured.line("kept   normed (1/1)")
    assert not started
    others = [{"threads": 2}, {"side": 32}, {"batch": 2}, {"precision": "bf16"}, {"force": True}]
    for number, other in enumerate(others, start=1):
        path.write_text(text)
        assert measured("normed", **other) == []
        assert len(started) == number
        assert not path.exists()  # what failed now has no number of another time
    stale = [
        ("torch", "1.0"), ("source", "another file"), ("device", "another machine"),
        ("seconds", 0.01), ("warning", "the machine was busy"), ("deterministic", None),
    ]  # fmt: skip
    for number, (key, value) in enumerate(stale, start=len(others) + 1):
        path.write_text(json.dumps({**json.loads(text), key: value}))
        assert measured("normed") == []
        assert len(started) == number
    path.write_text(text)
    assert measured("tiny", fuse=True) == measured.profiles[1:]
    assert measured.line("failed tiny folded (1/1)")


@pytest.mark.extra
def test_command_prints_and_writes_the_table(plugins: Path, tmp_path: Path) -> None:
    options = ["--side", "64", "--threads", "1", "--plugins", plugins, "--output", tmp_path]
    result = run("profile", "--detectors", "normed,tiny", "--fuse", *options)
    assert result.returncode == 0, result.stdout
    assert "skip   tiny folded" in result.stdout
    assert "normed (folded 1 of 1)" in result.stdout
    assert "normed: published in a table; a joke." in result.stdout
    page = (tmp_path / "profile.md").read_text("utf-8").splitlines()
    for line in (line for line in page if line.startswith("| normed")):
        assert [cell.strip() for cell in line.split("|")][-3:-1] == ["9.5", "1.5"]
    assert (tmp_path / "profile.csv").read_text("utf-8").count("\n") == 4
    failing = run("profile", "--detectors", "crash", *options)
    assert failing.returncode == 1
    assert "IndexError: a bug in forward" in failing.stdout


@pytest.mark.usefixtures("plugins")
def test_what_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--precision fp16: write fp32 or bf16"):
        profile_detectors(["tiny"], tmp_path, "cpu", Console(), precision="fp16")
    asked = {"detector": "tiny", "device": "cpu", "threads": 1, "plugins": None, "fused": True}
    nothing_to_send = EventWriter(io.StringIO())
    with pytest.raises(UserError, match=r"--side 63: tiny needs a multiple of 2, e\.g\. 64"):
        profiler._measure(argparse.Namespace(**asked, side=63), nothing_to_send)
    assert profiler._measure(argparse.Namespace(**asked, side=64), nothing_to_send) is None


class FakeClock:
    """Stands in for `time`: only `run` takes any."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def run(self, milliseconds: float) -> float:
        self.now += milliseconds / 1e3
        return milliseconds


@pytest.mark.parametrize(
    ("times", "seconds", "device", "runs"),
    [
        ([125.0] * 99, 2.0, "cpu", 3),  # settled at once
        ([125.0] * 99, 2.0, "cuda", 8),  # just as settled, but the card may have a low clock
        ([125.0] * 99, 0.05, "cuda", 8),  # also where the measurement is short
        ([375.0, *[125.0] * 99], 2.0, "cpu", 4),
        ([375.0, *[125.0] * 99], 2.0, "cuda", 6),
        ([125.0, 250.0] * 99, 2.0, "cuda", 11),  # never settles
        ([125.0, 250.0] * 99, 0.5, "cuda", 6),
        ([125.0, 250.0] * 99, 0.5, "cpu", 3),
    ],
)
def test_warm_up(monkeypatch: pytest.MonkeyPatch, times, seconds, device, runs) -> None:
    clock, left = FakeClock(), iter(times)
    monkeypatch.setattr(latency, "time", clock)
    latency._warm_up(lambda: clock.run(next(left)), seconds, torch.device(device))
    assert len(times) - len(list(left)) == runs


def test_the_replay_of_a_graph_is_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = []

    def capture(work):
        work()
        return lambda: replayed.append(1)

    monkeypatch.setattr(latency, "_capture", capture)
    small = detectors.create_detector("acm:port")
    passes = []
    small.register_forward_hook(lambda *_: passes.append(1))
    found = latency.measure(small, torch.device("cpu"), 1, 32, seconds=0.01, graph=True)
    assert len(passes) == 1
    assert len(replayed) >= found.repeats + latency.WARMUP


def test_a_graph_that_fails_is_a_note() -> None:
    sent = io.StringIO()
    assert profiler._unless_it_fails(lambda: {"batch": 1}, EventWriter(sent)) == {"batch": 1}
    assert not sent.getvalue()

    def fails() -> dict:
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        finally:
            raise ValueError("capture invalidated")

    assert profiler._unless_it_fails(fails, EventWriter(sent)) is None
    assert json.loads(sent.getvalue()) == {
        "event": "note",
        "text": "no time of a CUDA graph: RuntimeError: operation not permitted when stream is "
        "capturing; then ValueError: capture invalidated",
    }


def test_notes_of_a_measurement_are_printed(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the events of a stand-in for the process to the console."""
    numbers = measured.profiles[0].model_dump(
        exclude={"schema_", "source", "seconds", "published", "warning", "harness", "git", "date"}
    ) | {"graph": measured.profiles[0].single.model_dump()}
    events = [
        {"event": "phase", "text": "building"},
        {"event": "note", "text": "no time of a CUDA graph: it is Tuesday"},
        {"event": "end", "status": "done", "message": "", "numbers": numbers},
    ]
    fake = tmp_path / "python"
    (tmp_path / "events").write_text("".join(json.dumps(event) + "\n" for event in events))
    fake.write_text(f"#!/bin/sh\ncat {tmp_path / 'events'}\n")
    fake.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(fake))
    again = Measured(tmp_path, measured.plugins)
    (profile,) = again("normed")
    assert again.line("       no time of a CUDA graph: it is Tuesday")
    assert profile.graph == profile.single
    assert "ms from a CUDA graph, " in again.line("done   normed")
    assert "building" not in again.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_graph_on_a_gpu() -> None:
    small, gpu = detectors.create_detector("acm:port"), torch.device("cuda")
    eager = latency.measure(small, gpu, 1, 64, seconds=0.2)
    replayed = latency.measure(small, gpu, 1, 64, seconds=0.2, graph=True)
    assert 0 < replayed.median_ms < eager.median_ms  # so small that launching is most of it


USERS = """\
case "$*" in
*--query-compute-apps=pid,process_name*--id=GPU-8932f937*) {} ;;
*) echo 1, somebody elsewhere ;;
esac
"""


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("printf '%s, /usr/bin/python3\\n77, [Not Found]\\n' $PPID", "[Not Found] (process 77)"),
        ("printf '88, ollama\\n77, a, b\\n'", "ollama (process 88), a, b (process 77)"),
        ("echo No running processes found", None),
        ("exit 6", None),
        ("exec sleep 60", None),
    ],
)
def test_others_on_the_gpu_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, named: str | None
) -> None:
    monkeypatch.setattr(module, "NOTICEABLE", 1e9)
    monkeypatch.setattr(environment, "SMI_PATIENCE", 0.3 if "sleep" in script else 5.0)
    put_nvidia_smi(monkeypatch, tmp_path, USERS.format(script))
    with module.Bystanders("GPU-8932f937") as bystanders:
        pass
    expected = f"the GPU was used by {named}: timings are not of this detector alone"
    assert bystanders.warning == (named and expected)


def test_one_who_has_left_and_one_who_came_are_named_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "NOTICEABLE", 0.25)
    clock = iter((10.0, 99.0))
    monkeypatch.setattr(module.Bystanders, "_others", lambda _: next(clock))
    calls = put_nvidia_smi(monkeypatch, tmp_path, 'wc -l < "$0.calls" | sed "s/.*/7&, x/"')
    with module.Bystanders("GPU-1") as bystanders:
        time.sleep(0.1)
    assert len(calls.read_text().splitlines()) == 2
    assert "% of a core was used by other processes and the GPU was used by " in bystanders.warning
    assert ", x (process 72): timings" in bystanders.warning
    assert "by x (process 71), " in bystanders.warning


def test_on_the_cpu_nobody_asks_nvidia_smi(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = put_nvidia_smi(monkeypatch, tmp_path, ANSWERS)
    Measured(tmp_path, measured.plugins)("normed")
    assert not calls.exists()


@pytest.mark.parametrize(("others", "warned"), [((10.0, 10.31), True), ((10.0, 10.0), False)])
def test_load_of_others_is_noticed(monkeypatch: pytest.MonkeyPatch, others, warned) -> None:
    monkeypatch.setattr(module, "NOTICEABLE", 0.25)
    clock = iter(others)
    monkeypatch.setattr(module.Bystanders, "_others", lambda _: next(clock))
    with module.Bystanders() as bystanders:
        time.sleep(0.1)
    assert ("% of a core was used" in (bystanders.warning or "")) == warned


def test_own_children_are_no_bystanders() -> None:
    before = module.Bystanders._others()
    if before is None:
        pytest.skip("the system does not tell")
    own = module._busy_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(30_000_000))"], check=True)
    busy = module._busy_seconds() - own
    assert busy > 0.2
    assert module.Bystanders._others() - before < busy - 0.1


@pytest.mark.parametrize(("cores", "busy"), [({0, 1}, 12 + 2), ({1}, 2), ({0}, 12), ({2}, None)])
def test_busy_time_is_that_of_the_cores_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], busy: float | None
) -> None:
    idle = {"idle": 50.0, "iowait": 60.0, "guest": 1.0, "guest_nice": 1.0}
    kinds = dict(zip(("user", "nice", "system", "irq", "softirq", "steal"), [2.0] * 6, strict=True))
    times = [SimpleNamespace(**kinds, **idle), SimpleNamespace(user=2.0, **idle)]
    monkeypatch.setattr("psutil.cpu_times", lambda percpu: times)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cores, raising=False)
    assert module._busy_seconds() == busy


def test_busy_time_is_that_of_the_system() -> None:
    stat = Path("/proc/stat")
    if not stat.exists():
        pytest.skip("the system does not tell")
    lines = (line.split() for line in stat.read_text().splitlines())
    cores = {f"cpu{k}" for k in os.sched_getaffinity(0)}
    ticks = sum(sum(map(int, (*f[:3], *f[5:8]))) for name, *f in lines if name in cores)
    assert module._busy_seconds() == pytest.approx(ticks / os.sysconf("SC_CLK_TCK"), abs=5)


def test_measuring_ends_with_its_parent(plugins: Path, tmp_path: Path) -> None:
    options = ["--side", "64", "--threads", "1", "--plugins", plugins, "--output", tmp_path]
    parent = start("profile", "--detectors", "hangs", *options)
    try:
        wait_for(lambda: children(parent.pid))
        wait_for(lambda: "profiling.child" in Path(f"/proc/{child(parent)}/cmdline").read_text())
        measuring = child(parent)
        os.kill(parent.pid, signal.SIGKILL)
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not alive(measuring), 20)
    assert not list(tmp_path.glob("profiles/*.json"))


def child(parent: subprocess.Popen) -> int:
    return children(parent.pid)[0]


def test_only_whole_profiles_are_read(measured: Measured, tmp_path: Path) -> None:
    text = measured.profiles[0].to_json()
    path = tmp_path / "profile.json"
    for broken, message in (
        (text[:100], "not a profile"),
        (text.replace("profile/1", "profile/2"), "this version reads"),
        (text.replace('"parameters"', '"size"'), "not a profile"),
    ):
        path.write_text(broken)
        with pytest.raises(RecordError, match=message):
            read_profile(path)
    with pytest.raises(RecordError, match="cannot be read"):
        read_profile(tmp_path / "none.json")
