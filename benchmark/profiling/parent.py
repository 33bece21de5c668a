"""Size and speed of detectors: each measured alone, in a process of its own, one after the other.

OUTPUT/profiles/<detector>-<device>[-fused].json    what was measured, see `Profile`
OUTPUT/profiles/<detector>-<device>[-fused].log     what the process printed, if it failed
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

import detectors
from benchmark import __version__
from benchmark.console import duration, say
from benchmark.environment import (
    ROOT,
    ask_nvidia_smi,
    cpu_count,
    cpu_name,
    devices,
    find_gpu,
    git_commit,
)
from benchmark.errors import UserError
from benchmark.execute.events import parse_event
from benchmark.execute.process import child_variables, describe_exit, end_child, start_child
from benchmark.records.record import Profile, RecordError, read_profile, timestamp
from benchmark.records.store import write_atomic
from benchmark.registry.info import PublishedCost

PATIENCE = 10.0
"""Seconds that a process gets to leave after its standard input was closed."""
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
"""Kinds of a core's time in which it computes; guests' time is in that of users."""
NOTICEABLE = 0.25
"""Use of the CPU by others that is worth a warning, in cores."""


@dataclass(frozen=True)
class Setup:
    """The conditions of a measurement; see `profile_detectors`."""

    device: str  # cpu or cuda:K
    device_name: str
    side: int
    batch: int
    threads: int
    precision: str
    plugins: Path | None
    seconds: float


def profile_detectors(
    names: Sequence[str],
    folder: Path,
    device: str,
    console: Console,
    side: int = 256,
    batch: int | None = None,
    threads: int | None = None,
    precision: str = "fp32",
    fuse: bool = False,
    plugins: Path | None = None,
    force: bool = False,
    seconds: float = 2.0,
) -> tuple[list[Profile], list[str]]:
    """Measure detectors into `folder/profiles/`; one that fails gets a line and stops no other.

    What was measured under the same conditions is kept.

    Args:
        names: of detectors, as `Registry.match` returns them.
        folder: the output folder.
        device: as in `--device`; the first one is used.
        console: for a line a detector.
        side: height and width of the images, px.
        batch: images in the second measurement, after that of one image; 8, and 4 on a CPU.
        threads: of torch on the CPU; all cores.
        precision: fp32 or bf16.
        fuse: measure each a second time, with batch normalisations folded into convolutions.
        plugins: folder of plug-ins, registered already in this process.
        force: measure again what was measured before.
        seconds: of the timed runs of each batch size.

    Returns:
        The profiles that there are now, in the order of `names`, and what could not be measured.

    Raises:
        UserError: no such device or precision.
    """
    if precision not in ("fp32", "bf16"):
        raise UserError(f"--precision {precision}: write fp32 or bf16")
    device = devices(device)[0]
    cpu = device == "cpu"
    setup = Setup(
        device=device,
        device_name=cpu_name() if cpu else find_gpu(device).name,
        side=side,
        batch=batch or (4 if cpu else 8),
        threads=threads or cpu_count(),
        precision=precision,
        plugins=plugins,
        seconds=seconds,
    )
    profiles, failed = [], []
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for number, name in enumerate(names, start=1):
            for fused in (False, True) if fuse else (False,):
                label = f"{name}{' folded' if fused else ''} ({number}/{len(names)})"
                status, profile = _profile(name, fused, folder, setup, force, live, label)
                if profile is not None:
                    profiles.append(profile)
                elif status != "skip":
                    failed.append(label)
                    break
    return profiles, failed


def profile_path(folder: Path, name: str, device_name: str, fused: bool) -> Path:
    """Where the profile of a detector on a device lies."""
    stem = "-".join([_slug(name), _slug(device_name), *(["fused"] if fused else [])])
    return folder / "profiles" / f"{stem}.json"


def describe(profile: Profile) -> str:
    """The speed in one line."""
    one, graph = profile.single, profile.graph
    return (
        f"{one.median_ms:.1f} ms an image ({one.p10_ms:.1f}–{one.p90_ms:.1f}), "
        + (f"{graph.median_ms:.1f} ms from a CUDA graph, " if graph else "")
        + f"{profile.throughput:.1f} images/s in batches of {profile.batched.batch}"
    )


def _profile(
    name: str, fused: bool, folder: Path, setup: Setup, force: bool, live: Live, label: str
) -> tuple[str, Profile | None]:
    """The profile from the disk, or else measured now; None, and a line that says why not."""
    status = "kept"
    console = live.console
    path = profile_path(folder, name, setup.device_name, fused)
    profile = None if force else _measured_before(path, name, fused, setup)
    if profile is not None:
        _say_status(console, status, f"{label}  {describe(profile)}")
    else:
        path.unlink(missing_ok=True)  # of other conditions, or of another version
        started = time.monotonic()
        gpu = None if setup.device == "cpu" else find_gpu(setup.device).uuid
        with Bystanders(gpu) as bystanders:
            end = _run(name, fused, setup, path.with_suffix(".log"), _shower(live, label))
        status = end["status"]
        if status == "done":
            profile = Profile(
                **end["numbers"],
                source=_source(name),
                seconds=setup.seconds,
                published=_published(name),
                warning=bystanders.warning,
                harness=__version__,
                git=git_commit(),
                date=timestamp(),
            )
            write_atomic(path, profile.to_json())
        live.update("")
        took = duration(time.monotonic() - started)
        text = describe(profile) if profile else end["message"]
        _say_status(console, status, f"{label}, {took}  {text}")
        for note in end.get("notes", []):
            _say_status(console, "", note)
    if profile is not None and profile.warning:
        _say_status(console, "", profile.warning)
    return status, profile


def _measured_before(path: Path, name: str, fused: bool, setup: Setup) -> Profile | None:
    """The profile on disk if it is of the same detector, conditions and torch."""
    try:
        found = read_profile(path)
    except RecordError:
        return None
    same = (
        (found.detector, found.fused, found.source) == (name, fused, _source(name))
        and (found.device, found.threads) == (setup.device_name, setup.threads)
        and (found.precision, found.batched.batch) == (setup.precision, setup.batch)
        and found.input.endswith(f"x{setup.side}x{setup.side}")
        and found.torch == version("torch")
        and found.seconds >= setup.seconds
        and not found.warning
        and found.deterministic is True  # else of a version that set other flags
    )
    return found if same else None


def _source(name: str) -> str:
    """Hash of the detectors' code and of the plug-in file, if it is from one."""
    files = {*(ROOT / "detectors").glob("*.py"), detectors.REGISTRY.get(name).file}
    content = b"".join(file.read_bytes() for file in sorted(files))
    return hashlib.sha256(content).hexdigest()[:12]


def _published(name: str) -> PublishedCost:
    """What a detector's file says of its published size; nothing where options differ."""
    entry, options = detectors.REGISTRY.parse(name)
    return {} if options.keys() - {"variant"} else entry.info.published_cost


def _run(
    name: str, fused: bool, setup: Setup, log: Path, show: Callable[[str], None]
) -> dict[str, Any]:
    """Measure in a fresh process; its last event (status, message, numbers) with its notes."""
    arguments: list[object] = [name, "--device", setup.device.partition(":")[0]]
    for key in ("side", "batch", "threads", "precision", "seconds"):
        arguments += [f"--{key}", getattr(setup, key)]
    arguments += ["--fused"] if fused else []
    arguments += ["--plugins", setup.plugins.resolve()] if setup.plugins else []
    log.parent.mkdir(parents=True, exist_ok=True)
    end, notes = None, []
    variables = child_variables(setup.device, setup.threads)
    with log.open("w", encoding="utf-8") as errors:
        process = start_child(
            "benchmark.profiling.child", arguments, variables, attached=True, errors=errors
        )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            event = parse_event(line)
            if event is not None and event["event"] == "end":
                end = event
            elif event is not None and event["event"] == "note":
                notes.append(event["text"])
            elif event is not None:
                show(event["text"])
        process.wait()
    except KeyboardInterrupt:
        log.unlink(missing_ok=True)
        raise
    finally:
        end_child(process, PATIENCE)
        process.stdout.close()
    if end is None:
        return {"status": "failed", "message": f"{describe_exit(process.returncode)} (see {log})"}
    if end["status"] == "failed":
        end["message"] += f" (see {log})"
    else:
        log.unlink()
    return end | {"notes": notes}


class Bystanders:
    """Watches what processes other than this one and its children use of the CPU.

    Args:
        gpu: the UUID of a GPU, to be told of processes that compute there, too.
    """

    warning: str | None = None

    def __init__(self, gpu: str | None = None) -> None:
        self._gpu = gpu

    def __enter__(self) -> Bystanders:
        self._guests = self._on_gpu()
        self._started, self._before = time.monotonic(), self._others()
        return self

    def __exit__(self, *_: object) -> None:
        after, seconds = self._others(), time.monotonic() - self._started
        found = []
        if self._before is not None and after is not None:
            cores = (after - self._before) / seconds
            if cores >= NOTICEABLE:
                found.append(f"{100 * cores:.0f}% of a core was used by other processes")
        if guests := self._guests | self._on_gpu():
            names = ", ".join(f"{name} (process {pid})" for pid, name in guests.items())
            found.append(f"the GPU was used by {names}")
        if found:
            self.warning = f"{' and '.join(found)}: timings are not of this detector alone"

    def _on_gpu(self) -> dict[int, str]:
        """Other processes that compute on the GPU now, as far as nvidia-smi tells."""
        if self._gpu is None:
            return {}
        query = ("--query-compute-apps=pid,process_name", "--format=csv,noheader")
        try:
            text = ask_nvidia_smi(*query, f"--id={self._gpu}")
        except subprocess.TimeoutExpired:
            return {}
        lines = (line.partition(",") for line in (text or "").splitlines())
        guests = {int(pid): name.strip() for pid, _, name in lines if pid.strip().isdecimal()}
        return {pid: name for pid, name in guests.items() if pid != os.getpid()}

    @staticmethod
    def _others() -> float | None:
        busy = _busy_seconds()
        if busy is None or sys.platform == "win32":  # there ended children are not counted
            return None
        own = os.times()
        return busy - (own.user + own.system + own.children_user + own.children_system)


def _busy_seconds() -> float | None:
    """Time that the cores this process may use were busy since the system started, summed."""
    import psutil  # here: the commands' help and lists do without

    try:
        times = psutil.cpu_times(percpu=True)
    except (OSError, psutil.Error):
        return None
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(times))
    if len(cores) < len(times):
        if max(cores) >= len(times):  # some are switched off, so places in the list say nothing
            return None
        times = [times[core] for core in cores]
    return sum(getattr(core, kind, 0.0) for core in times for kind in _BUSY)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_.=]+", "-", text.lower()).strip("-")


def _shower(live: Live, label: str) -> Callable[[str], None]:
    """Shows what is being measured, in a terminal."""

    def show(text: str) -> None:
        if live.console.is_terminal:
            live.update(Text(f"measuring {label}: {text}"), refresh=True)

    return show


def _say_status(console: Console, status: str, text: str) -> None:
    colour = {"done": "green", "kept": "green", "skip": "", "": "yellow"}.get(status, "red")
    say(console, Text.assemble((f"{status:<6}", colour), f" {text}"))
